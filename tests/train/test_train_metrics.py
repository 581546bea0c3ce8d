"""Figures of rewards, with known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon.train.metrics import Figure, against, figures_of, measured, right, share


def test_figures_by_hand() -> None:
    found = figures_of([2.0, 1.0, 0.0, 1.0], [0.0, 1.0, 3.0, 0.5])
    assert found["accuracy"] == pytest.approx(2.5 / 4)
    assert found["gap"] == pytest.approx((2 + 0 - 3 + 0.5) / 4)
    assert found["loss"] == pytest.approx(np.mean([math.log(1 + math.exp(-d)) for d in (2, 0, -3, 0.5)]))
    # chosen 2 1 0 1 against rejected 0 1 3 0.5: 2 beats 3, 1 beats 2 and ties once (twice over), 0 ties once
    assert found["auc"] == pytest.approx((3 + 2.5 + 0.5 + 2.5) / 16)


def test_a_coin_has_the_loss_of_a_coin() -> None:
    found = figures_of([0.0] * 5, [0.0] * 5)
    assert found == {"loss": pytest.approx(math.log(2)), "accuracy": 0.5, "auc": 0.5, "calibration": 0.0, "gap": 0.0}


def test_sure_and_right_is_calibrated_and_sure_and_wrong_is_not() -> None:
    assert figures_of([50.0] * 4, [0.0] * 4)["calibration"] == pytest.approx(0.0, abs=1e-6)
    assert figures_of([0.0] * 4, [50.0] * 4)["calibration"] == pytest.approx(1.0, abs=1e-6)
    known = figures_of([math.log(3)] * 4, [0.0, 0.0, 0.0, 2 * math.log(3)])  # 75 % sure, and right three times of four
    assert known["calibration"] == pytest.approx(0.0, abs=1e-6)


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=1, max_size=20), st.floats(-5, 5))
def test_a_constant_changes_nothing(pairs: list[tuple[float, float]], constant: float) -> None:
    chosen, rejected = np.array(pairs).T
    one, other = figures_of(chosen, rejected), figures_of(chosen + constant, rejected + constant)
    for name in ("loss", "gap"):
        assert one[name] == pytest.approx(other[name], abs=1e-6)


def test_intervals_are_of_prompts_and_not_of_pairs() -> None:
    rng = np.random.default_rng(0)
    d = np.repeat(rng.normal(0.3, 1.0, 20), 30)  # twenty prompts, each met thirty times
    groups = [f"p{i // 30}" for i in range(600)]
    by_prompt = measured(d, np.zeros(600), groups=groups)["accuracy"]
    by_pair = measured(d, np.zeros(600), groups=[str(i) for i in range(600)])["accuracy"]
    assert by_prompt.value == by_pair.value
    assert by_prompt.low is not None
    assert by_prompt.high is not None
    assert by_pair.low is not None
    assert by_pair.high is not None
    assert by_prompt.high - by_prompt.low > 3 * (by_pair.high - by_pair.low)
    assert by_prompt.low <= by_prompt.value <= by_prompt.high


def test_being_always_right_has_an_interval_too() -> None:
    found = measured([1.0] * 10, [0.0] * 10, groups=[str(i) for i in range(10)])["accuracy"]
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.722, abs=0.001)  # Wilson, ten of ten
    assert share([1.0] * 10, groups=[str(i) for i in range(10)]).low == found.low


def test_one_prompt_has_no_interval_but_for_its_share() -> None:
    assert measured([1.0, 2.0], [1.5, 0.0], groups=["a", "a"])["loss"].low is None


def test_pairs_are_compared_pair_by_pair() -> None:
    better = [1.0, 1.0, 1.0, 0.0] * 20
    found = against(better, [1.0, 1.0, 0.0, 0.0] * 20, groups=[str(i) for i in range(80)])
    assert found.value == pytest.approx(0.25)
    assert found.low is not None
    assert found.low > 0.1
    assert against(better, better, groups=[str(i) for i in range(80)]) == Figure(value=0.0, low=0.0, high=0.0, n=80)


def test_ties_are_half_right() -> None:
    assert right([1, 0, 2], [1, 1, 1]).tolist() == [0.5, 0.0, 1.0]


def test_a_figure_is_written_with_its_interval() -> None:
    assert str(Figure(value=0.51234, low=0.4, high=0.6)) == "0.512 [0.400, 0.600]"
    assert str(Figure(value=2.0)) == "2.000"
