"""How long the parts of a training took, over all of its runs: kept beside its checkpoints; it measures, no more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from bon.errors import StoreError
from bon.store.jsonl import write_atomic

__all__ = ["Clock"]

_EVERY = 5.0
"""Seconds between two writes: what is lost of a run that is killed."""


class Clock:
    """Seconds by the name of a part; a run that goes on adds to those of the runs before it."""

    def __init__(self, folder: Path, *, writes: bool = True) -> None:
        self._file = folder / "seconds.json"
        self._writes = writes
        self._seconds: dict[str, float] = {}
        with suppress(OSError, ValueError):
            self._seconds = msgspec.json.decode(self._file.read_bytes(), type=dict[str, float])

    def __getitem__(self, name: str) -> float:
        return self._seconds.get(name, 0.0)

    @contextmanager
    def part(self, name: str) -> Iterator[Callable[[], None]]:
        """Around a part; what it gives may be called now and then, so that a kill does not lose all of it."""
        begun, before = time.monotonic(), self[name]
        written = begun

        def tick() -> None:
            nonlocal written
            now = time.monotonic()
            self._seconds[name] = before + now - begun
            if now - written > _EVERY:
                written = now
                self._write()

        try:
            yield tick
        finally:
            written = 0.0
            tick()

    def forget(self) -> None:
        """Take the file away, once a report says what it said."""
        with suppress(OSError):
            self._file.unlink()

    def _write(self) -> None:
        if self._writes:
            with suppress(StoreError):  # a disk that refuses is found out by what matters more
                self._file.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(self._file, [msgspec.json.encode(self._seconds)])
