"""How hard an endpoint may be used: what its user states, and what its own refusals teach; no clock, no waiting."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

__all__ = ["Concurrency", "Limits", "strictest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How hard one endpoint may be used with one key, by all of this process together."""

    slots: int = 64
    """Calls under way at once, at the most."""
    rpm: int | None = None
    """Requests in any 60 seconds, retries included; None: as many as the slots let through."""
    tpm: int | None = None
    """Tokens in any 60 seconds, read and written; None: no limit. A call counts with an estimate when it is sent (its
    text, and `max_tokens`) and with what it took once that is known."""
    adaptive: bool = True
    """Whether fewer than `slots` are used for as long as the endpoint shows that they are too many."""

    def __post_init__(self) -> None:
        for name in ("slots", "rpm", "tpm"):
            value = getattr(self, name)
            if name != "slots" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is {value!r}; it must be a whole number of at least 1")
        if not isinstance(self.adaptive, bool):
            raise ValueError(f"adaptive is {self.adaptive!r}; it must be true or false")


def strictest(stated: Collection[Limits]) -> Limits:
    """Limits that keep all of these; the defaults where there are none."""
    if not stated:
        return Limits()
    return Limits(
        slots=min(limits.slots for limits in stated),
        rpm=min((limits.rpm for limits in stated if limits.rpm is not None), default=None),
        tpm=min((limits.tpm for limits in stated if limits.tpm is not None), default=None),
        adaptive=all(limits.adaptive for limits in stated),
    )


class Concurrency:
    """How many calls at once an endpoint bears: additive increase, multiplicative decrease, between 1 and `most`.

    It starts at `most`. A sign of overload halves it, from what was really under way, and then no other sign does until
    a call that began after this one brings it: what was sent before tells nothing new. As many successes as it is wide
    widen it by one, if it was what held calls back. A call says with `era` when it began.

    Sources: D.-M. Chiu, R. Jain, "Analysis of the increase and decrease algorithms for congestion avoidance in computer
    networks", 1989; the half of what is in flight, RFC 5681, section 3.1; no growth without use, RFC 7661.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.limit = most
        self.era = 0
        """Counts the decreases."""
        self._successes = 0

    def __repr__(self) -> str:
        return f"Concurrency({self.limit} of {self.most})"

    def bound(self, most: int) -> None:
        """Another upper bound; where the old one was reached, the new one is."""
        self.limit = most if self.limit == self.most else min(self.limit, most)
        self.most = most

    def succeeded(self, era: int, *, under_way: int) -> None:
        """A call of this era got its answer, while so many were under way, itself included."""
        if era != self.era or self.limit >= self.most or under_way < self.limit:
            return
        self._successes += 1
        if self._successes >= self.limit:
            self.limit += 1
            self._successes = 0

    def overloaded(self, era: int, *, under_way: int) -> None:
        """A call of this era met a sign of overload, while so many were under way, itself included."""
        if era != self.era:
            return
        self.limit = max(1, min(self.limit, under_way) // 2)
        self.era += 1
        self._successes = 0
