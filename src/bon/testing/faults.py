"""What can go wrong at an endpoint, as data, and when it does: by schedule, or by chance under a seed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, TypeAlias

__all__ = ["Fault", "Faults", "by_chance", "schedule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way in which an answer goes wrong; several may be combined."""

    status: int = 200
    """Answer with this status and an error in OpenAI's shape."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with the answer: `Retry-After` in whichever form."""
    body: bytes | None = None
    """Sent in the place of the answer: half a JSON object, a page of HTML ..."""
    content_type: str | None = None
    """Sent in the place of the right one."""
    delay: float = 0.0
    """Seconds before the first byte."""
    stall: tuple[int, float] | None = None
    """`(k, s)`: after k bytes of the body, s seconds of silence."""
    cut: int | None = None
    """The connection closes after this many bytes of the body."""
    pieces: Sequence[int] = ()
    """The body is written in pieces of so many bytes, these sizes over and over."""
    reset: Literal["before", "after"] | None = None
    """The connection is reset, before or after the headers."""
    no_finish: bool = False
    """No choice has a finish_reason."""
    choices: Callable[[int], int] | None = None
    """How many choices are given when n are asked for."""
    refuse: Collection[str] = ()
    """A request with one of these fields (`n`, `response_format`, `logprobs` ...) is answered with 400."""
    ignore: Collection[str] = ()
    """No notice is taken of these fields."""
    change: Callable[[Any], Any] | None = None
    """What becomes of the JSON of a whole answer before it is written; it may hold NaN then."""


Faults: TypeAlias = Fault | Sequence[Fault | None] | Callable[[int], Fault | None] | None
"""One fault for every request; one a request, in the order of arrival, and none after the last; or any function of the
request's number (from 0)."""


def schedule(faults: Faults) -> Callable[[int], Fault | None]:
    """Which fault befalls the request of a number."""
    if faults is None or isinstance(faults, Fault):
        return lambda _: faults
    if callable(faults):
        return faults
    listed = tuple(faults)
    return lambda number: listed[number] if number < len(listed) else None


def by_chance(seed: int, *chances: tuple[float, Fault]) -> Callable[[int], Fault | None]:
    """Faults that befall a request with the given probabilities; the same seed gives the same ones by number."""
    if sum(chance for chance, _ in chances) > 1 or any(chance < 0 for chance, _ in chances):
        raise ValueError(
            f"chances {[chance for chance, _ in chances]!r} are no probabilities: they must sum to at most 1"
        )

    def fault(number: int) -> Fault | None:
        drawn = Random(f"{seed}:{number}").random()  # noqa: S311  # for repeatable tests
        for chance, candidate in chances:
            drawn -= chance
            if drawn < 0:
                return candidate
        return None

    return fault
