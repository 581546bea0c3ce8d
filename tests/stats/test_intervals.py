from __future__ import annotations

import numpy as np
import pytest

from bon.errors import UsageError
from bon.stats import bootstrap_mean, expected_accuracy, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # Newcombe (1998), table 1: score method without continuity correction
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_matches_published_intervals(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_wilson_at_its_edges() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(10, 10)[1] == 1.0
    assert wilson(0, 10)[0] == 0.0
    low, high = wilson(2.5, 10)
    assert wilson(2, 10)[0] < low < 0.25 < high < wilson(3, 10)[1]
    assert wilson(5, 10, level=0.99)[0] < wilson(5, 10)[0]


@pytest.mark.parametrize(("successes", "trials", "level"), [(11, 10, 0.95), (-1, 10, 0.95), (1, -1, 0.95), (1, 2, 1.0)])
def test_wilson_refuses_what_is_no_share(successes: float, trials: int, level: float) -> None:
    with pytest.raises(UsageError):
        wilson(successes, trials, level=level)


def test_wilson_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    truths = rng.uniform(0.05, 0.95, size=20_000)
    successes = rng.binomial(60, truths)
    intervals = {k: wilson(k, 60) for k in range(61)}
    covered = np.mean(
        [intervals[k][0] <= p <= intervals[k][1] for k, p in zip(successes.tolist(), truths, strict=True)]
    )
    assert 0.94 < covered < 0.96


def test_the_bootstrap_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(1_000):
        low, high = bootstrap_mean(rng.exponential(size=200), draws=500, rng=rng)
        covered += low <= 1.0 <= high
    assert 0.92 < covered / 1_000 < 0.965  # a skewed distribution costs the percentile interval a little


def test_the_bootstrap_is_close_to_the_normal_interval_and_repeats_itself() -> None:
    values = np.random.default_rng(2).normal(3, 2, size=2_000)
    low, high = bootstrap_mean(values, rng=np.random.default_rng(3))
    error = values.std() / np.sqrt(values.size)
    assert (low, high) == pytest.approx((values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.15 * error)
    assert (low, high) == bootstrap_mean(values.tolist(), rng=np.random.default_rng(3))
    wide = bootstrap_mean(values, level=0.99, rng=np.random.default_rng(3))
    assert wide[0] < low < high < wide[1]


def test_the_bootstrap_at_its_edges() -> None:
    rng = np.random.default_rng(0)
    assert bootstrap_mean([0.5], rng=rng) == (0.5, 0.5)
    assert bootstrap_mean([1, 1, 1], rng=rng) == (1.0, 1.0)
    for bad in ([], [float("nan")], [[1.0]]):
        with pytest.raises(UsageError, match="finite numbers"):
            bootstrap_mean(bad, rng=rng)
    with pytest.raises(UsageError, match="at least one resample"):
        bootstrap_mean([1.0], draws=0, rng=rng)


def test_many_values_are_resampled_in_bounded_memory() -> None:
    values = np.repeat([0.0, 1.0], 1_500_000)
    low, high = bootstrap_mean(values, draws=5, rng=np.random.default_rng(0))
    assert 0.499 < low <= high < 0.501


def test_expected_accuracy_is_the_dot_product_and_unknown_where_a_truth_is() -> None:
    weights = np.array([0.5, 0.25, 0.25])
    assert expected_accuracy(weights, [1, 0, 1]) == 0.75
    assert expected_accuracy(weights, [1, 0, None]) is None
    assert expected_accuracy(np.array([0.5, 0.5, 0.0]), [1, 0, None]) == 0.5
