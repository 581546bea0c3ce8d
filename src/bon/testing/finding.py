"""What `bon doctor` looked at and what it saw there; how two scorings of the same candidates compare; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bon.types import Score

__all__ = ["Finding", "alike", "finding"]

_EXACT = 1e-4
"""Scores in single precision agree to this, whatever was read beside them."""
_ROUNDING = 0.02
"""Of the spread of the scores: what half precision may move them by when they are read in another batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    check: str
    verdict: Literal["yes", "no", "unknown"]
    detail: str


def finding(check: str, good: bool, detail: str) -> Finding:
    """A finding that is sure."""
    return Finding(check=check, verdict="yes" if good else "no", detail=detail)


def alike(check: str, expected: Sequence[Score], found: Sequence[Score]) -> Finding:
    """Whether two scorings of the same candidates agree; a difference that rounding may make is not sure."""
    if [s.value is None for s in expected] != [s.value is None for s in found]:
        return finding(check, False, "some candidates have a score only one time")
    pairs = [(e.value, f.value) for e, f in zip(expected, found, strict=True)]
    most = max((abs(e - f) for e, f in pairs if e is not None and f is not None), default=0.0)
    values = [e for e, _ in pairs if e is not None]
    spread = max(values, default=0.0) - min(values, default=0.0)
    detail = f"largest difference {most:.2g}"
    if _EXACT < most <= _ROUNDING * spread:
        share = f"{detail}, {most / spread:.1%} of what lies between the scores"
        return Finding(
            check=check, verdict="unknown", detail=f"{share}: rounding of half precision? dtype=float32 tells"
        )
    return finding(check, most <= _EXACT, detail)
