"""Objectives as returns: scales and limits, each prompt's own ranks, and what the released code does differently."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bon.errors import UsageError
from bon.stats.law import rho
from bon.train.policy import exact
from bon.train.policy.objectives import Aim, Kind

SAMPLES = np.array([-1.0, 0.0, 0.5, 2.0])
LONG = np.full(3, -80.0)
ASKED = np.array([-3.0, 0.2, 1.0])
F = np.log([1 / 5, 3 / 5, 4 / 5])


def rewards_of(aim: Aim, rewards: np.ndarray = ASKED, samples: np.ndarray = SAMPLES) -> np.ndarray:
    return aim.reward(rewards, [samples] * len(rewards), np.full(len(rewards), -80.0))


def test_returns_by_hand() -> None:
    assert rewards_of(Aim(n=4)) == pytest.approx((np.log(4) + 3 * F) / 3)
    assert rewards_of(Aim(kind="L", n=4)) == pytest.approx(F)
    assert rewards_of(Aim(kind="L1", n=4)) == pytest.approx((6 * F + (10 - 1) * LONG) / 3)
    assert rewards_of(Aim(kind="reward", beta=0.1)) == pytest.approx(ASKED)
    assert [Aim(n=4).kl, Aim(kind="L", n=2.5).kl, Aim(kind="reward", beta=0.1).kl] == pytest.approx(
        [1 / 3, 1 / 1.5, 0.1]
    )


def test_eq5_of_likely_responses_holds_their_own_probability() -> None:
    logs, asked = np.log([0.3, 0.2]), ASKED[:2]
    expected = np.log((np.exp(F[:2]) + np.exp(logs)) ** 4 - np.exp(F[:2]) ** 4) - logs
    for aim in (Aim(n=4), Aim(n=4, law="eq4")):
        assert aim.reward(asked, [SAMPLES] * 2, logs) == pytest.approx(expected / 3)
    assert Aim(n=4, law="eq4").reward(ASKED, [SAMPLES] * 3, LONG) == pytest.approx(rho(LONG, F, 4) / 3)


def test_equal_rewards_share_what_eq4_would_give_each() -> None:
    verdicts = np.array([0.0] * 7 + [1.0] * 3)
    wrong, right = Aim(n=4).reward([0.0, 1.0], [verdicts] * 2, [-80.0, -80.0]) * 3
    below, share = 1 / 11, 7 / 11
    assert wrong == pytest.approx(np.log(((below + share) ** 4 - below**4) / share))
    assert right == pytest.approx(np.log((1 - (8 / 11) ** 4) / (3 / 11)))
    plain = Aim(n=4, law="eq4").reward([0.0, 1.0], [verdicts] * 2, [-80.0, -80.0]) * 3
    assert np.exp(plain) @ [0.7, 0.3] != pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("kind", ["eq5", "L", "L1"])
def test_one_draw_is_plain_kl(kind: Kind) -> None:
    aim = Aim(kind=kind, n=1)
    assert (aim.reward(ASKED, [], LONG) == 0).all()
    assert aim.kl == 1
    assert not aim.ranked


def test_beta_is_another_way_to_say_n() -> None:
    by_beta, by_n = Aim(kind="L", beta=0.05), Aim(kind="L", n=21)
    assert by_beta.draws == pytest.approx(21)
    assert by_beta.kl == pytest.approx(by_n.kl)
    assert rewards_of(by_beta) == pytest.approx(rewards_of(by_n))
    assert Aim(kind="reward", beta=0.05).draws == pytest.approx(21)


def test_each_prompt_has_ranks_of_its_own() -> None:
    """One F for all prompts would give a hard prompt's best answer less than an easy one's worst."""
    hard, easy = np.linspace(-9, -5, 50), np.linspace(5, 9, 50)
    logs = np.array([-80.0, -80.0])
    hard_best, easy_worst = Aim(n=8).reward([-5.0, 5.0], [hard, easy], logs)
    assert hard_best > easy_worst + 1
    pooled = np.sort(np.concatenate([hard, easy]))
    assert np.subtract(*Aim(n=8).reward([-5.0, 5.0], [pooled, pooled], logs)) < 0


@settings(max_examples=40, deadline=None)
@given(
    samples=st.lists(st.integers(-50, 50), min_size=1, max_size=30),
    asked=st.lists(st.integers(-50, 50), min_size=1, max_size=10),
    kind=st.sampled_from(["eq5", "L", "L1"]),
    n=st.sampled_from([1, 2, 8, 100]),
)
def test_an_increasing_map_of_rewards_changes_no_bit(samples: list[int], asked: list[int], kind: Kind, n: int) -> None:
    known, values, aim = np.sort(np.array(samples, float)), np.array(asked, float), Aim(kind=kind, n=n)
    for mapped in (lambda r: r**3, np.arctan, lambda r: 1e6 * r + 3):
        assert (rewards_of(aim, mapped(values), mapped(known)) == rewards_of(aim, values, known)).all()


def test_the_authors_n_is_cut_and_their_l1_is_l() -> None:
    assert Aim(n=100, mode="authors").draws == 99
    assert Aim(n=100).draws == 100
    assert Aim(kind="L", beta=0.3, mode="authors").draws == 4
    assert Aim(n=100, mode="authors").kl == pytest.approx(1 / 99)
    first = rewards_of(Aim(kind="L1", n=4, mode="authors"))
    assert first == pytest.approx(rewards_of(Aim(kind="L", n=4, mode="authors")))
    assert first == pytest.approx(3 / 4 * F)


@pytest.mark.parametrize("kind", ["eq5", "L", "L1"])
def test_the_authors_scale_ends_at_a_lower_win_rate(kind: Kind) -> None:
    """At N = 2 the win rate is 0.60 where best-of-2 has 2/3: the KL is held at twice what belongs to the reward."""
    known = exact.reference(np.full(20_000, -np.log(20_000)), np.arange(20_000.0))
    theirs = exact.optimum(Aim(kind=kind, n=2, mode="authors"), known)
    assert exact.win_rate(theirs, known) == pytest.approx(0.60, abs=1e-3)
    ours = exact.optimum(Aim(kind="eq5", n=2), known)
    assert exact.win_rate(ours, known) == pytest.approx(2 / 3, abs=1e-3)


def test_what_is_refused() -> None:
    for wrong in (
        {"kind": "eq5"},
        {"kind": "eq5", "beta": 0.1},
        {"kind": "L1", "beta": 0.1},
        {"kind": "L", "n": 4, "beta": 0.1},
        {"kind": "reward", "n": 4},
        {"kind": "reward"},
        {"kind": "reward", "n": 4, "beta": 0.1},
        {"n": 2.5},
        {"n": 0},
        {"n": float("inf")},
        {"kind": "L", "beta": 0.0},
        {"kind": "reward", "beta": float("nan")},
        {"kind": "l", "n": 4},
        {"n": 4, "estimator": "median"},
        {"n": 4, "mode": "author"},
        {"n": 4, "law": "tie"},
    ):
        with pytest.raises(UsageError):
            Aim(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="2 rows of reference samples for 3 rewards"):
        Aim(n=4).reward(ASKED, [SAMPLES] * 2, LONG)
    with pytest.raises(UsageError, match=r"wanted \(B,\) of each"):
        Aim(n=4).reward(ASKED, [SAMPLES] * 3, LONG[:2])
    with pytest.raises(UsageError, match="not finite"):
        Aim(n=4).reward([np.nan], [SAMPLES], [-80.0])
