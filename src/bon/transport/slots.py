"""How many calls may be under way at once, first come, first served, across threads and event loops."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

__all__ = ["Slots"]


class Slots:
    """A counting semaphore that several event loops share.

    A permit whose waiter is cancelled in the moment it is handed over goes to the next one: none is ever lost.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"slots is {limit!r}; at least one call must be possible")
        self.limit = limit
        self._free = limit
        self._waiting: deque[_Waiter] = deque()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Slots({self.limit}, taken={self.taken}, waiting={self.waiting})"

    @property
    def taken(self) -> int:
        return self.limit - self._free

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def acquire(self) -> None:
        """Take a slot, waiting for one in the order of asking."""
        with self._lock:
            if self._free:
                self._free -= 1
                return
            waiter = _Waiter()
            self._waiting.append(waiter)
        try:
            await waiter.turn
        except BaseException:  # cancelled, or dropped with its loop
            with self._lock:
                granted = waiter.granted
                if waiter in self._waiting:
                    self._waiting.remove(waiter)
            if granted:
                self.release()
            raise

    def release(self) -> None:
        """Give a slot back: to the one that has waited longest, if anyone waits. From any thread."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._free += 1
                    return
                waiter = self._waiting.popleft()
                waiter.granted = True
            if waiter.wake():
                return
            waiter.granted = False  # its loop is closed: it will never use the slot, nor give it back


class _Waiter:
    """One who waits, on its own loop."""

    __slots__ = ("granted", "loop", "turn")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.turn: asyncio.Future[None] = self.loop.create_future()
        self.granted = False

    def wake(self) -> bool:
        """Tell the waiter that it is its turn; False where nobody is there any more."""
        try:
            if _running_loop() is self.loop:
                self._set()
            else:
                self.loop.call_soon_threadsafe(self._set)
        except RuntimeError:
            return False
        return True

    def _set(self) -> None:
        if not self.turn.done():
            self.turn.set_result(None)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
