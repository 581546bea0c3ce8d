"""A circuit breaker: when something that keeps failing is left alone, and when it is tried again; no clock of its own.

Source: M. Nygard, "Release It!", 2007, chapter 5.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import Literal, TypeAlias

__all__ = ["Breaker", "State", "Tolerance"]

State: TypeAlias = Literal["closed", "open", "half-open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How much failing is borne, and how long what failed is left alone."""

    failures: int = 5
    """So many in a row open the circuit."""
    share: float = 0.5
    """In (0, 1]: so large a share of failures among the last `window` calls opens it too."""
    window: int = 50
    """Calls: fewer than these, and the share says nothing yet."""
    pause: float = 1.0
    """Seconds that the circuit is open at first; twice as long after each probe that failed."""
    longest: float = 60.0
    """Seconds that it is open at most."""

    def __post_init__(self) -> None:
        if self.failures < 1 or self.window < 1:
            raise ValueError(f"{self!r}: failures and window are at least 1")
        if not 0 < self.share <= 1:
            raise ValueError(f"{self!r}: share is a part of the calls, above 0 and at most 1")
        if not (0 < self.pause <= self.longest and math.isfinite(self.longest)):
            raise ValueError(f"{self!r}: 0 < pause <= longest, in seconds")


@dataclass(slots=True)
class Breaker:
    """Closed: all calls pass. Open: none does, for a while. Half-open: one probe is under way, whose end decides.

    `admit` gives a call its permit, with which its end is reported: `succeeded`, `failed`, or `released` where the end
    says nothing (it was cancelled; the request itself was wrong). A permit is worth nothing once the state has changed:
    late news of calls from before cannot open, close or prolong anything. Times are seconds on any clock that does not
    run backwards. Not for several threads at once.
    """

    tolerance: Tolerance = field(default_factory=Tolerance)
    random: Random = field(default_factory=Random, repr=False)
    """Draws the jitter: a circuit is open for between half and the whole of its pause."""
    state: State = field(default="closed", init=False)
    reason: str = field(default="", init=False)
    """Why it is open, or half-open; empty while it is closed."""
    due: float = field(default=0.0, init=False)
    """When the next probe may pass, while it is open."""
    _epoch: int = field(default=0, init=False, repr=False)
    _row: int = field(default=0, init=False, repr=False)
    _recent: deque[bool] = field(default_factory=deque, init=False, repr=False)
    _openings: int = field(default=0, init=False, repr=False)
    """In a row, without a success in between."""

    def admit(self, now: float) -> int | None:
        """A permit for one call, or None. The first call after the pause is the probe, and passes alone."""
        if self.state == "open" and now >= self.due:
            self._turn("half-open", self.reason)
        elif self.state != "closed":
            return None
        return self._epoch

    def holds(self, permit: int) -> bool:
        """Whether nothing has changed since the permit was given."""
        return permit == self._epoch

    def succeeded(self, permit: int) -> None:
        """The call did what it should."""
        if not self.holds(permit):
            return
        if self.state == "half-open":
            self._openings = 0
            self._turn("closed", "")
        self._row = 0
        self._note(failed=False)

    def failed(self, permit: int, now: float, why: str) -> None:
        """The call failed, and not by a fault of its own; `why` in a word or two."""
        if not self.holds(permit):
            return
        if self.state == "half-open":
            self._open(now, f"the probe failed: {why}")
            return
        self._row += 1
        self._note(failed=True)
        most = self.tolerance.window
        if self._row >= self.tolerance.failures:
            self._open(now, f"{self._row} failures in a row, the last {why}")
        elif len(self._recent) == most and sum(self._recent) >= self.tolerance.share * most:
            self._open(now, f"{sum(self._recent)} failures among {most}, the last {why}")

    def released(self, permit: int, now: float) -> None:
        """The call ended in a way that says nothing; after a probe, the next call is one. Harmless after the others."""
        if self.holds(permit) and self.state == "half-open":
            self.due = now
            self._turn("open", self.reason)

    def _note(self, *, failed: bool) -> None:
        self._recent.append(failed)
        if len(self._recent) > self.tolerance.window:
            self._recent.popleft()

    def _open(self, now: float, why: str) -> None:
        pause = min(self.tolerance.longest, self.tolerance.pause * 2.0 ** min(self._openings, 60))
        self.due = now + pause * self.random.uniform(0.5, 1.0)
        self._openings += 1
        self._turn("open", why)

    def _turn(self, state: State, reason: str) -> None:
        self.state, self.reason = state, reason
        self._epoch += 1
        self._row = 0
        self._recent.clear()
