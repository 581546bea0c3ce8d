"""The law of best-of-N: it sums to 1, it is what simulation draws, and nothing underflows."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bon.errors import UsageError
from bon.stats.kl import kl_best_of_n, kl_bound
from bon.stats.law import log_law, log_weight, rho

NONE = -np.inf


def standing(p: np.ndarray, rewards: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """P(r' < r) and P(r' <= r) of each response, by comparing all with all."""
    below = (p * (rewards[None, :] < rewards[:, None])).sum(1)
    return below, np.minimum((p * (rewards[None, :] <= rewards[:, None])).sum(1), 1.0)


def eq4_by_fractions(p: list[Fraction], n: int) -> list[Fraction]:
    """(F + pi_ref)^n - F^n in exact arithmetic, responses in increasing order of their rewards."""
    below, law = Fraction(0), []
    for each in p:
        law.append((below + each) ** n - below**n)
        below += each
    return law


@settings(max_examples=60, deadline=None)
@given(
    weights=st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=30),
    levels=st.integers(1, 30),
    n=st.sampled_from([1, 2, 3, 7, 64, 512, 2.5]),
    seed=st.integers(0, 9),
)
def test_it_sums_to_one_whether_rewards_tie_or_not(weights: list[float], levels: int, n: float, seed: int) -> None:
    p = np.array(weights) / sum(weights)
    rewards = np.random.default_rng(seed).integers(levels, size=p.size).astype(float)
    below, upto = standing(p, rewards)
    assert np.exp(log_law(np.log(p), below, upto, n)).sum() == pytest.approx(1, abs=1e-9)


def test_where_rewards_tie_eq4_does_not_sum_to_one() -> None:
    p, rewards = np.full(4, 0.25), np.array([0.0, 0.0, 1.0, 1.0])
    below, upto = standing(p, rewards)
    with np.errstate(divide="ignore"):
        wrong = np.exp(np.log(p) + rho(np.log(p), np.log(below), 4)).sum()
    assert wrong == pytest.approx(2 * 0.25**4 + 2 * (0.75**4 - 0.5**4))  # by hand, and not 1
    assert np.exp(log_law(np.log(p), below, upto, 4)).sum() == pytest.approx(1)


def test_ties_are_those_of_draws_whose_best_is_taken_at_random() -> None:
    rng = np.random.default_rng(0)
    p, rewards, n, runs = np.array([0.1, 0.3, 0.2, 0.15, 0.25]), np.array([2.0, 0.0, 1.0, 1.0, 2.0]), 3, 400_000
    drawn = rng.choice(p.size, size=(runs, n), p=p)
    best = np.argmax(rewards[drawn] + 0.5 * rng.random((runs, n)), axis=1)  # less than any difference of rewards
    seen = np.bincount(drawn[np.arange(runs), best], minlength=p.size) / runs
    law = np.exp(log_law(np.log(p), *standing(p, rewards), n))
    assert (np.abs(seen - law) < 4.5 * np.sqrt(law * (1 - law) / runs)).all()


@pytest.mark.parametrize("n", [1, 2, 4, 33])
def test_without_ties_it_is_eq4_in_exact_arithmetic(n: int) -> None:
    p = [Fraction(k, 55) for k in (3, 10, 1, 9, 2, 8, 7, 4, 6, 5)]
    exact = np.array([float(each) for each in eq4_by_fractions(p, n)])
    floats, below = np.array(p, dtype=float), np.array([float(sum(p[:k])) for k in range(len(p))])
    upto = np.array([float(sum(p[: k + 1])) for k in range(len(p))])
    with np.errstate(divide="ignore"):
        by_sum = np.log(floats) + rho(np.log(floats), np.log(below), n)
    assert np.exp(log_law(np.log(floats), below, upto, n)) == pytest.approx(exact, rel=1e-11)
    assert np.exp(by_sum) == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize("log_p", [-1.0, -40.0, -900.0, -2_500.0])
@pytest.mark.parametrize("n", [2, 8, 512])
def test_nothing_underflows(log_p: float, n: int) -> None:
    """Against many digits of (F + p)^N - F^N, which in floats is 0 from about 40 nats on."""
    f = 0.375
    with localcontext() as context:
        context.prec = 50 + int(-log_p / log(10))
        difference = (Decimal(f) + Decimal(log_p).exp()) ** n - Decimal(f) ** n
        context.prec = 40
        expected = float((+difference).ln())
    assert log_p + rho(log_p, log(f), n) == pytest.approx(expected, rel=1e-12)
    assert log_law(log_p, f, min(1.0, f + float(np.exp(log_p))), n) == pytest.approx(expected, rel=1e-12)
    if log_p < -40:
        assert (f + np.exp(log_p)) ** n - f**n == 0


def test_one_draw_is_the_reference() -> None:
    logs, below = np.array([-0.5, -900.0, NONE]), np.array([0.2, 0.0, 1.0])
    assert (rho(logs, [log(0.2), NONE, 0.0], 1) == 0).all()
    assert (log_weight(logs, below, below, 1) == 0).all()
    assert (log_law(logs, below, below, 1) == logs).all()


def test_the_worst_response_must_be_drawn_each_time() -> None:
    assert rho(-900.0, NONE, 4) == -2_700.0
    assert log_law(-900.0, 0.0, 0.0, 4) == -3_600.0
    assert log_law(np.log(0.2), 0.0, 0.2, 4) == pytest.approx(4 * np.log(0.2))
    assert log_law(NONE, 0.5, 0.5, 4) == NONE
    assert rho(NONE, log(0.5), 4) == pytest.approx(log(4) + 3 * log(0.5))


def test_where_no_sample_has_the_reward_it_is_the_limit() -> None:
    f, n = np.array([0.01, 0.5, 1.0]), 16
    assert log_weight(-500.0, f, f, n) == pytest.approx(np.log(n) + (n - 1) * np.log(f), abs=1e-12)
    assert log_weight(NONE, 0.5, 0.5 + 1e-15, n) == pytest.approx(np.log(n) + (n - 1) * np.log(0.5), abs=1e-9)


def test_a_verdict_of_right_or_wrong() -> None:
    """With 30 % right the best of four is right with probability 1 - 0.7^4."""
    right, wrong = log_weight(-50.0, [0.7, 0.0], [1.0, 0.7], 4)
    assert 0.3 * np.exp(right) == pytest.approx(1 - 0.7**4)
    assert 0.7 * np.exp(wrong) == pytest.approx(0.7**4)
    assert rho(-50.0, NONE, 4) == -150.0  # what Eq. 4 would say of the wrong ones


def test_for_a_text_of_any_length_eq5_is_the_bound_and_log_n() -> None:
    f, n = np.array([0.003, 0.4, 0.99]), 100
    assert rho(-100.0, np.log(f), n) == pytest.approx(np.log(n) + (n - 1) * np.log(f), abs=1e-12)
    assert (rho(-2.0, np.log(f), n) - (np.log(n) + (n - 1) * np.log(f)) > 1).all()  # only what can be enumerated


@pytest.mark.parametrize("n", [2, 16, 128])
def test_its_kl_is_at_most_the_bound_and_the_bound_without_atoms(n: int) -> None:
    for size, slack in ((12, np.inf), (50_000, 1e-3)):
        p = np.full(size, 1 / size)
        upto = np.arange(1, size + 1) / size
        law = log_law(np.log(p), upto - p, upto, n)
        kl = float(np.exp(law) @ (law - np.log(p)))
        assert kl <= kl_bound(n) + 1e-9
        assert kl_bound(n) - kl < slack
        assert np.exp(law) @ kl_best_of_n(np.log(p), n) == pytest.approx(kl, abs=0.03)


def test_more_draws_never_favour_a_worse_response() -> None:
    below = np.linspace(0, 0.9, 10)
    for n in (2, 9, 77):
        assert (np.diff(log_weight(-9.0, below, below + 0.1, n)) > 0).all()
    many = log_weight(np.log(0.1), 0.9, 1.0, [1, 10, 100, 10_000])
    assert (np.diff(many) > 0).all()
    assert many[-1] == pytest.approx(np.log(10))  # all mass is on the best


def test_what_is_refused() -> None:
    with pytest.raises(UsageError, match=r"whole and at least 1, not 2\.5"):
        rho(-1.0, -1.0, 2.5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="at most 0"):
        rho(0.1, -1.0, 2)
    with pytest.raises(UsageError, match="at most 0"):
        log_law(np.nan, 0.1, 0.2, 2)
    with pytest.raises(UsageError, match="first is at most the second"):
        log_law(-1.0, 0.3, 0.2, 2)
    with pytest.raises(UsageError, match="N is at least 1, not 0"):
        log_law(-1.0, 0.1, 0.2, 0)
