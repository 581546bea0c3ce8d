"""From measurements to the frontier: the same prompts for all, fronts, gaps, costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bon.errors import UsageError
from bon.evaluation.frontier.measured import Measured, Reference
from bon.evaluation.frontier.summary import summarise

PROMPTS, SAMPLES = 12, 9
IDS = tuple(f"p{place}" for place in range(PROMPTS))


def reference(seed: int = 0) -> Reference:
    rng = np.random.default_rng(seed)
    return Reference(
        name="hf:base",
        temperature=1.0,
        ids=IDS,
        rewards=tuple(tuple(row) for row in rng.normal(size=(PROMPTS, SAMPLES)).tolist()),
        length=10.0,
        seconds=0.5,
    )


def run(method: str, kl: float, win: float, reward: float, *, seed: int = 0, temperature: float = 1.0) -> Measured:
    return Measured(
        run=f"out/{method}-{kl}-{seed}",
        method=method,
        setting="n=4",
        seed=seed,
        temperature=temperature,
        ids=IDS,
        kl=(kl,) * PROMPTS,
        reward=(reward,) * PROMPTS,
        win=(win,) * PROMPTS,
        draws=2,
        length=12.0,
        ended=1.0,
        seconds=0.25,
        cost={"optimisation": {"seconds": 20.0, "tokens": 1000}},
    )


def test_runs_fronts_gaps_and_costs() -> None:
    runs = [run("ppo", 0.3, 0.6, 0.9), run("vbon-eq5", 0.3, 0.7, 0.8), run("vbon-eq5", 0.2, 0.55, 0.9, temperature=0.5)]
    found = summarise(runs, reference(), scorer="rm:x", sizes=[1, 2, 4, 8], draws=200)
    ppo, vbon, cold = found.runs
    assert [ppo.on_front, vbon.on_front] == [{"win": False, "reward": True}, {"win": True, "reward": False}]
    assert cold.on_front == {}
    assert [row.method for row in found.methods] == ["vbon-eq5", "ppo"]
    assert found.methods[0].share["win"].value == 1.0
    assert found.methods[0].share["reward"].value == 0.0
    assert [row.win.value for row in found.best] == pytest.approx([1 / 2, 2 / 3, 4 / 5, 8 / 9])
    assert not found.kl_estimated
    kls = [row.bound for row in found.best]
    at = np.interp(np.sqrt(0.3), np.sqrt(kls), [1 / 2, 2 / 3, 4 / 5, 8 / 9])
    assert vbon.gap["win"].value == pytest.approx(at - 0.7)
    assert [(row.method, row.draws, row.tokens, row.seconds) for row in found.costs] == [
        ("the reference", 1, 10.0, 0.5),
        ("best of 8", 8, 80.0, 4.0),
        ("vbon-eq5", 1, 12.0, 0.25),
        ("ppo", 1, 12.0, 0.25),
    ]
    assert found.costs[2].optimisation_seconds == 20.0
    assert found.costs[2].preprocessing_seconds is None
    assert found.notes == []


def test_all_are_compared_on_the_prompts_that_all_have() -> None:
    whole = run("ppo", 0.3, 0.6, 0.9)
    part = replace(
        run("vbon-eq5", 0.3, 0.7, 0.8),
        ids=IDS[::-1][:-2],
        kl=tuple(float(place) for place in range(PROMPTS - 2)),
        win=(0.7,) * (PROMPTS - 2),
        reward=(0.8,) * (PROMPTS - 2),
    )
    found = summarise([whole, part], reference(), scorer="rm:x", draws=50)
    assert found.prompts == PROMPTS - 2
    assert "2 prompts are left out" in found.notes[0]
    assert found.runs[1].kl.value == pytest.approx(np.mean(range(PROMPTS - 2)))
    with pytest.raises(UsageError, match="no prompt has"):
        summarise([replace(whole, ids=("other",))], reference(), scorer="rm:x")


def test_a_run_at_another_temperature_alone_is_no_frontier() -> None:
    with pytest.raises(UsageError, match=r"reference's temperature, 1 \(measured: 0.5\)"):
        summarise([run("ppo", 0.3, 0.6, 0.9, temperature=0.5)], reference(), scorer="rm:x")


def test_another_scorer_chooses_than_the_one_that_measures() -> None:
    """Chosen by noise, the best of N is worth one draw, and wins half of the time."""
    rng = np.random.default_rng(5)
    noise = tuple(tuple(row) for row in rng.normal(size=(PROMPTS, SAMPLES)).tolist())
    given = reference()
    same = summarise([run("ppo", 0.3, 0.6, 0.9)], given, scorer="rm:x", sizes=[8], draws=50).best[0]
    other = summarise([run("ppo", 0.3, 0.6, 0.9)], replace(given, chosen=noise), scorer="rm:x", sizes=[8], draws=50)
    assert same.win.value == pytest.approx(8 / 9)
    assert other.best[0].win.value == pytest.approx(0.5, abs=0.15)


def test_the_same_seed_gives_the_same_intervals() -> None:
    rng = np.random.default_rng(6)
    runs = [replace(run("ppo", 0.3, 0.6, 0.9), kl=tuple(rng.random(PROMPTS).tolist()))]
    one, two = (summarise(runs, reference(), scorer="rm:x", draws=100, seed=3) for _ in range(2))
    assert one == two
    assert one.runs[0].kl.low < one.runs[0].kl.value < one.runs[0].kl.high
