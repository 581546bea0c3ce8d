"""Questions with known answers, small enough for the embedded model: what the examples of measuring ask."""

from __future__ import annotations

import bon

__all__ = ["questions"]

_PAIRS = [(a, b) for a in range(3, 10) for b in range(3, 10)]


def questions(count: int, *, how: str = "Answer with just the number.") -> list[bon.Prompt]:
    """Sums of two digits, in an order that mixes easy and hard ones; `how` is said after each."""
    picked = sorted(_PAIRS, key=lambda pair: (pair[0] * 7 + pair[1] * 5) % 31)[:count]
    return [bon.prompt(f"What is {a} + {b}? {how}", reference=str(a + b), id=f"{a}+{b}") for a, b in picked]
