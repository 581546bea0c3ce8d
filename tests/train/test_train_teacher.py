"""Soft labels of a teacher."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bon.errors import UsageError
from bon.train.preferences import Pair, Preferences
from bon.train.teacher import softened
from bon.types import Candidate, Pool, Prompt, Score, as_messages


def taught(gaps: list[float | None]) -> tuple[Preferences, list[Pool]]:
    """Pairs, and pools in which a teacher puts the chosen answer above the other by these gaps."""
    pairs, pools = [], []
    for number, gap in enumerate(gaps):
        messages = as_messages(f"Question {number}?")
        pairs.append(Pair(messages=messages, chosen="yes", rejected="no"))
        scores = (Score.missing("it failed") if gap is None else Score(value=0.5 + gap), Score(value=0.5))
        candidates = (Candidate(index=0, text="yes"), Candidate(index=1, text="no"))
        pools.append(
            Pool(prompt=Prompt(id=str(number), messages=messages), candidates=candidates, scores={"t": scores})
        )
    return Preferences(pairs=tuple(pairs)), pools


def test_a_scale_makes_differences_into_probabilities() -> None:
    found, scale = softened(*taught([1.0, -0.5, 0.0]), by="t", scale=2.0)
    assert scale == 2.0
    assert [pair.target for pair in found.pairs] == pytest.approx([1 / (1 + math.exp(-2)), 1 / (1 + math.exp(1)), 0.5])


def test_without_one_a_teacher_is_as_sure_as_it_is_right() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=4000) / 10
    right = rng.random(4000) < 1 / (1 + np.exp(-15 * truth))  # on a scale of 15 nats a unit
    found, scale = softened(*taught([float(gap if ok else -gap) for gap, ok in zip(truth, right, strict=True)]), by="t")
    assert scale == pytest.approx(15, rel=0.1)
    assert all(0 < pair.target < 1 for pair in found.pairs)


def test_where_it_agrees_with_every_label_there_is_nothing_to_fit() -> None:
    found, scale = softened(*taught([0.4, 2.0]), by="t")
    assert scale == 1.0
    assert [pair.target for pair in found.pairs] == pytest.approx([1 / (1 + math.exp(-0.4)), 1 / (1 + math.exp(-2))])


def test_pairs_that_it_could_not_score_are_left_out_and_counted() -> None:
    found, _ = softened(*taught([0.4, None, 1.0]), by="t", scale=1.0)
    assert len(found.pairs) == 2
    assert found.left_out == {"the teacher t has no score of it": 1}
    with pytest.raises(UsageError, match="no score for both answers of any pair"):
        softened(*taught([None, None]), by="t")


def test_a_teacher_that_is_wrong_as_often_as_right_cannot_teach() -> None:
    with pytest.raises(UsageError, match="as often as it is right"):
        softened(*taught([0.4, -0.5, 0.3, -0.4]), by="t")


def test_huge_differences_stay_probabilities() -> None:
    found, _ = softened(*taught([1e6, -1e6]), by="t", scale=1e6)
    assert [pair.target for pair in found.pairs] == [1.0, 0.0]
