"""The sums behind a ledger: what is spent, what is held for calls under way, what that leaves; no clock, no lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bon.errors import CapReached, UsageError
from bon.ledger.caps import Caps, refusal
from bon.types import Spent, Usage

if TYPE_CHECKING:
    from bon.ledger.ledger import Reservation

__all__ = ["Account", "units"]

_SCALE = 10**12


def units(money: float) -> int:
    """Money as a whole number, so that sums are exact: in 1e-12 dollars."""
    return round(money * _SCALE)


class Account:
    """Exact sums under caps on tokens, calls and money; the caller says how many seconds are left."""

    def __init__(self, caps: Caps, spent: Spent) -> None:
        self.caps = caps
        self._cap = None if caps.money is None else units(caps.money)
        self._read = spent.usage.prompt_tokens
        self._written = spent.usage.completion_tokens
        self._cached = spent.usage.cached_tokens
        self._calls = spent.calls
        self._money = 0 if spent.money is None else units(spent.money)
        self._priced = spent.money is not None
        self._held: set[Reservation] = set()
        self._held_tokens = self._held_written = self._held_money = 0

    def spent(self, seconds: float) -> Spent:
        usage = Usage(prompt_tokens=self._read, completion_tokens=self._written, cached_tokens=self._cached)
        return Spent(usage=usage, calls=self._calls, money=self._dollars(self._money, self._priced), seconds=seconds)

    def at_worst(self, seconds: float) -> Spent:
        """What is spent, if every call under way costs all that it could."""
        usage = Usage(
            prompt_tokens=self._read + self._held_tokens - self._held_written,
            completion_tokens=self._written + self._held_written,
            cached_tokens=self._cached,
        )
        money = self._dollars(self._money + self._held_money, self._priced or self._held_money > 0)
        return Spent(usage=usage, calls=self._calls + len(self._held), money=money, seconds=seconds)

    def reserved(self) -> Spent:
        usage = sum((one.most for one in self._held if one.most is not None), Usage())
        priced = any(one.price is not None for one in self._held)
        return Spent(usage=usage, calls=len(self._held), money=self._dollars(self._held_money, priced))

    def check(self, wanted: Reservation, *, allow_unpriced: bool) -> None:
        """Refuse a call for which a cap could not be kept."""
        price = wanted.price
        if price is None and self._cap is not None and not allow_unpriced:
            raise UsageError(
                f"there is a cap on money, and no price of {wanted.by} is known: state one in bon.toml ([prices]), "
                "have it looked up (pip install 'bon[prices]'), or allow models without a price (--allow-unpriced)"
            )
        if wanted.most is not None:
            return
        costs = self._cap is not None and price is not None and price.per_token
        if costs or self.caps.tokens is not None:
            cap = "money" if costs else "tokens"
            raise UsageError(f"there is a cap on {cap}, and nothing bounds a call of {wanted.by}: give max_tokens")

    def short(self, wanted: Reservation, seconds_left: float | None, *, held: bool = True) -> str | None:
        """The first cap that leaves no room; without `held` it would leave none if all calls under way cost nothing."""
        if seconds_left is not None and seconds_left <= 0:
            return "seconds"
        money, tokens, calls = wanted.money + self._money, wanted.tokens + self._read + self._written, 1 + self._calls
        if held:
            money, tokens, calls = money + self._held_money, tokens + self._held_tokens, calls + len(self._held)
        if self._cap is not None and money > self._cap and wanted.price is not None:
            return "money"
        if self.caps.tokens is not None and tokens > self.caps.tokens:
            return "tokens"
        return "calls" if self.caps.calls is not None and calls > self.caps.calls else None

    def refusal(self, cap: str, wanted: Reservation, seconds: float) -> CapReached:
        """Why there is no room, in words."""
        spent, held, most = {
            "money": (self._money / _SCALE, self._held_money / _SCALE, wanted.money / _SCALE),
            "tokens": (self._read + self._written, self._held_tokens, wanted.tokens),
            "calls": (self._calls, len(self._held), 1),
            "seconds": (seconds, 0, None),
        }[cap]
        limit = getattr(self.caps, cap)
        return refusal(cap, by=wanted.by, limit=limit, spent=spent, reserved=held, most=most)

    def hold(self, wanted: Reservation) -> None:
        self._held.add(wanted)
        self._held_tokens += wanted.tokens
        self._held_written += wanted.most.completion_tokens if wanted.most is not None else 0
        self._held_money += wanted.money

    def drop(self, held: Reservation) -> bool:
        """Hold it no more; False where it was not held (any more)."""
        if held not in self._held:
            return False
        self._held.remove(held)
        self._held_tokens -= held.tokens
        self._held_written -= held.most.completion_tokens if held.most is not None else 0
        self._held_money -= held.money
        return True

    def book(self, call: Reservation, usage: Usage | None) -> None:
        """Count a call; where nobody knows what it took, it took all that it could."""
        took = usage if usage is not None else call.most
        money = call.money
        if took is not None:
            self._read += took.prompt_tokens
            self._written += took.completion_tokens
            self._cached += took.cached_tokens
        if usage is not None and usage.money is not None:
            money = units(usage.money)
        elif usage is not None and call.price is not None:
            money = units(call.price.of(usage))
        self._calls += 1
        self._money += money
        self._priced = self._priced or call.price is not None or (usage is not None and usage.money is not None)

    @staticmethod
    def _dollars(money: int, known: bool) -> float | None:
        return money / _SCALE if known else None
