from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon.errors import UsageError
from bon.select import argmax, pick, random, rank
from bon.testing.pools import pool_of
from bon.types import Prompt

SEEDS = 20_000


def chi_square(counts: np.ndarray, expected: np.ndarray) -> float:
    return float(((counts - expected) ** 2 / expected).sum())


def limit(freedom: int) -> float:
    """Chi-square that chance exceeds about once in 100,000 (Wilson and Hilferty's approximation)."""
    return freedom * (1 - 2 / (9 * freedom) + 4.27 * math.sqrt(2 / (9 * freedom))) ** 3


def test_constant_scores_make_every_candidate_win_alike() -> None:
    pool = pool_of([f"answer {i}" for i in range(8)], scores={"judge": [5.0] * 8})
    weights = argmax(pool)
    counts = np.bincount([pick(pool, weights, seed=seed) for seed in range(SEEDS)], minlength=8)
    assert chi_square(counts, np.full(8, SEEDS / 8)) < limit(7)


def test_a_sample_follows_the_weights_and_equal_texts_add_up() -> None:
    pool = pool_of(["a", "b", "a", "c", "d"])
    weights = np.array([0.1, 0.3, 0.2, 0.4, 0.0])
    picks = [pick(pool, weights, seed=seed, sample=True) for seed in range(SEEDS)]
    counts = np.bincount(picks, minlength=5)
    assert counts[2] == counts[4] == 0
    assert chi_square(counts[[0, 1, 3]], np.array([0.3, 0.3, 0.4]) * SEEDS) < limit(2)


def test_picks_of_different_prompts_are_independent() -> None:
    weights = random(pool_of("ab"))
    picks = [
        pick(pool_of("ab", prompt=Prompt(id=f"p{i}", messages=())), weights, seed=1, sample=sample)
        for sample in (False, True)
        for i in range(2_000)
    ]
    assert 0.45 < np.mean(picks) < 0.55


def test_the_heaviest_wins_and_of_equal_texts_the_lowest_index() -> None:
    pool = pool_of(["same", "same", "same", "other"])
    assert pick(pool, np.array([0.2, 0.4, 0.4, 0.0]), seed=0) == 1
    turned = replace(pool, candidates=pool.candidates[::-1])
    assert pick(turned, np.array([0.0, 0.4, 0.4, 0.2]), seed=0) == 2  # index 1 stands third now
    assert {pick(pool, np.array([0.1, 0.2, 0.1, 0.6]), seed=seed) for seed in range(50)} == {3}


def test_the_same_seed_picks_the_same_candidate() -> None:
    pool = pool_of([f"answer {i}" for i in range(8)])
    weights = random(pool)
    for sample in (False, True):
        picks = [pick(pool, weights, seed=seed, sample=sample) for seed in range(100)]
        assert picks == [pick(pool, weights, seed=seed, sample=sample) for seed in range(100)]
        assert len(set(picks)) == 8


def test_texts_that_are_no_utf8_can_be_picked() -> None:
    assert pick(pool_of(["\ud800", "\udfff"]), np.array([0.5, 0.5]), seed=0) in (0, 1)


def test_pick_refuses_weights_of_another_pool() -> None:
    with pytest.raises(UsageError, match="2 weights for 3 candidates"):
        pick(pool_of("abc"), np.array([0.5, 0.5]), seed=0)
    with pytest.raises(UsageError, match="0 weights for 0 candidates"):
        pick(pool_of([]), np.array([]), seed=0)


def test_rank_is_best_first_and_unscored_last() -> None:
    pool = pool_of("abcde", scores={"s": [0.0, None, -3.0, 2.0, None]})
    assert rank(pool)[:3] == [3, 0, 2]
    assert set(rank(pool, "s")[3:]) == {1, 4}
    assert rank(pool_of([])) == []
    with pytest.raises(UsageError, match="which scorer decides"):
        rank(pool_of("ab"))


@given(st.permutations(range(6)), st.integers(0, 5))
def test_rank_breaks_ties_as_pick_does_and_never_by_position(order: list[int], seed: int) -> None:
    pool = pool_of("abcdef", scores={"s": [1, 1, 1, 0, 0, 0]})
    moved = replace(
        pool,
        candidates=tuple(pool.candidates[i] for i in order),
        scores={"s": tuple(pool.scores["s"][i] for i in order)},
    )
    ranked = [[p.candidates[i].text for i in rank(p, seed=seed)] for p in (pool, moved)]
    assert ranked[0] == ranked[1]
    assert rank(pool, seed=seed)[0] == pick(pool, argmax(pool), seed=seed)
