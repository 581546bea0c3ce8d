"""Appends lines to a file that may be cut off at any moment: what it holds is whole lines, always."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import msgspec

from bon.errors import StoreError, UsageError
from bon.store.lines import BOM, PathLike

__all__ = ["Appender", "append"]

_BLOCK = 1 << 16


class Appender:
    """A file that lines are appended to, each in one write, handed to the operating system before `append` returns.

    Killing us can lose none of them. A torn last line, left by a writer that was killed, is cut off first; a whole one
    that only lacks its newline gets it. A write that fails is taken back before `StoreError` is raised.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        if self.path.name.endswith(".gz"):
            raise UsageError(f"cannot append to the compressed file {str(path)!r}: choose a name without .gz")
        self._file: IO[bytes] | None = None

    def append(self, line: bytes) -> None:
        """Append one line; the file is made by the first one."""
        if b"\n" in line:
            raise ValueError(f"a line holds no newline, but {line[:80]!r} does: append its parts one by one")
        try:
            self._write(line + b"\n")
        except OSError as error:
            raise StoreError(
                f"{self.path}: {error.strerror or error}; what it holds is whole: make room, or mend its permissions, "
                "and run the same command again"
            ) from error

    def sync(self) -> None:
        """Wait until what was appended would outlive a power cut.

        Raises `StoreError` where another file lies at the path by now, or none: what was appended is in neither.
        """
        if self._file is None:
            return
        os.fsync(self._file.fileno())
        if not self.path.exists() or not os.path.samestat(self.path.stat(), os.fstat(self._file.fileno())):
            raise StoreError(
                f"{self.path} was replaced or taken away while a run was writing to it: run the same command again, "
                "which goes on with what the file now holds"
            )

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Appender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, data: bytes) -> None:
        if self._file is None:
            self._file = self.path.open("a+b", buffering=0)
            _mend(self._file)
        file = self._file
        end = file.seek(0, os.SEEK_END)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest) :]
        except BaseException:
            file.truncate(end)
            raise


def append(path: PathLike, line: bytes) -> None:
    """Append one line to a file; see `Appender`."""
    with Appender(path) as file:
        file.append(line)


def _mend(file: IO[bytes]) -> None:
    """Make an open file end with a newline, or be empty."""
    end = file.seek(0, os.SEEK_END)
    start, tail = end, b""
    while start and b"\n" not in tail:
        start = max(0, start - _BLOCK)
        file.seek(start)
        tail = file.read(end - start - len(tail)) + tail
        if tail.endswith(b"\n"):
            return
    tail = tail[tail.rfind(b"\n") + 1 :]
    if not tail:
        return
    try:
        msgspec.json.decode(tail.removeprefix(BOM), type=dict[str, Any])
    except (ValueError, RecursionError):
        file.truncate(end - len(tail))
    else:
        file.write(b"\n")
