"""Preferences that a tiny random model can learn, and some that teach it length alone."""

from __future__ import annotations

import numpy as np

from bon.train.preferences import Pair, Preferences

__all__ = ["about_a_word", "about_length"]

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dog", "sky", "air", "light", "waves"]


def _question(rng: np.random.Generator, number: int) -> str:
    return f"Why {' '.join(rng.choice(WORDS, 3))} {number}?"


def _answer(rng: np.random.Generator, length: int, word: str = "") -> str:
    words = [str(one) for one in rng.choice(WORDS, length)]
    if word:
        words.insert(int(rng.integers(0, len(words) + 1)), word)
    return " ".join(words)


def about_a_word(count: int, *, seed: int = 0) -> Preferences:
    """The better answer has "blue" in it, the other one "mind", each somewhere among other words."""
    rng = np.random.default_rng(seed)
    pairs = [
        Pair(
            messages=({"role": "user", "content": _question(rng, number)},),
            chosen=_answer(rng, int(rng.integers(2, 6)), "blue"),
            rejected=_answer(rng, int(rng.integers(2, 6)), "mind"),
        )
        for number in range(count)
    ]
    return Preferences(pairs=tuple(pairs), source="about a word")


def about_length(count: int, *, seed: int = 0) -> Preferences:
    """The better answer is the longer one, always, and nothing else tells them apart."""
    rng = np.random.default_rng(seed)
    pairs = [
        Pair(
            messages=({"role": "user", "content": _question(rng, number)},),
            chosen=_answer(rng, int(rng.integers(8, 20))),
            rejected=_answer(rng, int(rng.integers(1, 6))),
        )
        for number in range(count)
    ]
    return Preferences(pairs=tuple(pairs))
