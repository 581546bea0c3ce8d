"""From comparisons to scores: LLM-Blender's rule, and what becomes of comparisons that are missing."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bon.score.reward.pairs import pair_scores
from bon.types import Score, Usage


def known(value: float) -> Score:
    return Score(value=value, usage=Usage(prompt_tokens=7))


@given(st.integers(2, 6).flatmap(lambda n: st.lists(st.floats(-9, 9), min_size=n * n, max_size=n * n)))
def test_it_is_the_mean_of_both_orders_over_all_answers(flat: list[float]) -> None:
    n = round(len(flat) ** 0.5)
    matrix = np.array(flat).reshape(n, n)
    np.fill_diagonal(matrix, 0.0)
    found = pair_scores({(i, j): known(matrix[i, j]) for i in range(n) for j in range(n) if i != j}, range(n))
    np.testing.assert_allclose([found[i].value for i in range(n)], (matrix - matrix.T).mean(axis=-1), atol=1e-9)


def test_an_answer_that_compares_with_none_has_no_score_and_the_others_have() -> None:
    long = Score.missing("3000 tokens")
    compared = {(0, 1): known(1.0), (1, 0): known(-1.0), (0, 2): long, (2, 0): long, (1, 2): long, (2, 1): long}
    found = pair_scores(compared, [0, 1, 2])
    assert (found[0].value, found[1].value) == (1.0, -1.0)
    assert found[2].value is None
    assert found[2].reason == "3000 tokens"


def test_one_answer_has_nothing_to_be_compared_with() -> None:
    [score] = pair_scores({}, [0]).values()
    assert score.value is None
    assert "no other answer" in score.reason


def test_every_reading_is_booked_once() -> None:
    compared = {(i, j): known(0.0) for i in range(3) for j in range(3) if i != j}
    scores = pair_scores(compared, range(3)).values()
    assert sum(score.usage.prompt_tokens for score in scores if score.usage) == 6 * 7
    assert all(score.paid_calls == 0 for score in scores)
