"""Frontiers of policies whose every answer is known: figures against exact ones, what is kept, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import bon
from bon.api.frontier import frontier
from bon.api.measuring import Trial
from bon.errors import UsageError
from bon.testing.enumerable import Enumerable, save_enumerable
from bon.train.policy.learned import write_learned
from bon.train.policy.measures import loaded
from bon.train.policy.model import PolicySetup, load_policy
from bon.train.policy.outcome import Cost, PolicyReport
from bon.train.policy.report import leave_policy
from bon.types import Candidate, Prompt

PROMPTS = ["ab", "c", "d"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Enumerable:
    return save_enumerable(tmp_path_factory.mktemp("world") / "ref", seed=3)


def trained(world: Enumerable, out: Path, *, method: str = "ppo", shift: float = 0.05, **more: object) -> Path:
    """A folder such as a training leaves: the reference with noise on its weights."""
    import torch

    policy = load_policy(PolicySetup(reference=str(world.folder)), seed=0)
    generator = torch.Generator().manual_seed(int(1000 * shift))
    with torch.no_grad():
        for weight in policy.model.parameters():
            weight.add_(shift * torch.randn(weight.shape, generator=generator))
    report = PolicyReport(
        out=str(out),
        method=method,
        reference=str(world.folder),
        adapt="full",
        settings={"aim": {"beta": shift, "n": None}, "recipe": {"temperature": 1.0, "max_tokens": 4}, "seed": 0},
        seed=0,
        steps=1,
        episodes=2,
        prompts=3,
        cost={"optimisation": Cost(seconds=2.0, tokens=10, draws=2)},
    )
    leave_policy(out, policy, replace(report, **more), identity={})
    return out


def reward(world: Enumerable) -> object:
    def known(prompt: Prompt, candidate: Candidate) -> float:
        return world.reward(candidate.text)

    return bon.pointwise(known)


def exact(world: Enumerable, run: Path) -> dict[str, float]:
    """KL, win rate and reward of a policy, over all of its answers to all prompts."""
    found: dict[str, list[float]] = {"kl": [], "win": [], "reward": []}
    for prompt in PROMPTS:
        log_p, log_q = (
            world.log_probs(loaded(str(folder)).model, prompt).detach().double().numpy()
            for folder in (run, world.folder)
        )
        p, q = np.exp(log_p), np.exp(log_q)
        beats = np.sign(world.rewards[:, None] - world.rewards[None, :]) / 2 + 0.5
        found["kl"].append(float((p * (log_p - log_q)).sum()))
        found["win"].append(float(p @ beats @ q))
        found["reward"].append(float(p @ world.rewards))
    return {name: float(np.mean(values)) for name, values in found.items()}


@pytest.mark.slow
def test_figures_are_near_the_exact_ones_and_nothing_is_drawn_twice(world: Enumerable, tmp_path: Path) -> None:
    runs = [trained(world, tmp_path / "near"), trained(world, tmp_path / "far", method="vbon-eq5", shift=0.1)]
    told: list[str] = []
    trial = Trial(draws=400, samples=300)
    options = {"scorer": reward(world), "folder": tmp_path / "kept", "trial": trial}
    found = frontier(runs, PROMPTS, **options, progress=lambda what, *_: told.append(what))  # type: ignore[arg-type]
    for row, run in zip(found.runs, runs, strict=True):
        wanted = exact(world, run)
        assert row.kl.value == pytest.approx(wanted["kl"], rel=0.1)
        assert row.win.value == pytest.approx(wanted["win"], abs=0.04)
        assert row.reward.value == pytest.approx(wanted["reward"], abs=0.12)
    assert [row.setting for row in found.runs] == ["beta=0.05", "beta=0.1"]
    assert found.kl_estimated
    assert all(row.kl.value < row.bound for row in found.best if row.n > 4)  # a model with atoms
    assert found.costs[-1].optimisation_seconds == 2.0
    assert any("near" in what for what in told)
    told.clear()
    again = frontier(runs, PROMPTS, **options, progress=lambda what, *_: told.append(what))  # type: ignore[arg-type]
    assert again == found
    assert told == []
    (pools,) = (tmp_path / "kept").glob("vbon-eq5-far-T1-*.jsonl")
    pool = next(bon.read_pools(pools))
    assert pool.scores.keys() == {"kl", "log_prob", "known"}
    more = frontier(runs, PROMPTS, **{**options, "trial": replace(trial, draws=10)})  # type: ignore[arg-type]
    assert len(list((tmp_path / "kept").glob("vbon-eq5-far-T1-*.jsonl"))) == 2
    assert more.runs[0].kl != found.runs[0].kl


@pytest.mark.slow
def test_best_of_n_can_choose_by_another_scorer_and_all_at_several_temperatures(
    world: Enumerable, tmp_path: Path
) -> None:
    def length(prompt: Prompt, candidate: Candidate) -> float:
        return float(len(candidate.text))

    found = frontier(
        [trained(world, tmp_path / "near")],
        PROMPTS,
        scorer=reward(world),  # type: ignore[arg-type]
        by=bon.pointwise(length),
        out=tmp_path / "page.html",
        trial=Trial(draws=5, samples=40, temperatures=(1.0, 0.5)),
    )
    assert [row.temperature for row in found.runs] == [1.0, 0.5]
    assert found.best[-1].win.value < 0.8  # 32 / 33 where it chooses by what is measured
    text = (tmp_path / "page.html").read_text()
    assert "win-temperature" in text
    assert list((tmp_path / "page-draws").glob("reference-T0.5-*.jsonl"))


def aimed(mode: str = "paper") -> dict[str, object]:
    """Settings of a training on its own draws."""
    return {
        "aim": {"kind": "L", "n": 4, "mode": mode},
        "setup": {"rank": 16, "layers": 2},
        "recipe": {"temperature": 1.0, "max_tokens": 4, "seed": 0},
    }


@pytest.mark.slow
def test_what_trainings_differ_in_is_said_and_they_are_told_apart(world: Enumerable, tmp_path: Path) -> None:
    """Two of one N whose weights differ, one that ran the released code, under the name that older folders have."""
    beside = f"{world.folder.parent}/./{world.folder.name}"
    full = trained(world, tmp_path / "full", method="vbon-l", settings=aimed())
    lora = trained(world, tmp_path / "lora", method="vbon-l", settings=aimed(), adapt="lora", reference=beside)
    code = trained(world, tmp_path / "code", method="vbon-l", settings=aimed(mode="authors"))
    write_learned(full, [bon.prompt("ab", id="another"), bon.prompt("zz")])
    found = frontier(
        [full, lora, code],
        PROMPTS,
        scorer=reward(world),  # type: ignore[arg-type]
        out=tmp_path / "page.html",
        trial=Trial(draws=2, samples=8),
    )
    assert [(row.method, row.setting) for row in found.runs] == [
        ("vbon-l", "n=4, full"),
        ("vbon-l", "n=4, lora 16"),
        ("vbon-l-authors", "n=4"),
    ]
    few, weights, seen, unknown = found.notes
    assert few.startswith("3 prompts were measured")
    assert weights == f"compared with different trainable parameters: full: {full}, {code}; lora (rank 16): {lora}"
    assert seen.startswith("1 of 3 test prompts were trained on")
    assert f"not known of {lora}, {code}" in unknown
    assert "different trainable parameters" in (tmp_path / "page.html").read_text()
    assert found.reference == str(world.folder)


def test_what_cannot_be_compared_is_refused(world: Enumerable, tmp_path: Path) -> None:
    one = trained(world, tmp_path / "one")
    other = trained(world, tmp_path / "other", reference="somewhere/else")
    long = trained(world, tmp_path / "long", settings={"recipe": {"temperature": 1.0, "max_tokens": 3}})
    scorer = reward(world)
    with pytest.raises(UsageError, match="one reference"):
        frontier([one, other], PROMPTS, scorer=scorer)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="several values of max_tokens"):
        frontier([one, long], PROMPTS, scorer=scorer)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="holds no policy"):
        frontier([world.folder], PROMPTS, scorer=scorer)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="scores a pool as a whole"):
        frontier([one], PROMPTS, scorer=lambda pool: [1.0] * len(pool))
    with pytest.raises(UsageError, match="no prompts"):
        frontier([one], [], scorer=scorer)  # type: ignore[arg-type]
    (tmp_path / "prompts.jsonl").write_text(json.dumps({"prompt": "a"}) + "\n")
    with pytest.raises(UsageError, match="there once"):
        frontier([one], tmp_path / "prompts.jsonl", scorer=scorer, trial=Trial(temperatures=(1.0, 1.0)))  # type: ignore[arg-type]
