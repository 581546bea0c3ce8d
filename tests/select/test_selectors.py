from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon import select
from bon.errors import NoCandidates, Undecided, UsageError
from bon.protocols import Selector
from bon.select import SELECTORS, name_of, pick, samples, weigh
from bon.testing.pools import pool_of
from bon.types import Pool, Score

VALUES = st.none() | st.floats(-1e308, 1e308) | st.sampled_from([0.0, 1.0, -1.0])
ANSWERS = st.none() | st.sampled_from(["4", "5", "6"])


@st.composite
def pools(draw: st.DrawFn, *, least: int = 1) -> Pool:
    rows = draw(st.lists(st.tuples(VALUES, ANSWERS, st.sampled_from(["stop", "length"])), min_size=least, max_size=8))
    return pool_of(
        [f"text {i}" for i in range(len(rows))],
        scores={"correct": [row[0] for row in rows]},
        answers=[row[1] for row in rows],
        finish_reasons=[row[2] for row in rows],
    )


def permuted(pool: Pool, order: list[int]) -> Pool:
    return replace(
        pool,
        candidates=tuple(pool.candidates[i] for i in order),
        scores={name: tuple(scores[i] for i in order) for name, scores in pool.scores.items()},
    )


def test_argmax_takes_the_best_and_equal_ones_share() -> None:
    assert select.argmax(pool_of("abc", scores={"s": [1, 3, 2]})).tolist() == [0, 1, 0]
    assert select.argmax(pool_of("abcd", scores={"s": [3, None, 3, 2]})).tolist() == [0.5, 0, 0.5, 0]


def test_nan_wins_the_argmax() -> None:
    with pytest.raises(ValueError, match="finite or None"):
        Score(value=float("nan"))
    assert select.argmax(pool_of("ab", scores={"s": [None, -1e308]})).tolist() == [0, 1]


def test_all_scores_equal() -> None:
    pool = pool_of("abcd", scores={"s": [0.3] * 4}, answers=["1", "1", "2", None])
    assert select.argmax(pool).tolist() == select.softmax(pool).tolist() == [0.25] * 4
    assert select.weighted(pool).tolist() == [0.5, 0.5, 0, 0]


def test_softmax_is_the_boltzmann_distribution() -> None:
    pool = pool_of("abc", scores={"s": [0.0, np.log(2), None]})
    assert select.softmax(pool).tolist() == pytest.approx([1 / 3, 2 / 3, 0])
    assert select.softmax(pool, temperature=0.5).tolist() == pytest.approx([1 / 5, 4 / 5, 0])
    assert select.softmax(pool_of("ab", scores={"s": [1e308, -1e308]}), temperature=1e-300).tolist() == [1, 0]


@pytest.mark.parametrize("temperature", [0, -1, float("nan"), float("inf")])
def test_softmax_refuses_a_temperature_that_is_none(temperature: float) -> None:
    with pytest.raises(UsageError, match="positive temperature"):
        select.softmax(pool_of("a", scores={"s": [1]}), temperature=temperature)


def test_majority_spreads_over_the_winning_answer_and_ties_share() -> None:
    assert select.majority(pool_of("abcd", answers=["4", "5", "4", None])).tolist() == [0.5, 0, 0.5, 0]
    assert select.majority(pool_of("abcd", answers=["4", "5", "4", "5"])).tolist() == [0.25] * 4
    assert select.majority(pool_of("abc", answers=["4", "5", None])).tolist() == [0.5, 0.5, 0]


def test_a_truncated_or_unparsed_candidate_votes() -> None:
    pool = pool_of("abcd", answers=["4", "4", "5", None], finish_reasons=["length", "length", "stop", "stop"])
    assert select.majority(pool).tolist() == [0, 0, 1, 0]
    assert select.voters(pool).tolist() == [False, False, True, False]
    scored = pool.with_scores("s", [Score(value=1.0)] * 4)
    assert select.weighted(scored).tolist() == [0, 0, 1, 0]


def test_weighted_sums_the_scores_of_an_answer() -> None:
    answers = ["4", "5", "4", "6"]
    assert select.weighted(pool_of("abcd", scores={"s": [0.3, 0.5, 0.3, 0.1]}, answers=answers)).tolist() == [
        0.5, 0, 0.5, 0,
    ]  # fmt: skip
    assert select.weighted(pool_of("abcd", scores={"s": [0.3, 0.9, 0.3, 0.1]}, answers=answers)).tolist() == [
        0,
        1,
        0,
        0,
    ]
    # 0.1 + 0.2 is not 0.3 in floats unless it is rounded once
    tied = pool_of("abc", scores={"s": [0.5, 0.25, 0.25]}, answers=["4", "5", "5"])
    assert select.weighted(tied).tolist() == [0.5, 0.25, 0.25]


def test_negative_rewards_count_for_their_answer_never_against_it() -> None:
    pool = pool_of("abc", scores={"s": [-1.0, -1.0, -0.9]}, answers=["4", "4", "5"])
    assert select.weighted(pool).tolist() == [0.5, 0.5, 0]
    far = pool_of("abc", scores={"s": [-9.0, -9.0, -0.9]}, answers=["4", "4", "5"])
    assert select.weighted(far).tolist() == [0, 0, 1]


def test_a_voter_without_a_score_gives_no_weight() -> None:
    pool = pool_of("abc", scores={"s": [None, 0.2, 0.1]}, answers=["4", "4", "5"])
    assert select.weighted(pool).tolist() == [0, 1, 0]


def test_first_goes_by_index_and_random_is_uniform() -> None:
    pool = permuted(pool_of("abc"), [2, 0, 1])
    assert select.first(pool).tolist() == [0, 1, 0]
    assert select.random(pool).tolist() == pytest.approx([1 / 3] * 3)


def test_oracle_goes_by_correct_then_math_and_refuses_without_gold() -> None:
    both = pool_of("ab", scores={"math": [1, 0], "correct": [0, 1], "s": [1, 0]})
    assert select.oracle(both).tolist() == [0, 1]
    assert select.oracle(pool_of("ab", scores={"math": [1, 0], "s": [0, 1]})).tolist() == [1, 0]
    assert select.oracle(both, gold="s").tolist() == [1, 0]
    with pytest.raises(UsageError, match=r"no gold scores.*\('s'\).*gold=NAME"):
        select.oracle(pool_of("ab", scores={"s": [0, 1]}))


@pytest.mark.parametrize("selector", [select.argmax, select.softmax, select.weighted])
def test_by_defaults_to_the_only_scorer_else_the_error_lists_them(selector: Callable[..., object]) -> None:
    two = pool_of("ab", scores={"s": [0, 1], "t": [1, 0]}, answers=["1", "2"])
    assert np.argmax(selector(two, by="t")) == 0
    with pytest.raises(UsageError, match="which scorer decides\\? It has 's', 't'"):
        selector(two)
    with pytest.raises(UsageError, match="no scores by 'u'; it has 's', 't'"):
        selector(two, by="u")
    with pytest.raises(UsageError, match="It has none"):
        selector(pool_of("ab"))


@pytest.mark.parametrize("name", SELECTORS)
def test_an_empty_pool_decides_nothing(name: str) -> None:
    with pytest.raises((Undecided, UsageError)):
        SELECTORS[name](pool_of([]))
    with pytest.raises(NoCandidates):
        weigh(pool_of([]), select.first)


@pytest.mark.parametrize("name", SELECTORS)
def test_one_candidate_takes_all(name: str) -> None:
    assert SELECTORS[name](pool_of("a", scores={"correct": [0.0]}, answers=["4"])).tolist() == [1]


@pytest.mark.parametrize("name", ["argmax", "softmax", "weighted", "majority", "oracle"])
def test_nobody_scored_or_voted_is_uniform_and_a_failure(name: str) -> None:
    pool = pool_of("abcd", scores={"correct": [None] * 4}, answers=[None] * 4)
    weights, failure = weigh(pool, SELECTORS[name])
    assert weights.tolist() == [0.25] * 4
    assert failure is not None
    assert (failure.stage, failure.error) == ("select", "Undecided")
    assert failure.by == name


@pytest.mark.parametrize(
    "broken",
    [
        lambda pool: np.ones(len(pool)),
        lambda pool: np.ones(len(pool) + 1) / (len(pool) + 1),
        lambda pool: np.array([2.0, -1.0, 0.0]),
        lambda pool: np.array([np.nan, 1.0, 0.0]),
        lambda pool: np.ones((len(pool), 1)),
        lambda pool: ["a", "b", "c"],
        lambda pool: None,
    ],
)
def test_weigh_names_a_selector_that_gives_no_weights(broken: Selector) -> None:
    with pytest.raises(UsageError, match="selector '<lambda>' gave"):
        weigh(pool_of("abc"), broken)


def test_weigh_takes_a_selector_that_gives_a_list() -> None:
    weights, failure = weigh(pool_of("ab"), lambda pool: [0, 1])
    assert weights.dtype == np.float64
    assert weights.tolist() == [0, 1]
    assert failure is None


@pytest.mark.parametrize("name", SELECTORS)
@given(pool=pools(), data=st.data())
def test_weights_sum_to_one_and_follow_the_candidates_when_they_move(
    name: str, pool: Pool, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(pool))))
    moved = permuted(pool, order)
    weights, failure = weigh(pool, SELECTORS[name])
    again, failure_again = weigh(moved, SELECTORS[name])
    assert weights.sum() == pytest.approx(1)
    assert again.tolist() == pytest.approx(weights[order].tolist(), abs=1e-12)
    assert (failure is None) == (failure_again is None)


@pytest.mark.parametrize("name", ["argmax", "softmax", "weighted", "majority", "oracle"])
@given(pool=pools(), seed=st.integers(0, 3), sample=st.booleans(), where=st.integers(0, 8))
def test_adding_an_unscored_candidate_never_changes_the_winner(
    name: str, pool: Pool, seed: int, sample: bool, where: int
) -> None:
    selector = SELECTORS[name]
    weights, failure = weigh(pool, selector)
    if failure is not None:
        return
    # It has an answer, which a majority counts, so there it is one that nobody can read.
    answer = None if name == "majority" else "4"
    more = pool_of([*(c.text for c in pool.candidates), "new"], answers=[*(c.answer for c in pool.candidates), answer])
    more = replace(
        more,
        candidates=(*pool.candidates, replace(more.candidates[-1], index=where)),
        scores={"correct": (*pool.scores["correct"], Score.missing("none"))},
    )
    winner = pick(pool, weights, seed=seed, sample=sample)
    assert pick(more, weigh(more, selector)[0], seed=seed, sample=sample) == winner


@pytest.mark.parametrize("name", SELECTORS)
@given(pool=pools(), seed=st.integers(0, 3), data=st.data())
def test_the_winner_is_the_same_in_whatever_order_the_candidates_stand(
    name: str, pool: Pool, seed: int, data: st.DataObject
) -> None:
    moved = permuted(pool, data.draw(st.permutations(range(len(pool)))))
    for sample in (False, True):
        winners = {
            p.candidates[pick(p, weigh(p, SELECTORS[name])[0], seed=seed, sample=sample)].index for p in (pool, moved)
        }
        assert len(winners) == 1


def test_samplers_are_marked_through_partial() -> None:
    assert {name for name, selector in SELECTORS.items() if samples(selector)} == {"softmax", "random"}
    assert samples(partial(partial(select.softmax, by="s"), temperature=2))
    assert not samples(partial(select.argmax, by="s"))
    assert name_of(partial(partial(select.softmax, by="s"), temperature=2)) == "softmax"
