"""The pace at which one endpoint is called, shared by all of this process who call it with the same key."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable

from bon.errors import RateLimited
from bon.transport.limits import Concurrency, Limits, strictest
from bon.transport.policy import RetryBudget
from bon.transport.rates import Entry
from bon.transport.slots import Slots
from bon.types import Usage

__all__ = ["Pace"]

_TYPICAL = 1000
"""Tokens of a call that nothing bounds, until some have been seen."""
_BYTES = 3
"""Bytes of text that make a token, at the least, for an estimate: four in English, three in Chinese."""
_NEWS = 0.1
"""Weight of the latest call in what is typical."""


class Pace:
    """Slots, rates, the endpoint's own pauses and the retries that are left, for whoever calls one endpoint.

    Each caller states its limits, and the strictest hold for as long as the caller is there and not closed. From any
    thread and event loop.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        """What errors call the endpoint."""
        limits = Limits()
        self.slots = Slots(limits.slots)
        self.concurrency = Concurrency(limits.slots)
        self.retries = RetryBudget()
        self._adaptive = limits.adaptive
        self._not_before = 0.0
        self._typical = float(_TYPICAL)
        self._stated: dict[int, Limits] = {}
        self._stale = False
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Pace({self.slots!r}, {self.concurrency!r})"

    @classmethod
    def shared(cls, identity: str, *, name: str) -> Pace:
        """The pace of the endpoint and key that `identity` stands for; it is forgotten with the last who has it."""
        with _SHARING:
            pace = _SHARED.get(identity)
            if pace is None:
                pace = _SHARED[identity] = cls(name)
            return pace

    # Who calls

    def join(self, caller: object, limits: Limits | None) -> None:
        """`caller` is one more who calls; without limits it takes those of the others."""
        if limits is not None:
            self._stated[id(caller)] = limits
            weakref.finalize(caller, self._forget, id(caller)).atexit = False
        self._restrict()

    def leave(self, caller: object) -> None:
        """`caller` calls no more, and its limits are no longer those of the others."""
        self._forget(id(caller))
        self._restrict()

    def _forget(self, caller: int) -> None:
        """Without a lock, since the collector may call this at any moment; the next call sees to the rest."""
        self._stated.pop(caller, None)
        self._stale = True

    def _restrict(self) -> None:
        with self._lock:
            self._stale = False
            limits = strictest(tuple(self._stated.values()))
            self.slots.rates.limit(rpm=limits.rpm, tpm=limits.tpm)
            self._adaptive = limits.adaptive
            self.concurrency.bound(limits.slots)
            width = self.concurrency.limit if limits.adaptive else limits.slots
        self.slots.resize(width)

    # One attempt at a call

    async def turn(self, left: float, *, most: Usage | None, spread: Callable[[], float]) -> tuple[Entry | None, float]:
        """Take a slot in one's turn; what `rates` noted of it, and the seconds that are left of `left`.

        Only the pauses that the endpoint asked for count against `left`; a RateLimited is raised for one that is
        longer. `most` is what the call may take at the most; `spread` gives the seconds by which those who waited for
        the end of a pause are scattered.
        """
        while True:
            pause = self._pause_left()
            if pause <= 0:
                if self._stale:
                    self._restrict()
                entry = await self.slots.acquire(self._estimate(most))
                if self._pause_left() <= 0:
                    return entry, left
                self.give_back(entry, sent=False)
                continue
            pause += spread()
            if pause >= left:
                asked = f"{self.name} asked to be left alone for longer than the {left:.3g} s that this call has left"
                raise RateLimited(asked, retry_after=pause)
            await asyncio.sleep(pause)
            left -= pause

    def give_back(self, entry: Entry | None, *, sent: bool = True, used: int | None = None) -> None:
        """The attempt is over: it was sent or not, and took so many tokens, if anyone knows."""
        self.slots.release()
        if entry is not None and not sent:
            self.slots.correct(entry, None)
        elif entry is not None and used is not None:
            self._typical += _NEWS * (used - self._typical)
            self.slots.correct(entry, used)

    def _pause_left(self) -> float:
        return self._not_before - asyncio.get_running_loop().time() if self._not_before else 0.0

    def succeeded(self, era: int) -> None:
        """A call of this era of `concurrency` was answered; it still has its slot."""
        if self.concurrency.limit < self.concurrency.most:
            self._learn(self.concurrency.succeeded, era)

    def overloaded(self, era: int) -> None:
        """A call of this era of `concurrency` met a sign of overload; it still has its slot."""
        self._learn(self.concurrency.overloaded, era)

    def _learn(self, lesson: Callable[..., None], era: int) -> None:
        if not self._adaptive:
            return
        with self._lock:
            lesson(era, under_way=self.slots.taken)
            width = self.concurrency.limit
        if width != self.slots.limit:
            self.slots.resize(width)

    def pause(self, seconds: float) -> None:
        """The endpoint wants to be left alone: nobody begins an attempt for so long."""
        self._not_before = max(self._not_before, asyncio.get_running_loop().time() + seconds)

    def earn_retry(self) -> None:
        """A call begins."""
        if not self.retries.full:
            with self._lock:
                self.retries.earn()

    def spend_retry(self) -> bool:
        """Whether the endpoint may be sent one more retry; it is counted."""
        with self._lock:
            return self.retries.spend()

    def _estimate(self, most: Usage | None) -> int:
        """Tokens that a call will take, on the large side."""
        if self.slots.rates.tpm is None:
            return 0
        return int(self._typical) if most is None else most.prompt_tokens // _BYTES + most.completion_tokens


_SHARED: weakref.WeakValueDictionary[str, Pace] = weakref.WeakValueDictionary()
_SHARING = threading.Lock()
