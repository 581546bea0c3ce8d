"""Budgets: pure rules that say how many more draws than have landed are wanted; caps on cost are not budgets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from types import MappingProxyType

from bon.errors import UsageError
from bon.protocols import Budget
from bon.select import scorer_of
from bon.types import Pool

__all__ = ["BUDGETS", "Fixed", "Threshold"]


@dataclass(frozen=True, slots=True)
class Fixed:
    """Exactly `n` draws; a failed draw is one of them."""

    n: int

    def __post_init__(self) -> None:
        _check_count("Fixed", "n", self.n, least=1)

    def __call__(self, pool: Pool) -> int:
        return self.n - pool.landed

    @property
    def most(self) -> int:
        """Draws in all, at the most."""
        return self.n

    @property
    def wave(self) -> int:
        """Draws in flight beyond those surely needed: none, as all are."""
        return 0


@dataclass(frozen=True, slots=True)
class Threshold:
    """Draws until a candidate's score reaches `value`, and at most `most` times."""

    value: float
    _: KW_ONLY
    by: str | None = None
    """The scorer whose values count; None is the pool's only one."""
    most: int = 64
    """Draws in all, at the most."""
    wave: int = 7
    """Draws in flight beyond the one that is surely needed: 0 draws one by one, more is faster and draws a few more."""

    def __post_init__(self) -> None:
        if not _is_number(self.value):
            raise UsageError(f"Threshold: value must be a finite number, not {self.value!r}")
        _check_count("Threshold", "most", self.most, least=1)
        _check_count("Threshold", "wave", self.wave, least=0)

    def __call__(self, pool: Pool) -> int:
        return 0 if pool.landed >= self.most or self._reached(pool) else 1

    def _reached(self, pool: Pool) -> bool:
        if not pool.scores or (self.by is not None and self.by not in pool.scores):
            return False  # no mistake: the candidates may be on their way to their scorer
        return any(value is not None and value >= self.value for value in pool.values(scorer_of(pool, self.by)))


BUDGETS: Mapping[str, Callable[..., Budget]] = MappingProxyType({"fixed": Fixed, "threshold": Threshold})
"""By name; called with their options they make a budget."""


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _check_count(budget: str, name: str, count: object, *, least: int) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or count < least:
        raise UsageError(f"{budget}: {name} must be a whole number of at least {least}, not {count!r}")
