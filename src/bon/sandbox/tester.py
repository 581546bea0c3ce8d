"""The process that runs tests, seen from outside: one that stays, takes a job at a time, and can be ended."""

from __future__ import annotations

import contextlib
import socket

from bon.errors import ScoreError
from bon.sandbox.backend import Backend, start_tester

__all__ = ["Tester"]

_START = 20.0
"""Seconds that it may take to start, on a machine that is busy with other things."""
_END = 2.0
"""Seconds that it may take to end."""


class Tester:
    """A sandboxed process that waits for jobs. Raises `ScoreError` where it does not start."""

    def __init__(self, backend: Backend) -> None:
        self._process, self._control = start_tester(backend)
        self._control.settimeout(_START)
        try:
            ready = self._control.recv(1)
        except OSError:
            ready = b""
        if not ready:
            self.kill()
            raise ScoreError(f"the process that runs tests does not start in {backend}")

    @property
    def alive(self) -> bool:
        return self._process.running

    def submit(self, job: bytes, channel: int, report: int) -> None:
        """Hand over a job, the channel to its program and the pipe to report on. Raises OSError."""
        socket.send_fds(self._control, [len(job).to_bytes(4, "big")], [channel, report])
        self._control.sendall(job)

    def kill(self) -> None:
        """End it at once, with whatever it runs, and wait until it is gone."""
        self._process.close()
        with contextlib.suppress(OSError):  # the socket ends when the last process of its sandbox has
            self._control.settimeout(_END)
            while self._control.recv(1):
                pass
        self._control.close()
