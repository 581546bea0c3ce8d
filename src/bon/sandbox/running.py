"""One run of one program, from its start to its end: deadlines, bounded output, and nothing left behind."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import TypeAlias

from bon.sandbox.backend import Backend, start_candidate
from bon.sandbox.streams import Streams
from bon.sandbox.values import Kind, Limits

__all__ = ["Run", "Stopped", "ended", "tail"]

Stopped: TypeAlias = Callable[[], bool]
"""Whether a run is no longer wanted; asked every 20 ms."""

_TICK = 0.02
_GRACE = 2.0
"""Seconds that the tests have to say what they know once their program is gone."""
_FILES = 10_000
"""Files that it may have: each takes a kilobyte of the kernel's memory, which no other limit counts."""
_KEPT = 4000
"""Bytes of printed text that are kept."""
_SIGNAL = 128
"""Exit codes above it tell of a signal, as in a shell."""


class Run:
    """A program's process: started, watched, and ended with everything in its sandbox. Raises OSError at its start."""

    def __init__(self, backend: Backend, limits: Limits, stopped: Stopped) -> None:
        self.killed: Kind | None = None
        self.streams = Streams(limits.output)
        self._limits = limits
        self._stopped = stopped
        self._began = time.monotonic()
        self._killed_at = self._counted_at = 0.0
        self._process, self.channel = start_candidate(backend, limits)
        self._stdin, *rest = self._process.pipes
        self.stdout, self.stderr = (self.streams.read(pipe.fileno()) for pipe in rest)

    def feed(self, data: bytes) -> None:
        """What it reads on its stdin, from now on."""
        self.streams.write(self._stdin.fileno(), data, then_close=self._stdin)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds since its start."""
        return time.monotonic() - self._began

    @property
    def running(self) -> bool:
        return self._process.running

    def watch(self, done: Callable[[], bool]) -> None:
        """Serve its pipes until `done`. Beyond a limit, or where it is no longer wanted, end it first."""
        while not done():
            if self.killed:
                if self.seconds > self._killed_at + _GRACE or self._stopped():
                    return
            elif self._stopped():
                self.kill("sandbox-error")
            elif self.seconds > self._limits.seconds:
                self.kill("timeout")
            elif self.streams.excess:
                self.kill("output")
            elif self._files() > _FILES:
                self.kill("memory")
            self.streams.turn(_TICK if self.streams.reading else 0.001)

    def _files(self) -> int:
        """How many files it has, looked up once a tick."""
        if self.seconds < self._counted_at + _TICK:
            return 0
        self._counted_at = self.seconds
        return self._process.files

    def kill(self, kind: Kind) -> None:
        """End it, and say why."""
        self.killed = kind
        self._killed_at = self.seconds
        self._process.end()

    def settle(self) -> None:
        """Let it end by itself, which it is about to do, so that its exit code is its own."""
        limit = time.monotonic() + _GRACE
        while self.running and time.monotonic() < limit:
            self.streams.turn(0.001)

    def close(self) -> int:
        """End it, and wait until no process of its sandbox holds a pipe any more; gives its exit code."""
        self.channel.close()
        self._process.end()
        limit = time.monotonic() + _GRACE
        while self.streams.reading and time.monotonic() < limit:
            self.streams.turn(_TICK)
        code = self._process.close()
        return code if code >= 0 else _SIGNAL - code


def ended(code: int) -> tuple[Kind, str]:
    """What an exit code says of a program that ended unasked."""
    if code == _SIGNAL + signal.SIGXCPU:
        return "timeout", "its CPU time is used up"
    if code > _SIGNAL:
        number = code - _SIGNAL
        name = signal.Signals(number).name if number in {one.value for one in signal.Signals} else f"signal {number}"
        return "crash", f"it was ended by {name}"
    return "crash", f"it ended by itself with exit code {code}"


def tail(*streams: bytearray) -> str:
    """The end of what was printed."""
    return b"".join(streams)[-_KEPT:].decode("utf-8", "replace")
