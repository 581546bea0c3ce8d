"""The pipes of a process, served without ever blocking: what is read is bounded, what is written may be large."""

from __future__ import annotations

import os
import select
from typing import IO

__all__ = ["Streams"]

_PIECE = 1 << 16
_UNCOUNTED = 8 << 20
"""Bytes that are kept of what is not counted."""


class Streams:
    """Pipes of one process; `excess` once it said more than `limit` bytes on those that are counted together."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.excess = False
        self.ended: set[int] = set()
        self._readers: dict[int, tuple[bytearray, bool]] = {}
        self._writers: dict[int, tuple[memoryview, IO[bytes] | None]] = {}
        self._counted = 0

    @property
    def reading(self) -> bool:
        """Whether some reader has not come to its end."""
        return bool(self._readers)

    def read(self, fd: int, *, counted: bool = True) -> bytearray:
        """Gather what comes from a descriptor: at most `limit` bytes, or of what is not counted 8 MiB."""
        os.set_blocking(fd, False)
        held = bytearray()
        self._readers[fd] = held, counted
        return held

    def write(self, fd: int, data: bytes, *, then_close: IO[bytes] | None = None) -> None:
        """Write some bytes to a descriptor as it takes them, and then close its file."""
        os.set_blocking(fd, False)
        self._writers[fd] = memoryview(data), then_close

    def turn(self, seconds: float) -> None:
        """Serve what is ready within some seconds."""
        poll = select.poll()  # select knows no descriptor above 1023
        for fd in {*self._readers, *self._writers}:
            poll.register(fd, select.POLLIN * (fd in self._readers) | select.POLLOUT * (fd in self._writers))
        for fd, events in poll.poll(1e3 * seconds):
            if fd in self._writers and events & ~select.POLLIN:
                self._push(fd)
            if fd in self._readers and events & ~select.POLLOUT:
                self._pull(fd)

    def _push(self, fd: int) -> None:
        left, file = self._writers[fd]
        try:
            left = left[os.write(fd, left) :] if left else left
        except BlockingIOError:
            return
        except OSError:  # nobody reads any more
            left = left[:0]
        self._writers[fd] = left, file
        if not left:
            del self._writers[fd]
            if file:
                file.close()

    def _pull(self, fd: int) -> None:
        held, counted = self._readers[fd]
        try:
            piece = os.read(fd, _PIECE)
        except BlockingIOError:
            return
        except ConnectionResetError:
            piece = b""
        if not piece:
            del self._readers[fd]
            self.ended.add(fd)
            return
        held += piece[: max(0, (self.limit if counted else _UNCOUNTED) - len(held))]
        if counted:
            self._counted += len(piece)
            self.excess = self.excess or self._counted > self.limit
