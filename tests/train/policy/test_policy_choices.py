"""Which draws are learned from: the best of n with ties at random, pairs, what is left out and what is refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import comb
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon.errors import UsageError
from bon.testing.pools import pool_of
from bon.train.policy.choices import Choosing, choices, digest
from bon.types import Pool, Prompt, Spent, Usage, as_messages


def pool(values: list[float | None], *, id: str = "p", by: str = "rm") -> Pool:  # noqa: A002
    texts = [f"text {place}" for place in range(len(values))]
    return pool_of(texts, scores={by: values}, prompt=Prompt(id=id, messages=as_messages("Why?")))


def places(rows: Any) -> list[Any]:
    return [(row.chosen.index, None if row.rejected is None else row.rejected.index) for row in rows]


def test_the_best_the_extremes_and_all_pairs() -> None:
    one = pool([0.2, 0.9, 0.1, 0.5])
    assert places(choices([one], "sft").rows) == [(1, None)]
    assert places(choices([one], "bonbon").rows) == [(1, 2)]
    assert places(choices([one], "dpo").rows) == [(1, 3), (1, 0), (1, 2), (3, 0), (3, 2), (0, 2)]
    assert places(choices([one], "dpo", Choosing(pairing="best-worst")).rows) == [(1, 2)]
    assert places(choices([one], "dpo", Choosing(pairing="adjacent")).rows) == [(1, 3), (3, 0), (0, 2)]


def test_six_draws_make_fifteen_pairs() -> None:
    assert len(choices([pool([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])], "dpo").rows) == 15


def test_a_pool_is_cut_into_groups_of_n_in_the_order_of_its_draws() -> None:
    one = pool([0.1, 0.7, 0.3, 0.2, 0.9, 0.8, 0.95])
    found = choices([one], "bonbon", Choosing(n=3))
    assert (found.n, places(found.rows)) == (3, [(1, 0), (4, 3)])  # the seventh draw is left over
    assert places(choices([one], "sft", Choosing(n=3, groups=1)).rows) == [(1, None)]
    assert choices([one], "dpo", Choosing(n=6, groups=1)).draws == 7  # what the pools hold, used or not


def test_equal_scores_are_decided_at_random_and_by_the_seed_alone() -> None:
    pools = [pool([1.0, 1.0, 0.0, 1.0], id=str(number)) for number in range(600)]
    found = choices(pools, "sft", Choosing(seed=3))
    counts = Counter(row.chosen.index for row in found.rows)
    assert set(counts) == {0, 1, 3}
    assert all(150 < count < 250 for count in counts.values())  # 200 each, sd 11.5
    assert choices(pools, "sft", Choosing(seed=3)) == found
    assert choices(list(reversed(pools)), "sft", Choosing(seed=3)).rows == tuple(reversed(found.rows))
    assert choices(pools, "sft", Choosing(seed=4)) != found


def test_the_best_of_groups_follows_the_law_of_best_of_n_with_ties() -> None:
    """Three texts of probabilities .5 .3 .2, the first two of equal reward: p (p_le^N - p_lt^N) / (p_le - p_lt)."""
    p, reward, n = np.array([0.5, 0.3, 0.2]), [1.0, 1.0, 0.0], 3
    drawn = np.random.default_rng(0).choice(3, size=30_000, p=p)
    one = pool_of([str(k) for k in drawn], scores={"rm": [reward[k] for k in drawn]})
    rows = choices([one], "sft", Choosing(n=n)).rows
    shares = np.array([sum(row.chosen.text == str(k) for row in rows) for k in range(3)]) / len(rows)
    expected = np.array([0.5 * (1 - 0.2**n) / 0.8, 0.3 * (1 - 0.2**n) / 0.8, 0.2**n])
    assert len(rows) == 10_000
    assert shares == pytest.approx(expected, abs=0.02)  # four standard errors


@given(st.lists(st.integers(0, 3), min_size=2, max_size=7))
def test_pairs_are_all_that_differ_in_value(values: list[int]) -> None:
    one = pool([float(value) for value in values])
    distinct = Counter(values)
    expected = comb(len(values), 2) - sum(comb(count, 2) for count in distinct.values())
    if not expected:
        with pytest.raises(UsageError, match="no draw that is better than another by rm"):
            choices([one], "dpo")
        return
    rows = choices([one], "dpo").rows
    assert len(rows) == expected
    assert all(values[row.chosen.index] > values[row.rejected.index] for row in rows if row.rejected)


def test_what_has_no_score_is_in_no_group_and_is_counted() -> None:
    pools = [pool([0.5, None, 0.7, 0.6]), pool([None, None, 0.1], id="q"), pool([0.3, 0.3], id="r")]
    found = choices(pools, "bonbon", Choosing(n=2))
    assert places(found.rows) == [(2, 0)]
    assert found.left_out == {
        "a draw has no score by rm": 3,
        "a pool has fewer than 2 draws with a score by rm": 1,
        "a group has no draw that is better than another by rm": 1,
    }


def test_draws_that_were_cut_off_count_as_in_best_of_n() -> None:
    one = pool_of(["a", "b"], scores={"rm": [0.1, 0.2]}, finish_reasons=["stop", "length"])
    (row,) = choices([one], "sft").rows
    assert row.chosen.text == "b"


def test_what_the_pools_say_of_their_making_is_added_up() -> None:
    one = replace(pool([0.1, 0.2]), spent=Spent(seconds=1.5))
    drawn = tuple(replace(candidate, usage=Usage(completion_tokens=7)) for candidate in one.candidates)
    found = choices([replace(one, candidates=drawn), pool([0.1, 0.2], id="q")], "sft")
    assert (found.pools, found.draws, found.tokens, found.seconds) == (2, 4, 14, 1.5)


def test_bonbon_of_one_draw_holds_it_against_itself() -> None:
    """N = 1 is the reference: the target gap is 0, and there is nothing to learn."""
    assert places(choices([pool([0.1, 0.2])], "bonbon", Choosing(n=1)).rows) == [(0, 0), (1, 1)]


@pytest.mark.parametrize(
    ("pools", "kind", "choosing", "said"),
    [
        ([pool_of(["a", "b"])], "sft", {}, r"'p' has no scores: score it first \(bon score"),
        ([pool([0.1, 0.2])], "sft", {"by": "judge"}, "no scores by 'judge'; it has 'rm'"),
        ([pool([1.0, 2.0]).with_scores("x", pool([1.0, 2.0]).scores["rm"])], "dpo", {}, "'rm', 'x': say by which"),
        ([pool([0.1])], "sft", {}, "the best of nothing: draw more, or say n=1"),
        ([pool([0.1])], "dpo", {}, "no row to learn from by dpo .*fewer than two draws"),
        ([pool([0.1, 0.2])], "dpo", {"n": 1}, "fewer than two draws"),
        ([pool([0.1, 0.2])], "sft", {"n": 5}, "fewer than 5 draws with a score by rm"),
        ([pool([None, None])], "sft", {}, "no draw with a score by rm"),
        ([], "sft", {}, "there are no pools"),
        ([pool([0.1, 0.2]), pool([0.3, 0.4])], "sft", {}, "two pools of the prompt 'p'"),
        ([pool([0.1, 0.2]), pool([0.3, 0.4, 0.5], id="q")], "bonbon", {}, "from 2 to 3 scored draws.*n=2"),
        ([pool([0.1, 0.2])], "ppo", {}, "no training 'ppo'"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(
    pools: list[Pool], kind: Any, choosing: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        choices(pools, kind, Choosing(**choosing))


@pytest.mark.parametrize("wrong", [{"n": 0}, {"groups": -1}])
def test_numbers_that_mean_nothing_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="give a whole number from 1"):
        Choosing(**wrong)


def test_a_digest_tells_rows_apart_by_what_is_learned() -> None:
    rows = choices([pool([0.1, 0.2])], "dpo").rows
    assert digest(rows) == digest(choices([pool([0.3, 0.4])], "dpo").rows)  # the same texts in the same order
    assert digest(rows) != digest(choices([pool([0.4, 0.3])], "dpo").rows)
    other = [replace(row, chosen=replace(row.chosen, token_ids=(1,))) for row in rows]
    assert digest(rows) != digest(other)
