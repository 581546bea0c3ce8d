"""The ledger: what a call may cost is reserved before it is made and settled after, so that no cap is ever passed."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable

from bon.errors import CapReached
from bon.ledger.account import Account, units
from bon.ledger.bills import enter, leave
from bon.ledger.caps import Caps
from bon.ledger.prices import Price
from bon.types import Spent, Usage

__all__ = ["Ledger", "Reservation"]

_SHORTEST = 0.001
"""Seconds: the least that a call is told it has left, because 0 means "no limit" to those who are told."""
_NOTHING = Usage()


class Ledger:
    """Counts what calls cost and refuses those that could pass a cap; shared by threads and event loops.

    Before a call the most that it could cost is reserved, after it what it did cost is settled. Where there is no room
    a call waits, first come, first served, until calls under way have settled for less; it is refused (CapReached)
    when there would be no room even if they cost nothing. What is spent and reserved together never passes a cap, as
    long as no call costs more than its upper bound; one that does is counted as it was.

    `with Ledger(Caps(money=2)) as ledger:` charges what is called inside to it. `spent` is what earlier runs spent.
    `allow_unpriced`: whether models without a known price may be called under a cap on money; they add nothing to it.
    """

    def __init__(self, caps: Caps | None = None, *, spent: Spent | None = None, allow_unpriced: bool = False) -> None:
        earlier = spent or Spent()
        self.caps = caps or Caps()
        self.allow_unpriced = allow_unpriced
        self.reached: CapReached | None = None
        """The first refusal: who takes up new work stops doing so."""
        self.listeners: list[Callable[[Ledger], None]] = []
        """Called after each settlement and, where there are caps, each reservation, in the thread that makes it; what
        they raise is raised there."""
        self._account = Account(self.caps, earlier)
        self._capped = self.caps != Caps()
        self._waiting: deque[_Waiter] = deque()
        self._serving = False
        self._lock = threading.RLock()  # re-entrant: the collector may drop a waiter while this thread holds it
        self._earlier = earlier.seconds
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
        return self._earlier + (self._clock() - self._began if self._clock is not None else 0.0)

    @property
    def seconds_left(self) -> float | None:
        """Until the cap on seconds, negative after it; None where there is none."""
        return None if self.caps.seconds is None else self.caps.seconds - self.seconds

    @property
    def spent(self) -> Spent:
        """What is settled, earlier runs included; the seconds run on."""
        with self._lock:
            return self._account.spent(self.seconds)

    @property
    def at_worst(self) -> Spent:
        """What would be spent if all calls under way cost as much as they could: what is true after a kill, at most."""
        with self._lock:
            return self._account.at_worst(self.seconds)

    @property
    def reserved(self) -> Spent:
        """What the calls under way could cost at the most."""
        with self._lock:
            return self._account.reserved()

    async def reserve(self, most: Usage | None, *, price: Price | None, by: str) -> Reservation:
        """Room for one call of `by` that takes `most` at the most (None: unbounded); waits while there may come some.

        Raises CapReached where there will be none; UsageError where a cap cannot be kept, for want of a bound or of a
        price.
        """
        reservation = self._wanted(most, price, by)
        with self._lock:
            taken = self._take(reservation)
            if not taken:
                self._refuse_if_hopeless(reservation)
                waiter = _Waiter(reservation)
                self._waiting.append(waiter)
        if not taken:
            await self._turn_of(waiter)
        if self._capped:
            self._tell()
        return reservation

    async def _turn_of(self, waiter: _Waiter) -> None:
        """Wait until there is room. Raises CapReached where there will be none."""
        try:
            async with asyncio.timeout(self.seconds_left):
                await waiter.turn
        except TimeoutError:
            self._give_up(waiter)
            raise self.overdue(waiter.reservation.by) from None
        except BaseException:  # cancelled, or dropped with its loop
            self._give_up(waiter)
            raise
        if waiter.refused is not None:
            raise waiter.refused

    def reserve_now(self, most: Usage | None, *, price: Price | None, by: str) -> Reservation | None:
        """As `reserve`, but None where there is no room at this moment, or others wait for it."""
        reservation = self._wanted(most, price, by)
        with self._lock:
            return reservation if self._take(reservation) else None

    def overdue(self, by: str) -> CapReached:
        """The failure of a call of `by` that the cap on seconds has cut off, or kept from being made."""
        return self._refused("seconds", Reservation(self, None, None, by))

    def _wanted(self, most: Usage | None, price: Price | None, by: str) -> Reservation:
        if self._clock is None:
            self._begin()
        reservation = Reservation(self, most, price, by)
        if self._capped:
            self._account.check(reservation, allow_unpriced=self.allow_unpriced)
        return reservation

    def _take(self, wanted: Reservation) -> bool:
        """Whether there is room for it, which is held then; nobody overtakes those who wait."""
        if self._capped and (self._waiting or self._account.short(wanted, self.seconds_left)):
            return False
        self._account.hold(wanted)
        return True

    def _refuse_if_hopeless(self, wanted: Reservation) -> None:
        cap = self._account.short(wanted, self.seconds_left, held=False)
        if cap is not None:
            raise self._refused(cap, wanted)

    def _refused(self, cap: str, wanted: Reservation) -> CapReached:
        error = self._account.refusal(cap, wanted, self.seconds)
        if self.reached is None:
            self.reached = error
        return error

    def _end(self, reservation: Reservation, usage: Usage | None, *, made: bool) -> None:
        with self._lock:
            if not self._account.drop(reservation):
                return
            if made:
                self._account.book(reservation, usage)
            self._serve()
        if made:
            self._tell()

    def _tell(self) -> None:
        for listener in self.listeners:
            listener(self)

    def _serve(self) -> None:
        """Answer those who wait, in the order of asking, until one has to wait on; with the lock held."""
        if self._serving:
            return  # called from inside itself, by way of the collector: the loop below goes on
        self._serving = True
        try:
            while self._waiting:
                waiter = self._waiting.popleft()
                wanted = waiter.reservation
                cap = self._account.short(wanted, self.seconds_left, held=False)
                if cap is not None:
                    waiter.refused = self._refused(cap, wanted)
                elif self._account.short(wanted, self.seconds_left):
                    self._waiting.appendleft(waiter)
                    return
                else:
                    self._account.hold(wanted)
                if waiter.gone or not waiter.wake():
                    self._account.drop(wanted)  # nobody is there any more to use it, nor to give it back
        finally:
            self._serving = False

    def _give_up(self, waiter: _Waiter) -> None:
        with self._lock:
            waiter.gone = True
            self._account.drop(waiter.reservation)
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            self._serve()

    def _begin(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()


class Reservation:
    """Room for one call; end it once, by `settle` or `release`: what comes after the first changes nothing."""

    __slots__ = ("_ledger", "by", "money", "most", "price", "tokens")

    def __init__(self, ledger: Ledger, most: Usage | None, price: Price | None, by: str) -> None:
        self._ledger = ledger
        self.most = most
        self.price = price
        self.by = by
        self.tokens = 0 if most is None else most.total_tokens
        self.money = 0 if price is None else units(price.of(most or _NOTHING))
        """In 1e-12 dollars."""

    def __repr__(self) -> str:
        return f"Reservation({self.most!r}, price={self.price!r}, by={self.by!r})"

    @property
    def seconds_left(self) -> float | None:
        """How long the call may take, in seconds, at least 0.001; None where there is no cap on them."""
        left = self._ledger.seconds_left
        return None if left is None else max(left, _SHORTEST)

    def settle(self, usage: Usage | None) -> None:
        """The call was made and took `usage`; None: nobody knows, so all that was reserved counts."""
        self._ledger._end(self, usage, made=True)  # noqa: SLF001  # the other half of one thing

    def release(self) -> None:
        """The call was not made, or cost nothing: nothing counts."""
        self._ledger._end(self, None, made=False)  # noqa: SLF001  # the same

    def overdue(self) -> CapReached:
        """The failure of this call where the cap on seconds cut it off."""
        return self._ledger.overdue(self.by)


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
