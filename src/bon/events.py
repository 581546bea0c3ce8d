"""What hooks are told: one small frozen event a happening. A hook is any callable that takes an Event."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeAlias, TypeVar

from bon.types import Candidate, Draw, Failure, Score, Usage
from bon.values import quick

__all__ = [
    "Begun",
    "Drawn",
    "Event",
    "Failed",
    "Hook",
    "Keep",
    "Retried",
    "Scored",
    "Selected",
    "Spending",
    "Switched",
    "keeping",
    "kept",
    "listening",
    "no_hook",
    "overhearing",
    "retelling",
    "tell",
]

T = TypeVar("T")


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A draw has its first token: whatever had to be loaded is loaded. Only some generators tell."""

    prompt_id: str
    by: str
    """The generator."""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A draw ended: in a candidate or in a failure."""

    prompt_id: str
    draw: Draw


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """A call failed and will be tried again."""

    endpoint: str
    attempt: int
    """How many attempts have failed so far, from 1."""
    error: str
    """The error's class name."""
    wait: float
    """Seconds until the next attempt."""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A scorer judged candidates; `indices[i]` got `scores[i]`."""

    prompt_id: str
    scorer: str
    indices: tuple[int, ...]
    scores: tuple[Score, ...]
    failures: tuple[Failure, ...] = ()
    """What failed of it, or on the way to it: of one candidate, or, without an index, of all. A score is missing
    because of a failure where its reason is the failure's."""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Something went wrong on the way to a draw or a score, and did not end it; it becomes a failure of the pool.

    What is told while a scorer works is a failure of that scorer, stage "score", whatever it says itself: it comes
    with the scores (`Scored.failures`), and goes when they are replaced. One that concerns one candidate names its
    index. Other failures are recorded as they are; one of a draw (stage "generate", with its index) when the draw
    has ended.
    """

    prompt_id: str
    failure: Failure


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """A selector decided: `index` is the candidate picked."""

    prompt_id: str
    index: int
    weight: float
    degraded: bool
    """Whether there was nothing to go on."""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """A call was paid for, whether or not its answer could be used."""

    prompt_id: str
    by: str
    """The generator or scorer that made the call."""
    usage: Usage | None
    seconds: float
    calls: int = 0
    """Calls beyond those that count by themselves, one for each draw and those that each score names (`Score.calls`):
    a spare draw that lost is 1. (The ledger counts the calls themselves and takes no notice of this.)"""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    """One generator of several was taken out of use, or back into it."""

    by: str
    """The generator that chooses between them."""
    generator: str
    state: Literal["open", "closed", "out"]
    """Of its circuit. "open": nothing is drawn from it for a while; "closed": it is used again; "out": never again."""
    reason: str
    """In words of ours, without any text of a prompt or an answer."""
    drawing: str | None = None
    """Who is drawn from now; None where nobody can be."""


Event: TypeAlias = Begun | Drawn | Failed | Retried | Scored | Selected | Spending | Switched
Hook: TypeAlias = Callable[[Event], None]


def no_hook(event: Event) -> None:
    """The hook that listens to nothing."""


_LISTENING: ContextVar[Hook] = ContextVar("bon-hook", default=no_hook)


class _Within(Generic[T]):
    """A context variable set in a `with` block; a class, since a generator for it costs more than many a score."""

    __slots__ = ("_token", "_value", "_variable")

    def __init__(self, variable: ContextVar[T], value: T) -> None:
        self._variable, self._value = variable, value

    def __enter__(self) -> None:
        self._token: Token[T] = self._variable.set(self._value)

    def __exit__(self, *exc_info: object) -> None:
        self._variable.reset(self._token)


def listening(hook: Hook) -> AbstractContextManager[None]:
    """Have `tell` reach this hook, here and in the tasks that are started here."""
    return _Within(_LISTENING, hook)


def overhearing(hook: Hook) -> AbstractContextManager[None]:
    """Have `tell` reach this hook too, before whoever listens already."""
    outer = _LISTENING.get()

    def each(event: Event) -> None:
        hook(event)
        outer(event)

    return listening(each)


def retelling(change: Callable[[Event], Event]) -> AbstractContextManager[None]:
    """Have what is told here reach whoever listens already as `change` makes it."""
    outer = _LISTENING.get()
    return listening(lambda event: outer(change(event)))


class Keep(Protocol):
    """Where a scorer that asks a model keeps the answers it has paid for, until its scores are there."""

    def get(self, key: str) -> Candidate | None:
        """The next answer that an earlier run kept under this key; None when there are no more of them.

        It is `cached` where its cost stands in scores that are there.
        """

    def put(self, key: str, answer: Candidate) -> None:
        """Keep an answer that has just landed."""


_KEEPING: ContextVar[Keep | None] = ContextVar("bon-keep", default=None)


def keeping(keep: Keep | None) -> AbstractContextManager[None]:
    """Have what scorers pay for kept there, here and in the tasks that are started here."""
    return _Within(_KEEPING, keep)


def kept() -> Keep | None:
    """Where answers are kept in the run in whose course this happens; None where they are not."""
    return _KEEPING.get()


def tell(event: Event) -> None:
    """Tell the hook of the run in whose course this happens, if any: what generators below the engine use."""
    _LISTENING.get()(event)
