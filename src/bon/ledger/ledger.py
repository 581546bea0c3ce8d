"""The ledger: what a call may cost is reserved before it is made and settled after, so that no cap is ever passed."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable

from bon.errors import CapReached, UsageError
from bon.ledger.bills import enter, leave
from bon.ledger.caps import Caps, refusal
from bon.ledger.prices import Price
from bon.types import Spent, Usage

__all__ = ["Ledger", "Reservation"]

_SCALE = 10**12
_SHORTEST = 0.001
"""Seconds: the least that is left to a call, because 0 means "no limit" to those who are told."""


class Ledger:
    """Counts what calls cost and refuses those that could pass a cap; shared by threads and event loops.

    Before a call the most that it could cost is reserved, after it what it did cost is settled. Where there is no room
    a call waits, first come, first served, until calls under way have settled for less; it is refused (CapReached)
    when there would be no room even if they cost nothing. What is spent and reserved together never passes a cap, as
    long as no call costs more than its upper bound; one that does is counted as it was.

    `with Ledger(Caps(money=2)) as ledger:` charges what is called inside to it. `spent` is what earlier runs spent.
    `allow_unpriced`: whether models without a known price may be called under a cap on money; they count nothing to it.
    """

    def __init__(self, caps: Caps | None = None, *, spent: Spent | None = None, allow_unpriced: bool = False) -> None:
        self.caps = caps or Caps()
        self.allow_unpriced = allow_unpriced
        self.reached: CapReached | None = None
        """The first refusal: who starts calls stops starting more."""
        self.listeners: list[Callable[[Ledger], None]] = []
        """Called after each settlement, from the thread that settles; what they raise is raised there."""
        earlier = spent or Spent()
        self._usage = earlier.usage
        self._calls = earlier.calls
        self._money = None if earlier.money is None else _units(earlier.money)
        self._earlier_seconds = earlier.seconds
        self._money_cap = None if self.caps.money is None else _units(self.caps.money)
        self._capped = self.caps != Caps()
        self._open: set[Reservation] = set()
        self._tokens_held = self._money_held = 0
        self._waiting: deque[_Waiter] = deque()
        self._serving = False
        self._lock = threading.RLock()  # re-entrant: the collector may drop a waiter while this thread holds it
        self._clock: Callable[[], float] | None = None
        self._began = 0.0
        if _running_loop() is not None:
            self._begin()

    def __repr__(self) -> str:
        return f"Ledger({self.caps!r}, spent={self.spent!r}, reserved={self.reserved!r})"

    def __enter__(self) -> Ledger:
        enter(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        leave()

    @property
    def seconds(self) -> float:
        """Wall-clock seconds since the ledger began, and those of earlier runs.

        It begins when it is made inside a running event loop, else with its first reservation.
        """
        return self._earlier_seconds + (self._clock() - self._began if self._clock else 0.0)

    @property
    def spent(self) -> Spent:
        """What is settled, earlier runs included; the seconds run on."""
        with self._lock:
            money = None if self._money is None else self._money / _SCALE
            return Spent(usage=self._usage, calls=self._calls, money=money, seconds=self.seconds)

    @property
    def reserved(self) -> Spent:
        """What the calls under way could cost at the most."""
        with self._lock:
            usage = sum((one.most for one in self._open if one.most is not None), Usage())
            priced = any(one.price is not None for one in self._open)
            return Spent(usage=usage, calls=len(self._open), money=self._money_held / _SCALE if priced else None)

    async def reserve(self, most: Usage | None, *, price: Price | None, by: str) -> Reservation:
        """Room for one call of `by` that costs `most` at the most (None: unknown); waits for it while it may come.

        Raises CapReached where there will be none; UsageError where a cap cannot be kept, for want of `most` (no
        max_tokens) or of a price.
        """
        reservation = self._wanted(most, price, by)
        with self._lock:
            if not self._waiting and self._has_room(reservation):
                return self._take(reservation)
            self._refuse_hopeless(reservation)
            waiter = _Waiter(reservation)
            self._waiting.append(waiter)
        return await self._granted(waiter)

    def reserve_now(self, most: Usage | None, *, price: Price | None, by: str) -> Reservation | None:
        """As `reserve`, but None where there is no room at this moment or others wait for it."""
        reservation = self._wanted(most, price, by)
        with self._lock:
            return None if self._waiting or not self._has_room(reservation) else self._take(reservation)

    async def _granted(self, waiter: _Waiter) -> Reservation:
        left = self._seconds_left()
        try:
            async with asyncio.timeout(left):
                await waiter.turn
        except TimeoutError:
            self._give_up(waiter)
            raise self._overdue(waiter.reservation.by) from None
        except BaseException:  # cancelled, or dropped with its loop
            self._give_up(waiter)
            raise
        if waiter.refused is not None:
            raise waiter.refused
        return waiter.reservation

    def _give_up(self, waiter: _Waiter) -> None:
        with self._lock:
            waiter.gone = True
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            waiter.reservation.release()
            self._serve()

    # What follows runs with the lock held, but for the first and the last two.

    def _wanted(self, most: Usage | None, price: Price | None, by: str) -> Reservation:
        if self._clock is None:
            self._begin()
        if self._capped:
            if price is None and self._money_cap is not None and not self.allow_unpriced:
                raise UsageError(
                    f"there is a cap on money, and no price of {by} is known: state it in bon.toml ([prices]), have "
                    "prices looked up (pip install 'bon[prices]'), or allow models without a price (--allow-unpriced)"
                )
            counted = self.caps.tokens is not None or (
                self._money_cap is not None and price is not None and price.per_token
            )
            if most is None and counted:
                raise UsageError(
                    f"there is a cap on {'tokens' if self.caps.tokens is not None else 'money'}, and nothing bounds "
                    f"what a call of {by} may take: give max_tokens"
                )
        return Reservation(self, most, price, by)

    def _has_room(self, wanted: Reservation) -> bool:
        return not self._capped or self._short(wanted, held=True) is None

    def _short(self, wanted: Reservation, *, held: bool) -> str | None:
        """The first cap that leaves no room, with or without what is held by calls under way."""
        caps, left = self.caps, self._seconds_left()
        if left is not None and left <= 0:
            return "seconds"
        money, tokens, calls = self._money or 0, self._usage.total_tokens, self._calls
        if held:
            money, tokens, calls = money + self._money_held, tokens + self._tokens_held, calls + len(self._open)
        if self._money_cap is not None and wanted.priced and money + wanted.money > self._money_cap:
            return "money"
        if caps.tokens is not None and tokens + wanted.tokens > caps.tokens:
            return "tokens"
        return "calls" if caps.calls is not None and calls + 1 > caps.calls else None

    def _refuse_hopeless(self, wanted: Reservation) -> None:
        cap = self._short(wanted, held=False)
        if cap is not None:
            raise self._refusal(cap, wanted)

    def _refusal(self, cap: str, wanted: Reservation) -> CapReached:
        if cap == "seconds":
            return self._overdue(wanted.by)
        amounts = {
            "tokens": (self._usage.total_tokens, self._tokens_held, wanted.tokens),
            "calls": (self._calls, len(self._open), 1),
            "money": ((self._money or 0) / _SCALE, self._money_held / _SCALE, wanted.money / _SCALE),
        }
        spent, reserved, most = amounts[cap]
        error = refusal(cap, by=wanted.by, limit=getattr(self.caps, cap), spent=spent, reserved=reserved, most=most)
        return self._remember(error)

    def _take(self, reservation: Reservation) -> Reservation:
        self._open.add(reservation)
        self._tokens_held += reservation.tokens
        self._money_held += reservation.money
        return reservation

    def _put_back(self, reservation: Reservation) -> bool:
        """Whether it was still open."""
        if reservation not in self._open:
            return False
        self._open.remove(reservation)
        self._tokens_held -= reservation.tokens
        self._money_held -= reservation.money
        return True

    def _serve(self) -> None:
        """Answer those who wait, in the order of asking, until one has to wait on."""
        if self._serving:
            return  # from inside of itself, by way of the collector: the loop below goes on
        self._serving = True
        try:
            while self._waiting:
                waiter = self._waiting.popleft()
                cap = self._short(waiter.reservation, held=False)
                if cap is not None:
                    waiter.refused = self._refusal(cap, waiter.reservation)
                elif self._has_room(waiter.reservation):
                    self._take(waiter.reservation)
                else:
                    self._waiting.appendleft(waiter)
                    return
                if waiter.gone or not waiter.wake():
                    self._put_back(waiter.reservation)  # nobody is there any more to use it, nor to give it back
        finally:
            self._serving = False

    def _begin(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()

    def _seconds_left(self) -> float | None:
        return None if self.caps.seconds is None else self.caps.seconds - self.seconds

    def _overdue(self, by: str) -> CapReached:
        return self._remember(refusal("seconds", by=by, limit=self.caps.seconds or 0.0, spent=self.seconds))

    def _remember(self, error: CapReached) -> CapReached:
        if self.reached is None:
            self.reached = error
        return error

    def _settle(self, reservation: Reservation, usage: Usage | None) -> None:
        price = reservation.price
        with self._lock:
            if not self._put_back(reservation):
                return
            if usage is None:
                usage, money = reservation.most or Usage(), reservation.money if reservation.priced else None
            elif usage.money is not None:
                money = _units(usage.money)
            else:
                money = None if price is None else _units(price.of(usage))
            self._calls += 1
            self._usage += Usage(
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                cached_tokens=usage.cached_tokens,
            )
            if money is not None:
                self._money = (self._money or 0) + money
            self._serve()
        for listener in self.listeners:
            listener(self)

    def _release(self, reservation: Reservation) -> None:
        with self._lock:
            if self._put_back(reservation):
                self._serve()


class Reservation:
    """Room for one call; end it once, by `settle` or `release`: what comes after the first changes nothing."""

    __slots__ = ("_ledger", "by", "money", "most", "price", "priced", "tokens")

    def __init__(self, ledger: Ledger, most: Usage | None, price: Price | None, by: str) -> None:
        self._ledger = ledger
        self.most = most
        self.price = price
        self.by = by
        self.priced = price is not None
        self.tokens = 0 if most is None else most.total_tokens
        self.money = 0 if price is None else _units(price.of(most or _NOTHING))

    @property
    def seconds_left(self) -> float | None:
        """How long the call may take, in seconds, at least 0.001; None where there is no cap on them."""
        left = self._ledger._seconds_left()  # noqa: SLF001  # two halves of one thing
        return None if left is None else max(left, _SHORTEST)

    def settle(self, usage: Usage | None) -> None:
        """The call was made and took `usage`; None: nobody knows, so all that was reserved counts."""
        self._ledger._settle(self, usage)  # noqa: SLF001  # two halves of one thing

    def release(self) -> None:
        """The call was not made, or cost nothing: nothing counts."""
        self._ledger._release(self)  # noqa: SLF001  # two halves of one thing

    def overdue(self) -> CapReached:
        """The failure of this call where the cap on seconds cut it off."""
        return self._ledger._overdue(self.by)  # noqa: SLF001  # two halves of one thing


_NOTHING = Usage()


class _Waiter:
    """One who waits for room, on its own loop."""

    __slots__ = ("gone", "loop", "refused", "reservation", "turn")

    def __init__(self, reservation: Reservation) -> None:
        self.reservation = reservation
        self.refused: CapReached | None = None
        self.gone = False
        self.loop = asyncio.get_running_loop()
        self.turn: asyncio.Future[None] = self.loop.create_future()

    def wake(self) -> bool:
        """Tell the waiter that it is answered; False where its loop is closed."""
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


def _units(money: float) -> int:
    """Money as a whole number, so that sums are exact: in 1e-12 dollars."""
    return round(money * _SCALE)
