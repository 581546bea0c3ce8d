"""The one retry loop: a call, attempt after attempt, until it is done or given up; it sends nothing itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bon.errors import RateLimited, Retryable, UsageError
from bon.events import Hook, Retried
from bon.ledger import Bill, charged
from bon.transport.attempt import Attempt
from bon.transport.pace import Pace
from bon.transport.policy import LONGEST_WISH, Retries

__all__ = ["Calls"]

T = TypeVar("T")

_NO_MORE = "not tried again: so many calls to this endpoint fail that the retries they share are used up"


class Calls:
    """The calls of one endpoint object, each with `total` seconds for its attempts and the waits between them."""

    def __init__(self, pace: Pace, *, retries: Retries, total: float, hook: Hook) -> None:
        self.pace = pace
        self.closed = False
        """No call is begun any more, and none is tried again."""
        self._retries = retries
        self._total = total
        self._hook = hook

    async def make(self, once: Callable[[Attempt], Awaitable[T]], bill: Bill | None = None) -> T:
        """What `once` returns for the first attempt that succeeds; it ends each attempt, by its `with` block.

        Raises the last attempt's error when no other may follow; UsageError where this is closed; CapReached where the
        ledger has no room or its time is over, which ends waits and attempts alike.
        """
        if self.closed:
            raise UsageError(f"the endpoint {self.pace.name!r} is closed; make a new one")
        self.pace.earn_retry()
        ledger = charged() if bill is not None else None
        if bill is None or ledger is None or ledger.caps.seconds is None:
            return await self._attempts(once, bill)
        try:
            async with asyncio.timeout(ledger.caps.seconds - ledger.seconds):
                return await self._attempts(once, bill)
        except TimeoutError:
            refused = await ledger.reserve(bill.most, price=bill.price, by=bill.by)  # it raises: the time is over
            refused.release()
            raise refused.overdue() from None

    async def _attempts(self, once: Callable[[Attempt], Awaitable[T]], bill: Bill | None) -> T:
        clock, most = asyncio.get_running_loop().time, bill.most if bill is not None else None
        left, failed = self._total, 0
        while True:
            entry, left = await self.pace.turn(left, most=most, spread=self._spread)
            attempt = Attempt(self.pace, entry, left, bill)
            try:
                return await once(attempt)
            except Retryable as error:
                failed += 1
                left -= clock() - attempt.began
                wait = self._wait(error, failed)
                if failed >= self._retries.attempts or wait >= left or self.closed:
                    if failed > 1:
                        error.args = (f"{error} (attempt {failed})",)
                    raise
                free = isinstance(error, RateLimited) or _wish(error) is not None  # the endpoint asked for another
                if not free and not self.pace.spend_retry():
                    error.args = (f"{error} (attempt {failed}; {_NO_MORE})",)
                    raise
                self._hook(Retried(endpoint=self.pace.name, attempt=failed, error=type(error).__name__, wait=wait))
            await asyncio.sleep(wait)
            left -= wait

    def _wait(self, error: Retryable, failed: int) -> float:
        """Seconds until the next attempt; a wish of the endpoint binds all callers."""
        wish = _wish(error)
        if wish is None:
            return self._retries.wait(failed)
        self.pace.pause(wish)
        return wish + self._spread()

    def _spread(self) -> float:
        """Seconds that scatter those who wait for the same moment."""
        return self._retries.wait(1)


def _wish(error: Retryable) -> float | None:
    """The wait that the endpoint asked for, where it is one to obey."""
    wish = error.retry_after
    return wish if wish is not None and 0 < wish <= LONGEST_WISH else None
