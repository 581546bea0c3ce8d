"""Makes Scorers of plain functions, and tells what kind of function something is; it scores nothing itself."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

from bon import errors
from bon.concurrency import as_landed
from bon.errors import ScoreError, SpecError, UsageError
from bon.protocols import Scorer
from bon.types import Candidate, Failure, Pool, Prompt, Score

__all__ = ["Judgement", "ScorerLike", "as_scorer", "failure_of", "listwise", "pointwise"]

Judgement: TypeAlias = Score | float | bool | None
"""What a plain function may say of a candidate; True is 1, False is 0, None is no score."""

_OfCandidate: TypeAlias = Callable[[Prompt, Candidate], Judgement | Awaitable[Judgement]]
_OfPool: TypeAlias = Callable[[Pool], Sequence[Judgement]]

ScorerLike: TypeAlias = Scorer | _OfCandidate
"""What is accepted where a scorer is wanted: a Scorer, or a plain function of (prompt, candidate)."""

_ERROR = re.compile(r"([A-Z]\w*): (.*)", re.DOTALL)


def pointwise(fn: _OfCandidate, *, name: str | None = None) -> Scorer:
    """Lift a function of one candidate, sync or async, to a Scorer that runs as candidates land; a decorator too.

    A candidate on which `fn` raises, or for which it returns anything but a Score, a finite number, a truth value or
    None, has no score; the reason begins with the error's class name, and `failure_of` reads it. Only a `UsageError`
    is raised on: it would be the same for every candidate. A sync function is `instant`: it runs in the event loop.
    """
    return _Pointwise(fn, name or _name_of(fn))


def listwise(fn: _OfPool, *, name: str | None = None) -> Scorer:
    """Lift a sync function of a whole pool to a Scorer: it returns one judgement a candidate, in their order."""
    return _Listwise(fn, name or _name_of(fn))


def as_scorer(thing: Any, *, name: str | None = None) -> Scorer:
    """A Scorer of whatever people write as one, told apart by its signature.

    A function of (prompt, candidate), sync or async, is lifted by `pointwise`; a sync function of (pool) by
    `listwise`; an async one of (pool), and whatever says of itself whether it is `pointwise`, is a Scorer already and
    stays as it is. Only parameters without a default count. Raises `SpecError` for everything else.
    """
    if isinstance(thing, type):
        raise SpecError(f"{thing!r} is a class; a scorer is a function or an instance: {thing.__name__}(...)")
    if not callable(thing):
        raise SpecError(f"{thing!r} cannot be called; a scorer is a function of (prompt, candidate) or of (pool)")
    if hasattr(thing, "pointwise"):
        return thing  # type: ignore[no-any-return]  # what it is, it says itself
    count = _required(thing)
    if count == 2:
        return pointwise(thing, name=name)
    if count == 1:
        return thing if _is_async(thing) else listwise(thing, name=name)
    raise SpecError(
        f"{_name_of(thing)!r} takes {count} arguments; a scorer is a function of (prompt, candidate) or of (pool)"
    )


def failure_of(score: Score, *, index: int, by: str) -> Failure | None:
    """The failure behind a missing score, if an error is: those of `pointwise` name its class in the reason."""
    found = _ERROR.fullmatch(score.reason) if score.value is None else None
    if found and not (found[1].endswith(("Error", "Exception")) or found[1] in errors.__all__):
        return None  # prose with a colon is no error
    return Failure(stage="score", error=found[1], message=found[2], index=index, by=by) if found else None


class _Pointwise:
    pointwise = True

    def __init__(self, fn: _OfCandidate, name: str) -> None:
        self.fn = fn
        self.name = name
        self.instant = not _is_async(fn)
        self.identity = getattr(fn, "identity", None)
        self.__doc__ = fn.__doc__

    async def __call__(self, pool: Pool) -> Sequence[Score]:
        if len(pool) == 1:
            return (await self._one(pool.prompt, pool.candidates[0]),)
        if self.instant:
            return [await self._one(pool.prompt, candidate) for candidate in pool.candidates]

        async def land(position: int, candidate: Candidate) -> tuple[int, Score]:
            return position, await self._one(pool.prompt, candidate)

        landed = as_landed(land(*item) for item in enumerate(pool.candidates))
        scores = {position: score async for position, score in landed}
        return [scores[position] for position in range(len(pool))]

    async def _one(self, prompt: Prompt, candidate: Candidate) -> Score:
        try:
            said = self.fn(prompt, candidate)
            if not isinstance(said, (Score, float)) and inspect.isawaitable(said):
                said = await said
            return _as_score(said, self.name)
        except UsageError:
            raise
        except Exception as error:  # noqa: BLE001  # a failure is data
            return Score.missing(f"{type(error).__name__}: {error}")


class _Listwise:
    pointwise = False
    instant = True

    def __init__(self, fn: _OfPool, name: str) -> None:
        self.fn = fn
        self.name = name
        self.__doc__ = fn.__doc__

    async def __call__(self, pool: Pool) -> Sequence[Score]:
        return [_as_score(said, self.name) for said in self.fn(pool)]


def _as_score(said: object, name: str) -> Score:
    """What a function said, as a Score. Raises `ScoreError` where it is none."""
    if isinstance(said, Score):
        return said
    if said is None:
        return Score.missing(f"{name} gave no score")
    if not hasattr(said, "__float__"):
        raise ScoreError(f"{name!r} gave {said!r:.100}; a number, a truth value, a Score or None is wanted")
    value = float(said)  # numpy's and torch's scalars too
    if not math.isfinite(value):
        raise ScoreError(f"{name!r} gave {value}; a score is finite, and None where there is none")
    return Score(value=value)


def _required(fn: Callable[..., Any]) -> int:
    """How many positional arguments a call must give; -1 where the signature cannot be read or needs keywords."""
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):
        return -1
    needed = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return -1 if any(p.kind is p.KEYWORD_ONLY for p in needed) else len(needed)


def _is_async(fn: Callable[..., Any]) -> bool:
    call = getattr(fn, "__call__", None)  # noqa: B004  # the method of an object that is called like a function
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(call)


def _name_of(fn: Callable[..., Any]) -> str:
    while isinstance(fn, partial):
        fn = fn.func
    return str(getattr(fn, "name", None) or getattr(fn, "__name__", None) or type(fn).__name__)
