"""Generators in order of preference, each with its circuit breaker: who takes a draw, who is left alone, and why."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Collection, Sequence
from random import Random
from typing import Literal, TypeAlias

from bon.errors import DrawError
from bon.events import Switched, tell
from bon.generate.breaker import Breaker, Tolerance
from bon.generate.composing import name_of
from bon.protocols import Generator
from bon.types import Candidate, Draw, Failure

__all__ = ["FINAL", "Circuits", "Place", "Said", "now"]

FINAL = "CapReached"
"""The failure that no other generator could help with."""
_NOT_ITS_FAULT = frozenset({FINAL, "Rejected", "DrawError"})
"""Failures that are about the request, or about us, and say nothing of how the generator is."""
_GLANCE = 0.1
"""Seconds between two looks at whether somebody else's probe has come back: it may run on another thread."""


def now() -> float:
    """The time by which circuits open and close, in seconds."""
    return asyncio.get_running_loop().time()


class Place:
    """One of the generators with its circuit, for callers on any thread."""

    def __init__(self, generator: Generator, breaker: Breaker, *, name: str) -> None:
        self.generator = generator
        self.breaker = breaker
        self.name = name
        self.out: Exception | None = None
        """What it raised outright; it is never asked again."""
        self._lock = threading.Lock()

    @property
    def works(self) -> bool:
        """Whether it takes any draw."""
        return self.out is None and self.breaker.state == "closed"

    def admit(self) -> int | None:
        """A permit for one draw, or None."""
        with self._lock:
            return self.breaker.admit(now())

    def due(self) -> float:
        """When to ask it again that has just refused."""
        return self.breaker.due if self.breaker.state == "open" else now() + _GLANCE

    def report(self, permit: int, draw: Draw) -> bool:
        """Note how a draw ended; whether that took the generator out of use, or back into it."""
        with self._lock:
            worked = self.breaker.state == "closed"
            if isinstance(draw, Failure) and draw.error not in _NOT_ITS_FAULT:
                self.breaker.failed(permit, now(), draw.error)
            elif isinstance(draw, Candidate) and not draw.cached:
                self.breaker.succeeded(permit)
            return worked is not (self.breaker.state == "closed")

    def release(self, permit: int) -> None:
        """The draw has ended, however: a probe of which nothing was heard makes room for another."""
        with self._lock:
            self.breaker.released(permit, now())

    def excuse(self) -> str:
        """Why it was not asked for a draw."""
        if self.out is not None:
            return f"{self.name}: out of use: {type(self.out).__name__}: {self.out}"
        open_for = f"for {max(self.breaker.due - now(), 0.0):.0f} s more"
        wait = open_for if self.breaker.state == "open" else "until its probe is back"
        return f"{self.name}: left alone {wait} ({self.breaker.reason})"


Said: TypeAlias = dict[Place, Failure]
"""What those said who have had a draw, in that order."""


class Circuits:
    """The places of one Fallback, which is called `name`."""

    def __init__(self, name: str, generators: Sequence[Generator], *, tolerance: Tolerance, random: Random) -> None:
        self.name = name
        named = zip(generators, _told_apart(generators), strict=True)
        self.places = tuple(Place(one, Breaker(tolerance, random), name=name) for one, name in named)
        self._fatal: Exception | None = None

    def choose(self, said: Said, deadline: float) -> tuple[Place, int] | float | None:
        """Who takes a draw, with its permit; or the seconds to wait before asking again; None where that is in vain.

        Those in `said` have had the draw already. Raises what the last generator raised when all have.
        """
        left = [place for place in self.places if place.out is None]
        if not left and self._fatal is not None:
            raise self._fatal
        soonest = float("inf")
        for place in left:
            if place not in said:
                permit = place.admit()
                if permit is not None:
                    return place, permit
                soonest = min(soonest, place.due())
        return max(soonest - now(), 0.0) if soonest <= deadline else None

    def lost(self, said: Said, index: int) -> Failure:
        """The failure of a draw that nobody could make: what each said, or why it was not asked."""
        words = [
            f"{place.name}: {said[place].error}: {said[place].message}" if place in said else place.excuse()
            for place in self.places
        ]
        error = next(reversed(said.values())).error if said else "Unavailable"
        return Failure(stage="generate", error=error, message="; ".join(words), index=index, by=self.name)

    def report(self, place: Place, permit: int, draw: Draw) -> None:
        """Note how a draw ended, and tell where that takes a generator out of use, or back into it."""
        if place.report(permit, draw):
            self._tell(place, "closed" if place.works else "open", place.breaker.reason)

    def dismiss(self, place: Place, error: Exception) -> None:
        """Never ask one again that raised outright."""
        if place.out is not None:
            return
        place.out = self._fatal = error
        if any(other.out is None for other in self.places):
            warnings.warn(f"{self.name}: {place.name} is out of use: {type(error).__name__}: {error}", stacklevel=2)
        self._tell(place, "out", f"it raised {type(error).__name__}")

    def elsewhere(self, place: Place, tried: Collection[Place]) -> bool:
        """Whether another one would take a draw now, of those who have not had it."""
        return any(other.works and other is not place and other not in tried for other in self.places)

    def check(self, place: Place, permit: int, tried: Collection[Place]) -> None:
        """Raise a DrawError where a draw that has not been sent yet had better be made by another one."""
        current = place.out is None and place.breaker.holds(permit)
        if not (current or place.works) and self.elsewhere(place, tried):
            raise DrawError(f"not asked again, as it is left alone now ({place.breaker.reason or 'out of use'})")

    def _tell(self, place: Place, state: Literal["open", "closed", "out"], reason: str) -> None:
        drawing = next((other.name for other in self.places if other.works), None)
        tell(Switched(by=self.name, generator=place.name, state=state, reason=reason, drawing=drawing))


def _told_apart(generators: Sequence[Generator]) -> list[str]:
    """A name for each that no other has: the same model at two endpoints is told apart by their addresses."""
    names = list(map(name_of, generators))
    places = [getattr(getattr(one, "endpoint", None), "name", "") for one in generators]
    full = [f"{name}@{at}" if at and names.count(name) > 1 else name for name, at in zip(names, places, strict=True)]
    return [f"{name} #{i + 1}" if full.count(name) > 1 else name for i, name in enumerate(full)]
