"""Best-of-N and its bounds summed over all responses: orders, optima, limits, and the floor that M samples leave."""

from __future__ import annotations

import numpy as np
import pytest

from bon.errors import UsageError
from bon.stats.kl import kl_bound
from bon.train.policy import exact
from bon.train.policy.objectives import Aim, Kind

EQ5, L, L1 = (Aim(kind=kind, n=4) for kind in ("eq5", "L", "L1"))  # type: ignore[arg-type]


def some(size: int = 60, *, seed: int = 0, levels: int | None = None) -> exact.Reference:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(size, 0.5)) + 1e-9
    rewards = rng.normal(size=size) if levels is None else rng.integers(levels, size=size).astype(float)
    return exact.reference(np.log(p / p.sum()), rewards)


def smooth(size: int = 50_000) -> exact.Reference:
    """No response with a probability to speak of."""
    return exact.reference(np.full(size, -np.log(size)), np.random.default_rng(0).permutation(size).astype(float))


def random_policy(known: exact.Reference, rng: np.random.Generator) -> np.ndarray:
    """Gives nothing that best-of-N never does: the worst response too, since Eq. 4 does, and L does not."""
    return np.log(rng.dirichlet(np.full(known.log_p.size, 0.7)) + 1e-300)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [2, 3, 8, 40])
def test_theorems_two_and_four_hold_for_random_policies(seed: int, n: int) -> None:
    known, rng = some(seed=seed), np.random.default_rng(seed)
    for _ in range(20):
        policy = random_policy(known, rng)
        j, bound, lower = (exact.objective(Aim(kind=kind, n=n), policy, known) for kind in ("eq5", "L", "L1"))  # type: ignore[arg-type]
        assert j >= bound - 1e-9
        assert bound >= lower - 1e-9
        assert j == pytest.approx(-exact.kl(policy, exact.best_of_n(known, n)), rel=1e-9)
    without_worst = np.where(known.rewards > known.rewards.min(), known.log_p, -np.inf)
    without_worst -= np.log(np.exp(without_worst).sum())
    j, bound, lower = (exact.objective(Aim(kind=kind, n=n), without_worst, known) for kind in ("eq5", "L", "L1"))  # type: ignore[arg-type]
    assert np.isfinite([j, bound, lower]).all()
    assert j > bound
    assert bound > lower or n == 2


@pytest.mark.parametrize("levels", [None, 4])
@pytest.mark.parametrize("n", [1, 2, 8, 512])
def test_best_of_n_is_where_eq5_ends_and_nothing_is_better(n: int, levels: int | None) -> None:
    known, rng = some(levels=levels), np.random.default_rng(0)
    best = exact.best_of_n(known, n)
    assert np.exp(best).sum() == pytest.approx(1)
    assert exact.kl(exact.optimum(Aim(n=n), known), best) == pytest.approx(0, abs=1e-9)
    top = exact.objective(Aim(n=n), best, known)
    assert top == pytest.approx(0, abs=1e-9)
    for _ in range(20):
        moved = best + 0.1 * rng.normal(size=best.size)
        assert exact.objective(Aim(n=n), moved - np.log(np.exp(moved).sum()), known) < top


@pytest.mark.parametrize("aim", [EQ5, L, L1, Aim(kind="reward", beta=0.3)])
def test_an_optimum_is_one(aim: Aim) -> None:
    known, rng = some(), np.random.default_rng(1)
    best = exact.optimum(aim, known)
    top = exact.objective(aim, best, known)
    for _ in range(20):
        moved = best + 0.1 * rng.normal(size=best.size)
        assert exact.objective(aim, moved - np.log(np.exp(moved).sum()), known) < top


def test_at_the_optimum_the_return_is_zero_and_has_no_variance() -> None:
    known = some()
    best = exact.best_of_n(known, 4)
    gained = {n: Aim(n=n).of(known.rewards, known.log_p, known.below, known.upto, np.log(known.upto)) for n in (4, 8)}
    returns = gained[4] - Aim(n=4).kl * (best - known.log_p)
    assert np.abs(returns).max() < 1e-12
    assert np.std(gained[8] - Aim(n=8).kl * (best - known.log_p)) > 0.1  # best-of-4 is not where N = 8 ends


def test_the_optima_by_hand() -> None:
    known = exact.reference(np.log([0.5, 0.3, 0.2]), [0.0, 1.0, 2.0])
    assert np.exp(exact.best_of_n(known, 2)) == pytest.approx([0.25, 0.39, 0.36])
    for n in (2, 5):
        weights = np.array([0, 0.3 * 0.5 ** (n - 1), 0.2 * 0.8 ** (n - 1)])
        assert np.exp(exact.optimum(Aim(kind="L", n=n), known)) == pytest.approx(weights / weights.sum())
    weights = np.array([0, 0.3**3 * 0.5, 0.2**3 * 0.8])  # N = 2: gamma = 1, beta = 3
    assert np.exp(exact.optimum(Aim(kind="L1", n=2), known)) == pytest.approx(weights / weights.sum())
    weights = np.array([0.5, 0.3, 0.2]) * np.exp(np.array([0, 1, 2]) / 0.5)
    assert np.exp(exact.optimum(Aim(kind="reward", beta=0.5), known)) == pytest.approx(weights / weights.sum())


def test_the_ends_of_n() -> None:
    for known in (some(), some(levels=4)):
        assert exact.kl(exact.best_of_n(known, 1), known.log_p) == pytest.approx(0, abs=1e-12)
        best = known.rewards == known.rewards.max()
        assert np.exp(exact.best_of_n(known, 1e7))[best].sum() == pytest.approx(1)
    point = exact.measure(some().log_p, some())
    assert point.kl == pytest.approx(0, abs=1e-12)
    assert point.win_rate == pytest.approx(0.5)


def test_without_atoms_kl_and_win_rate_are_the_known_curves_and_with_atoms_less() -> None:
    ns = [2, 8, 32]
    for n, point in zip(ns, exact.frontier(smooth(), ns), strict=True):
        assert point.kl == pytest.approx(float(kl_bound(n)), abs=1e-3)
        assert point.win_rate == pytest.approx(n / (n + 1), abs=1e-3)
    for n, point in zip(ns, exact.frontier(some(8), ns), strict=True):
        assert point.kl < kl_bound(n) - 1e-3
        assert point.win_rate < n / (n + 1) - 1e-3


def test_win_rate_is_what_duels_say() -> None:
    known, rng, runs = some(12, levels=4), np.random.default_rng(0), 200_000
    best = exact.best_of_n(known, 3)
    ours = rng.choice(known.rewards, size=runs, p=np.exp(best))
    theirs = rng.choice(known.rewards, size=runs, p=np.exp(known.log_p))
    seen = ((ours > theirs) + 0.5 * (ours == theirs)).mean()
    assert exact.win_rate(best, known) == pytest.approx(seen, abs=4.5 * 0.5 / np.sqrt(runs))
    assert exact.win_rate(best, known) != pytest.approx((ours > theirs).mean(), abs=0.01)  # ties are not losses


def test_at_equal_kl_the_tilted_policy_has_more_reward_and_best_of_n_the_better_win_rate() -> None:
    known = exact.reference(np.full(5_000, -np.log(5_000)), np.random.default_rng(0).standard_t(3, size=5_000))
    best = exact.measure(exact.best_of_n(known, 8), known)
    low, high = 1e-3, 1e3
    for _ in range(100):  # the beta whose optimum is as far from the reference as best-of-8
        beta = (low * high) ** 0.5
        tilted = exact.measure(exact.optimum(Aim(kind="reward", beta=beta), known), known)
        low, high = (beta, high) if tilted.kl > best.kl else (low, beta)
    assert tilted.kl == pytest.approx(best.kl, abs=1e-6)
    assert tilted.reward > best.reward + 0.05
    assert tilted.win_rate < best.win_rate - 0.05


FLOORS = {8: {8: 0.24, 32: 0.048, 128: 0.015, 200: 0.011, 512: 0.003}, 32: {8: 0.71, 32: 0.19, 128: 0.092, 512: 0.018}}


@pytest.mark.parametrize("n", [8, 32])
def test_the_floor_that_m_samples_leave(n: int) -> None:
    """Known of one model and one set of samples each; here they are means over 100 sets: within a factor of two."""
    known, rng = smooth(4_000), np.random.default_rng(0)
    best, found = exact.best_of_n(known, n), []
    for m, floor in FLOORS[n].items():
        each = [exact.kl(exact.optimum(Aim(n=n), known, exact.draw_samples(known, m, rng)), best) for _ in range(100)]
        found.append(np.mean(each))
        assert floor / 2 < found[-1] < 2 * floor
    assert (np.diff(found) < 0).all()


def test_more_samples_than_n_needs_leave_next_to_nothing_where_strings_repeat() -> None:
    """Samples that hold most strings say how likely each is: that must not be worse than Eq. 4 with the known one."""
    known, rng = some(40), np.random.default_rng(0)
    many = exact.draw_samples(known, 20_000, rng)
    for law in ("ties", "eq4"):
        assert exact.kl(exact.optimum(Aim(n=8, law=law), known, many), exact.best_of_n(known, 8)) < 2e-3  # type: ignore[arg-type]
    tied = some(40, levels=3)
    many = exact.draw_samples(tied, 20_000, rng)
    assert exact.kl(exact.optimum(Aim(n=8), tied, many), exact.best_of_n(tied, 8)) < 2e-3
    assert exact.kl(exact.optimum(Aim(n=8, law="eq4"), tied, many), exact.best_of_n(tied, 8)) > 0.02


@pytest.mark.parametrize("kind", ["eq5", "L"])
def test_eq5_and_its_bound_end_apart_where_responses_are_likely(kind: Kind) -> None:
    known = exact.reference(np.log([0.5, 0.3, 0.2]), [0.0, 1.0, 2.0])
    floor = exact.kl(exact.optimum(Aim(kind=kind, n=4), known), exact.best_of_n(known, 4))
    assert (floor < 1e-9) if kind == "eq5" else (floor > 0.08)
    many = smooth()
    assert exact.kl(exact.optimum(Aim(kind=kind, n=4), many), exact.best_of_n(many, 4)) < 1e-3


def test_what_is_refused() -> None:
    with pytest.raises(UsageError, match=r"sum to 0\.5"):
        exact.reference(np.log([0.25, 0.25]), [0.0, 1.0])
    with pytest.raises(UsageError, match=r"wanted \(S,\) finite ones"):
        exact.reference(np.log([0.5, 0.5]), [0.0])
    with pytest.raises(UsageError, match=r"wanted \(S,\) finite ones"):
        exact.reference(np.log([0.5, 0.5]), [0.0, np.inf])
