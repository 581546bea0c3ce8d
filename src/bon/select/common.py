"""What selectors share: which scorer they go by, its values, who votes, and how a selector says that it samples."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from bon.errors import Undecided, UsageError
from bon.protocols import Selector
from bon.types import Pool

__all__ = ["GOLD", "ballots", "gold_of", "name_of", "sampled", "samples", "scorer_of", "values", "voters"]

S = TypeVar("S", bound=Callable[..., object])

GOLD = ("correct", "math")
"""Scorers that are taken for the truth where none is named."""


def scorer_of(pool: Pool, by: str | None) -> str:
    """The scorer to go by: the one named, else the only one there is.

    Raises `UsageError`, listing the pool's scorers, for a name it does not have and for a choice it cannot make.
    """
    names = ", ".join(map(repr, pool.scores)) or "none"
    if by is None and len(pool.scores) == 1:
        return next(iter(pool.scores))
    if by is None:
        raise UsageError(f"pool {pool.prompt.id!r}: which scorer decides? It has {names}; name one with by=")
    if by not in pool.scores:
        raise UsageError(f"pool {pool.prompt.id!r} has no scores by {by!r}; it has {names}")
    return by


def gold_of(pool: Pool, gold: str | None = None) -> str:
    """The scorer whose value is the truth: the one named, else "correct" if the pool has it, then "math".

    Raises `UsageError` where there is none.
    """
    if gold is None:
        gold = next((name for name in GOLD if name in pool.scores), None)
    names = ", ".join(map(repr, pool.scores)) or "none"
    if gold is None:
        raise UsageError(
            f"pool {pool.prompt.id!r} has no gold scores: neither 'correct' nor 'math' is among its scorers ({names}); "
            "name the scorer whose value is the truth (gold=NAME, --gold NAME)"
        )
    if gold not in pool.scores:
        raise UsageError(f"pool {pool.prompt.id!r} has no scorer {gold!r} to take as gold; it has {names}")
    return gold


def values(pool: Pool, by: str | None) -> npt.NDArray[np.float64]:
    """A scorer's values, shape `(n,)`, with -inf where a candidate has none, so that none never beats a number.

    Raises `Undecided` when no candidate has one, and `UsageError` as `scorer_of` does.
    """
    if not pool.candidates:
        raise Undecided(f"pool {pool.prompt.id!r} has no candidates")
    name = scorer_of(pool, by)
    found = np.array([-np.inf if value is None else value for value in pool.values(name)], dtype=np.float64)
    if np.isneginf(found).all():
        reason = pool.scores[name][0].reason
        raise Undecided(f"pool {pool.prompt.id!r}: {name!r} scored none of {len(pool)} candidates ({reason})")
    return found


def voters(pool: Pool) -> npt.NDArray[np.bool_]:
    """Who votes, shape `(n,)`: candidates that came to their own end and have an answer that could be read."""
    return np.array([c.complete and c.answer is not None for c in pool.candidates], dtype=np.bool_)


def ballots(pool: Pool, electorate: npt.NDArray[np.bool_]) -> dict[str, list[int]]:
    """Positions of the candidates that gave each answer, among those of the electorate.

    Raises `Undecided` when it is empty.
    """
    found: dict[str, list[int]] = {}
    for position in np.flatnonzero(electorate).tolist():
        found.setdefault(pool.candidates[position].answer or "", []).append(position)
    if not found:
        raise Undecided(
            f"pool {pool.prompt.id!r}: none of {len(pool)} candidates can vote; votes need answers (extract)"
        )
    return found


def sampled(selector: S) -> S:
    """Mark a selector whose weights are to be drawn from; for all others the heaviest candidate is picked."""
    selector.samples = True  # type: ignore[attr-defined]  # functions carry what is set on them
    return selector


def samples(selector: Selector) -> bool:
    """Whether a selector is marked with `sampled`; `functools.partial` keeps the mark."""
    while isinstance(selector, partial) and not hasattr(selector, "samples"):
        selector = selector.func
    return bool(getattr(selector, "samples", False))


def name_of(selector: Selector) -> str:
    """What to call a selector: its name, its function's, or its class's."""
    while isinstance(selector, partial) and not hasattr(selector, "name"):
        selector = selector.func
    return str(getattr(selector, "name", None) or getattr(selector, "__name__", None) or type(selector).__name__)
