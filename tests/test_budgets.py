from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon.budgets import BUDGETS, Fixed, Threshold
from bon.errors import UsageError
from bon.testing.pools import pool_of
from bon.types import Failure


def test_fixed_counts_failed_draws_as_draws() -> None:
    pool = pool_of("abc").with_failures(
        Failure(stage="generate", error="TimedOut", message="", index=3),
        Failure(stage="score", error="ValueError", message="", index=0),
    )
    assert Fixed(8)(pool) == 4
    assert Fixed(8).most == 8
    assert Fixed(8).wave == 0
    assert Fixed(2)(pool) <= 0


@given(st.lists(st.none() | st.floats(-10, 10), max_size=12), st.floats(-10, 10), st.integers(1, 12))
def test_threshold_wants_one_more_until_a_score_reaches_it(
    values: list[float | None], threshold: float, most: int
) -> None:
    wanted = Threshold(threshold, most=most)(pool_of(["x"] * len(values), scores={"s": values}))
    reached = any(value is not None and value >= threshold for value in values)
    assert wanted == (0 if reached or len(values) >= most else 1)


def test_threshold_reads_the_scorer_it_is_told() -> None:
    pool = pool_of("ab", scores={"s": [0, 1], "t": [0, 0]})
    assert Threshold(1, by="s")(pool) == 0
    assert Threshold(1, by="t")(pool) == 1
    with pytest.raises(UsageError, match="which scorer decides"):
        Threshold(1)(pool)


def test_threshold_waits_for_a_scorer_that_has_said_nothing_yet() -> None:
    assert Threshold(1)(pool_of([])) == 1
    assert Threshold(1, by="s")(pool_of("ab", scores={"t": [2, 2]})) == 1
    assert Threshold(1, by="s", most=2)(pool_of("ab")) == 0


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("fixed", {"n": 0}),
        ("fixed", {"n": 2.5}),
        ("fixed", {"n": True}),
        ("threshold", {"value": float("nan")}),
        ("threshold", {"value": "0.9"}),
        ("threshold", {"value": 1, "most": 0}),
        ("threshold", {"value": 1, "wave": -1}),
    ],
)
def test_arguments_that_are_none_are_named(kind: str, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="must be"):
        BUDGETS[kind](**options)
