"""Aggregates of step scores: known answers, and what holds for all of them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon.errors import UsageError
from bon.score.process.aggregate import AGGREGATES, aggregate, first_error, parts_of

STEPS = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_known_answers() -> None:
    steps = (0.5, 0.25, 0.75)
    found = {how: aggregate(steps, how) for how in AGGREGATES}
    assert found == pytest.approx(
        {"min": 0.25, "prod": 0.09375, "last": 0.75, "mean": 0.5, "max": 0.75, "sum": 1.5}, abs=1e-15
    )
    assert parts_of(steps) == {**found, "first_error": 1.0}
    assert parts_of(steps, 0.1)["first_error"] == -1.0


@given(STEPS)
def test_they_keep_their_range_and_order(steps: list[float]) -> None:
    found = {how: aggregate(steps, how) for how in AGGREGATES}
    assert all(0 <= found[how] <= 1 + 1e-12 for how in AGGREGATES if how != "sum")
    assert found["prod"] <= found["min"] + 1e-12
    assert found["min"] <= found["mean"] + 1e-12 <= found["max"] + 2e-12
    assert found["sum"] == pytest.approx(len(steps) * found["mean"])
    assert found["prod"] == pytest.approx(math.prod(steps), rel=1e-9, abs=1e-300)


def test_a_long_product_is_no_error_and_a_step_of_zero_makes_it_zero() -> None:
    assert aggregate([1e-300] * 5, "prod") == 0.0
    assert aggregate([1.0, 0.0, 1.0], "prod") == 0.0
    assert aggregate([0.999] * 2000, "prod") == pytest.approx(0.999**2000, rel=1e-9)


@given(STEPS, st.floats(0, 1))
def test_the_first_error_is_the_first_step_below_the_threshold(steps: list[float], threshold: float) -> None:
    place = first_error(steps, threshold)
    if place < 0:
        assert place == -1
        assert min(steps) >= threshold
    else:
        assert steps[place] < threshold
        assert all(step >= threshold for step in steps[:place])


def test_what_cannot_be_aggregated_says_so() -> None:
    with pytest.raises(UsageError, match=r"aggregate is 'median'; it must be one of min, prod, last, mean, max, sum"):
        aggregate([1.0], "median")
    with pytest.raises(UsageError, match="no steps"):
        aggregate([])
