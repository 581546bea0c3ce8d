"""Ranks among reference samples: strictly below is not at or below, and only the order of rewards matters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bon.errors import UsageError
from bon.stats.ranks import ESTIMATORS, Estimator, below_and_upto, counts, log_f, win_share

SAMPLES = [-1.0, 0.0, 0.0, 0.0, 2.0]
BY_RANK: tuple[Estimator, ...] = ("add_one", "plugin", "jeffreys")


def test_counts_by_hand() -> None:
    lt, le = counts(SAMPLES, [-2.0, -1.0, 0.0, 1.0, 2.0, 3.0])
    assert lt.tolist() == [0, 0, 1, 4, 4, 5]
    assert le.tolist() == [0, 1, 4, 4, 5, 5]


def test_estimators_by_hand() -> None:
    asked = [-2.0, 0.0, 3.0]
    assert np.exp(log_f(SAMPLES, asked)) == pytest.approx([1 / 6, 2 / 6, 1])
    assert np.exp(log_f(SAMPLES, asked, "plugin")) == pytest.approx([1 / 10, 1 / 5, 1])
    assert np.exp(log_f(SAMPLES, asked, "jeffreys")) == pytest.approx([0.5 / 6, 1.5 / 6, 5.5 / 6])
    below, upto = below_and_upto(SAMPLES, asked)
    assert below == pytest.approx([1 / 6, 2 / 6, 1])
    assert upto == pytest.approx([1 / 6, 5 / 6, 1])


def test_wins_count_equal_ones_half() -> None:
    assert win_share(SAMPLES, [-2.0, -1.0, 0.0, 1.0, 2.0, 3.0]) == pytest.approx([0, 0.1, 0.5, 0.8, 0.9, 1])
    assert win_share(SAMPLES, SAMPLES).mean() == pytest.approx(0.5)  # against themselves


@settings(max_examples=60, deadline=None)
@given(
    samples=st.lists(st.integers(-1_000, 1_000), min_size=1, max_size=40),
    asked=st.lists(st.integers(-1_000, 1_000), min_size=1, max_size=20),
    how=st.sampled_from(BY_RANK),
)
def test_an_increasing_map_of_rewards_changes_no_bit(samples: list[int], asked: list[int], how: Estimator) -> None:
    """On integers a cube is exact, so that what was different stays so and what was equal does, too."""
    known, values = np.sort(np.array(samples, dtype=float)), np.array(asked, dtype=float)
    for mapped in (lambda r: r**3, lambda r: 7 * r - 5, np.arctan):
        assert (log_f(mapped(known), mapped(values), how) == log_f(known, values, how)).all()
        assert (win_share(mapped(known), mapped(values)) == win_share(known, values)).all()
        for first, second in zip(
            below_and_upto(mapped(known), mapped(values), how), below_and_upto(known, values, how), strict=True
        ):
            assert (first == second).all()


@settings(max_examples=60, deadline=None)
@given(
    samples=st.lists(st.floats(-50, 50), min_size=1, max_size=40),
    asked=st.lists(st.floats(-60, 60), min_size=1, max_size=20),
    how=st.sampled_from(ESTIMATORS),
)
def test_log_f_is_finite_and_never_falls(samples: list[float], asked: list[float], how: Estimator) -> None:
    values = np.sort(asked)
    logs = log_f(np.sort(samples), values, how)
    assert np.isfinite(logs).all()
    assert (logs <= 0).all()
    assert (np.diff(logs) >= 0).all()
    below, upto = below_and_upto(np.sort(samples), values, how)
    assert ((below >= 0) & (below <= upto) & (upto <= 1)).all()


def test_the_exponential_fit_finds_gumbels_law_and_goes_beyond_the_samples() -> None:
    drawn = np.sort(np.random.default_rng(0).gumbel(size=20_000))
    asked = np.array([-1.5, 0.0, 2.0, 8.0, 30.0])
    assert log_f(drawn, asked, "expfit") == pytest.approx(-np.exp(-asked), rel=0.06)
    assert log_f(drawn, 30.0, "add_one") == 0  # beyond the best sample counting says no more


def test_the_exponential_fit_reads_rewards_and_not_ranks() -> None:
    drawn = np.sort(np.random.default_rng(0).normal(size=50))
    assert log_f(drawn, 0.3, "expfit") == pytest.approx(log_f(10 * drawn - 4, 10 * 0.3 - 4, "expfit"))  # but for scale
    assert abs(log_f(drawn, 0.3, "expfit") - log_f(np.exp(drawn), np.exp(0.3), "expfit")) > 0.01


def test_the_exponential_fit_of_equal_samples_counts() -> None:
    for samples in ([1.0], [1.0, 1.0, 1.0]):
        assert log_f(samples, [0.0, 1.0, 2.0], "expfit") == pytest.approx(log_f(samples, [0.0, 1.0, 2.0]))


@pytest.mark.parametrize("how", ESTIMATORS)
def test_with_many_samples_all_estimators_are_f(how: Estimator) -> None:
    drawn = np.sort(np.random.default_rng(1).gumbel(size=50_000))
    asked = np.array([-1.0, 0.0, 1.0, 3.0])
    assert np.exp(log_f(drawn, asked, how)) == pytest.approx(np.exp(-np.exp(-asked)), abs=0.01)


def test_what_is_refused() -> None:
    with pytest.raises(UsageError, match="sorted"):
        counts([2.0, 1.0], 0.0)
    with pytest.raises(UsageError, match=r"\(M,\) with M at least 1"):
        counts([], 0.0)
    with pytest.raises(UsageError, match="not finite; score all"):
        log_f([0.0, np.nan], 0.0)
    with pytest.raises(UsageError, match="not finite; leave out"):
        win_share([0.0], np.inf)
    with pytest.raises(UsageError, match="no estimator 'median'"):
        log_f([0.0], 0.0, "median")  # type: ignore[arg-type]
