"""The front, its shares, best-of-N measured on samples, and gaps to it: known answers and properties."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon.errors import UsageError
from bon.evaluation.frontier.bestof import analytic, best_of_n, sizes_below
from bon.evaluation.frontier.gap import gaps, mean_gap
from bon.evaluation.frontier.pareto import front, front_shares, resampled_shares

POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=14)


def test_a_front_by_hand() -> None:
    kl = [0.1, 0.2, 0.2, 0.3, 0.4, 0.1]
    value = [1.0, 2.0, 1.5, 2.0, 3.0, 1.0]
    # 2 is beaten at the same KL, 3 is as good as 1 and further away; the first and the last are one point
    assert front(kl, value).tolist() == [True, True, False, False, True, True]
    assert front([1.0], [0.0]).tolist() == [True]
    with pytest.raises(UsageError, match="finite"):
        front([np.nan], [1.0])


@given(POINTS)
def test_no_dominated_point_is_ever_on_the_front_and_every_other_is(points: list[tuple[int, int]]) -> None:
    kl, value = (np.asarray(axis, dtype=float) for axis in zip(*points, strict=True))
    on = front(kl, value)
    assert on.any()
    for place, (far, good) in enumerate(points):
        beaten = any(f <= far and g >= good and (f < far or g > good) for f, g in points)
        assert on[place] != beaten


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=9), st.integers(0, 2**31))
def test_shares_sum_to_one_in_every_bootstrap(methods: list[str], seed: int) -> None:
    rng = np.random.default_rng(seed)
    kl, value = rng.random((2, len(methods), 5))
    spread = resampled_shares(kl, value, methods, draws=20, rng=rng)
    assert np.allclose(spread.sum(axis=1), 1)
    shares = front_shares(kl, value, methods, draws=20, rng=rng)
    assert sum(share.value for share in shares) == pytest.approx(1)
    assert [share.method for share in shares] == list(dict.fromkeys(methods))


def test_a_method_that_is_better_everywhere_has_all_of_the_front() -> None:
    kl = np.tile(np.linspace(0.1, 1, 5)[:, None], (2, 30))
    value = np.concatenate([np.sqrt(kl[:5]), np.sqrt(kl[5:]) - 0.2])
    shares = front_shares(kl, value, ["good"] * 5 + ["bad"] * 5, draws=200, rng=np.random.default_rng(0))
    assert [(share.method, share.value, share.runs) for share in shares] == [("good", 1.0, 5), ("bad", 0.0, 5)]
    # with replacement the best runs at small KL may be missing, so that a bad one is nearest: what an interval is for
    assert shares[0].high == 1.0
    assert shares[1].high > 0.0


def test_more_runs_alone_bring_no_larger_share() -> None:
    """Two methods whose runs are draws of the same points: twice as many would be two thirds of the front."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(60):
        kl, value = rng.random((2, 18, 1))
        found.append(front_shares(kl, value, ["many"] * 12 + ["few"] * 6, draws=40, rng=rng)[0].value)
    assert np.mean(found) == pytest.approx(0.5, abs=0.07)


def test_best_of_n_is_that_of_all_subsets() -> None:
    rng = np.random.default_rng(2)
    scores = rng.integers(0, 4, size=7).astype(float)  # ties
    gold = rng.random(7)
    log_ref = np.log(rng.random(7) * 0.3)
    sizes = [1, 2, 4, 6]
    found = best_of_n([scores], sizes, gold=[gold], log_ref=[log_ref])
    for column, n in enumerate(sizes):
        values, wins = [], []
        for subset in combinations(range(7), n):
            best = [i for i in subset if scores[i] == max(scores[list(subset)])]
            values.append(gold[best].mean())
            rest = set(range(7)) - set(subset)
            wins += [np.mean([(gold[i] > gold[j]) + (gold[i] == gold[j]) / 2 for i in best]) for j in rest]
        assert found.value[0, column] == pytest.approx(np.mean(values))
        assert found.win[0, column] == pytest.approx(np.mean(wins))
    assert found.estimated
    assert found.kl[0, 0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 5, 19])
def test_without_ties_the_measured_win_rate_is_the_analytic_one(n: int) -> None:
    """Samples are never held against themselves: the best of 19 would beat 20 with a chance of 39 / 40 if it were."""
    found = best_of_n([np.random.default_rng(0).permutation(20)], [n])
    assert found.win[0, 0] == pytest.approx(n / (n + 1))
    assert found.win[0, 0] == pytest.approx(analytic(n)[1])
    assert found.kl[0, 0] == pytest.approx(analytic(n)[0])
    assert not found.estimated


def test_the_kl_of_a_model_with_atoms_is_estimated_far_below_the_bound() -> None:
    """Eight responses of known probability: KL(best-of-16 || reference) computed from the law, against the estimate."""
    rng = np.random.default_rng(3)
    p = np.asarray([0.3, 0.2, 0.15, 0.1, 0.1, 0.08, 0.05, 0.02])
    reward = rng.permutation(8).astype(float)
    below = np.asarray([p[reward < r].sum() for r in reward])
    law = (below + p) ** 16 - below**16
    exact = float((law * np.log(law / p, where=law > 0, out=np.zeros(8))).sum())
    drawn = rng.choice(8, size=(300, 60), p=p)
    found = best_of_n(list(reward[drawn]), [16], log_ref=list(np.log(p[drawn])))
    bound = analytic(16)[0]
    assert abs(found.kl.mean() - exact) < 0.15 * (bound - exact)


@pytest.mark.parametrize("log_ref", [True, False])
@pytest.mark.parametrize(("levels", "n"), [(2, 4), (2, 8), (2, 64), (5, 16), (5, 64)])
def test_rewards_that_tie_do_not_move_best_of_n_further_than_their_levels_can(
    levels: int, n: int, log_ref: bool
) -> None:
    """Verdicts and ratings of texts that never come twice: the KL is that of the levels' law, far below the bound."""
    rng = np.random.default_rng(levels * n)
    rewards = list(rng.integers(levels, size=(60, 200)).astype(float))
    upto = np.arange(1, levels + 1) / levels
    law = upto**n - (upto - 1 / levels) ** n
    exact = float((law * np.log(np.maximum(law, 1e-300) * levels)).sum())
    found = best_of_n(rewards, [n], log_ref=[np.full(200, -30.0)] * 60 if log_ref else None)
    assert exact < analytic(n)[0] - 0.1
    assert found.kl.mean() == pytest.approx(exact, abs=0.03)


def test_best_of_n_needs_one_sample_more_than_n() -> None:
    with pytest.raises(UsageError, match="below the samples a prompt has, 3"):
        best_of_n([[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0]], [3])
    with pytest.raises(UsageError, match="differ in shape"):
        best_of_n([[1.0, 2.0]], [1], gold=[[1.0]])
    assert sizes_below(17) == [1, 2, 3, 4, 6, 8, 12, 16]
    assert sizes_below(2) == [1]
    assert sizes_below(4) == [1, 2, 3]


def curve(prompts: int) -> tuple[np.ndarray, np.ndarray]:
    """A straight line over the root of the KL: the value is twice that root, on every prompt."""
    xs = np.tile(np.asarray([0.0, 1.0, 4.0]), (prompts, 1))
    return xs, 2 * np.sqrt(xs)


def test_gaps_to_a_straight_line() -> None:
    xs, ys = curve(10)
    kl = np.stack([np.full(10, far) for far in (0.25, 2.89, 5.0, 0.0)])
    value = np.stack([np.full(10, good) for good in (0.4, 4.0, 9.0, 0.0)])
    found = gaps(kl, value, curve_kl=xs, curve_value=ys, rng=np.random.default_rng(0))
    assert [each.value for each in found[:2]] == pytest.approx([0.6, -0.6])
    assert (found[0].low, found[0].high) == pytest.approx((0.6, 0.6))
    assert found[2].value is None
    assert "further" in found[2].why
    assert found[3].value == pytest.approx(0)
    together = mean_gap(kl, value, settings="abcd", curve_kl=xs, curve_value=ys, rng=np.random.default_rng(0))
    assert together.runs == 3
    assert together.value == pytest.approx(0)
    none = mean_gap(kl[2:3], value[2:3], settings="c", curve_kl=xs, curve_value=ys, rng=np.random.default_rng(0))
    assert none.value is None


@pytest.mark.parametrize("n", [1.05, 1.2, 1.4, 1.6, 2.45, 5.0, 11.0])
def test_a_policy_between_two_whole_n_has_no_gap(n: float) -> None:
    """Best-of-n of a law without atoms, at an n that is not whole: it lies on the curve of best-of-N."""
    sizes = np.asarray([1, 2, 3, 4, 6, 8, 12, 16])
    xs, ys = (np.tile(each, (4, 1)) for each in analytic(sizes))
    kl, win = (np.full((1, 4), float(each)) for each in analytic(n))
    (found,) = gaps(kl, win, curve_kl=xs, curve_value=ys, rng=np.random.default_rng(0))
    assert found.value == pytest.approx(0, abs=0.003)


def test_the_interval_of_a_method_knows_how_far_its_seeds_are_apart() -> None:
    """Five settings of three seeds, whose values are 0.03 apart by their seeds: is the gap within the interval?"""
    rng = np.random.default_rng(0)
    xs, ys = curve(40)
    settings, held, widths = [str(place // 3) for place in range(15)], [], []
    for _ in range(60):
        value = 1.0 - 0.1 + rng.normal(0, 0.03, size=(15, 1)) + rng.normal(0, 0.02, size=(15, 40))
        kl = np.full((15, 40), 0.25)
        found = mean_gap(kl, value, settings=settings, curve_kl=xs, curve_value=ys, draws=400, rng=rng)
        assert found.low is not None
        assert found.high is not None
        held.append(found.low < 0.1 < found.high)
        widths.append(found.high - found.low)
    assert 0.75 < np.mean(held) <= 1  # three seeds are few: a bootstrap of them is too narrow by a fifth
    alone = mean_gap(kl, value, settings=range(15), curve_kl=xs, curve_value=ys, draws=400, rng=rng)  # type: ignore[arg-type]
    assert alone.low is not None
    assert alone.high is not None
    assert alone.high - alone.low < np.mean(widths) / 2


def test_the_interval_of_a_gap_is_paired() -> None:
    """Prompts differ far more than the two sides on one prompt do."""
    rng = np.random.default_rng(4)
    xs, ys = curve(200)
    hard = rng.normal(0, 5, size=(200, 1))
    value = (1.0 - 0.3 + hard[:, 0] + rng.normal(0, 0.1, size=200))[None]
    kl = np.full((1, 200), 0.25)
    (found,) = gaps(kl, value, curve_kl=xs, curve_value=ys + hard, rng=rng)
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low < 0.1
    assert found.low < 0.3 < found.high


def test_gaps_of_other_prompts_than_the_curve_are_refused() -> None:
    xs, ys = curve(3)
    with pytest.raises(UsageError, match="shape"):
        gaps(np.zeros((1, 4)), np.zeros((1, 4)), curve_kl=xs, curve_value=ys, rng=np.random.default_rng(0))
