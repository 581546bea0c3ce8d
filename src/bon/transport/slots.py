"""How many calls may be under way at once and begin in a minute: first come, first served, over threads and loops."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable

from bon.transport.rates import Entry, Rates

__all__ = ["Slots"]


class Slots:
    """A counting semaphore that several event loops share, whose limit may change while it is in use.

    With `rates` a permit is given only when the minute has room for the call too, so that who waits for that holds no
    slot. The first in the queue is the only one who may go: a large call is not overtaken by small ones for ever. A
    permit whose waiter is cancelled in the moment it is handed over goes to the next one: none is ever lost.
    """

    def __init__(self, limit: int, *, rates: Rates | None = None) -> None:
        if limit < 1:
            raise ValueError(f"slots is {limit!r}; at least one call must be possible")
        self.limit = limit
        self.taken = 0
        self.rates = rates or Rates()
        self._waiting: deque[_Waiter] = deque()
        self._lock = threading.RLock()  # re-entrant: the collector may drop a waiter while this thread holds it

    def __repr__(self) -> str:
        return f"Slots({self.limit}, taken={self.taken}, waiting={self.waiting})"

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def acquire(self, tokens: int = 0) -> Entry | None:
        """Take a slot for a call of about so many tokens, in the order of asking; its entry in the log of `rates`."""
        with self._lock:
            if not self._waiting and self.taken < self.limit:
                if not self.rates.limited:
                    self.taken += 1
                    return None
                now = asyncio.get_running_loop().time()
                if self.rates.opens(tokens, now) <= now:
                    self.taken += 1
                    return self.rates.take(tokens, now)
            waiter = _Waiter(asyncio.get_running_loop(), tokens)
            self._waiting.append(waiter)
        try:
            self._serve()
            await waiter.turn
        except BaseException:  # cancelled, or dropped with its loop
            self._withdraw(waiter)
            raise
        return waiter.entry

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(self, *exc_info: object) -> None:
        self.release()

    def release(self) -> None:
        """Give a slot back: to the one that has waited longest, if anyone waits. From any thread."""
        with self._lock:
            self.taken -= 1
        if self._waiting:
            self._serve()

    def correct(self, entry: Entry, tokens: int | None) -> None:
        """What a call really took; None: it was never sent. From any thread."""
        with self._lock:
            if tokens is None:
                self.rates.drop(entry)
            else:
                self.rates.correct(entry, tokens)
        if self._waiting:
            self._serve()

    def resize(self, limit: int) -> None:
        """Another limit from now on; calls that are under way go on."""
        self.limit = limit
        if self._waiting:
            self._serve()

    def _withdraw(self, waiter: _Waiter) -> None:
        with self._lock:
            waiter.disarm()
            if waiter.granted:
                waiter.granted = False
                if waiter.entry is not None:
                    self.rates.drop(waiter.entry)
                self.taken -= 1
            elif waiter in self._waiting:
                self._waiting.remove(waiter)
            else:
                return  # passed over, its loop being closed
        self._serve()

    def _serve(self) -> None:
        """Let in whoever may go; on the loop of the first in the queue, whose clock is read, or else sent there."""
        here = _running_loop()
        while True:
            with self._lock:
                if not self._waiting or self.taken >= self.limit:
                    return
                first = self._waiting[0]
                if first.loop is here:
                    now = here.time()
                    moment = self.rates.opens(first.tokens, now) if self.rates.limited else now
                    if moment > now:
                        first.arm(moment, self._serve)
                        return
                    self._waiting.popleft()
                    self.taken += 1
                    first.entry = self.rates.take(first.tokens, now)
                    first.grant()
                    continue
            try:
                first.loop.call_soon_threadsafe(self._serve)
            except RuntimeError:  # its loop is closed: it will never use a slot, nor give it back
                with self._lock:
                    if first in self._waiting:
                        self._waiting.remove(first)
            else:
                return


class _Waiter:
    """One who waits, on its own loop."""

    __slots__ = ("alarm", "entry", "granted", "loop", "tokens", "turn")

    def __init__(self, loop: asyncio.AbstractEventLoop, tokens: int) -> None:
        self.loop = loop
        self.tokens = tokens
        self.turn: asyncio.Future[None] = loop.create_future()
        self.granted = False
        self.entry: Entry | None = None
        self.alarm: asyncio.TimerHandle | None = None

    def grant(self) -> None:
        self.disarm()
        self.granted = True
        if not self.turn.done():
            self.turn.set_result(None)

    def arm(self, moment: float, serve: Callable[[], None]) -> None:
        """Have the queue served at a moment of the loop's clock."""
        self.disarm()
        self.alarm = self.loop.call_at(moment, serve)

    def disarm(self) -> None:
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
