"""Trainings in the real loop whose end is known: best-of-N for Eq. 5, the bound's own for L, the tilted one for r."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bon.models.transformers import load_language_model
from bon.testing.enumerable import Enumerable, save_enumerable
from bon.train.policy import exact
from bon.train.policy.model import PolicySetup
from bon.train.policy.objectives import Aim
from bon.train.policy.online import train_online
from bon.train.policy.online_recipe import OnlineRecipe, OnlineTask
from bon.types import Candidate, Prompt

pytest.importorskip("torch")

pytestmark = pytest.mark.slow

PROMPT = Prompt(id="start", messages=({"role": "user", "content": ""},))
SAMPLES = 1 << 15
"""So many that F is known but for what no training would notice."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Enumerable:
    """341 responses, and best-of-4 is 0.09 nats from where L ends."""
    return save_enumerable(tmp_path_factory.mktemp("world"), letters=4, length=4, seed=2)


@pytest.fixture(scope="module")
def known(world: Enumerable) -> exact.Reference:
    return world.known(load_language_model(world.folder, device="cpu").model)


def trained(world: Enumerable, known: exact.Reference, aim: Aim, out: Path, **settings: object) -> exact.Reference:
    """The distribution that a training ends with."""

    def reward(asked: Sequence[tuple[Prompt, Sequence[Candidate]]]) -> list[list[float | None]]:
        return [[world.reward(answer.text) for answer in answers] for _, answers in asked]

    samples = exact.draw_samples(known, SAMPLES, np.random.default_rng(0))
    task = OnlineTask(prompts=[PROMPT], aim=aim, reward=reward, samples={PROMPT.id: samples})
    usual = {"episodes": 256 * 200, "rollouts": 256, "draws": 256, "lr": 2.5e-3, "warmup": 0.1, "max_tokens": 4}
    recipe = OnlineRecipe(**{**usual, "max_grad_norm": None, **settings})  # type: ignore[arg-type]
    train_online(task, out, setup=PolicySetup(reference=str(world.folder), device="cpu"), recipe=recipe)
    return world.known(load_language_model(out, device="cpu").model)


@pytest.mark.parametrize("seed", [0, 1])
def test_eq5_ends_at_best_of_n(seed: int, world: Enumerable, known: exact.Reference, tmp_path: Path) -> None:
    best = exact.best_of_n(known, 4)
    assert exact.kl(known.log_p, best) > 1
    policy = trained(world, known, Aim(n=4), tmp_path, seed=seed).log_p
    assert exact.kl(policy, best) < 0.05
    ended, wanted = exact.measure(policy, known), exact.measure(best, known)
    assert ended.kl == pytest.approx(wanted.kl, abs=0.05)
    assert ended.win_rate == pytest.approx(wanted.win_rate, abs=0.02)


def test_the_bound_ends_where_the_bound_does_and_not_at_best_of_n(
    world: Enumerable, known: exact.Reference, tmp_path: Path
) -> None:
    best = exact.best_of_n(known, 4)
    floor = exact.kl(exact.optimum(Aim(kind="L", n=4), known), best)
    assert floor > 0.09
    policy = trained(world, known, Aim(kind="L", n=4), tmp_path, episodes=256 * 300).log_p
    assert exact.kl(policy, best) == pytest.approx(floor, abs=0.01)


def test_regularised_rewards_end_at_the_tilted_policy(
    world: Enumerable, known: exact.Reference, tmp_path: Path
) -> None:
    aim = Aim(kind="reward", beta=0.5)
    policy = trained(world, known, aim, tmp_path).log_p
    assert exact.kl(policy, exact.optimum(aim, known)) < 0.05


def test_ppo_comes_to_best_of_n_as_well(world: Enumerable, known: exact.Reference, tmp_path: Path) -> None:
    """Clipping, whitening and a value head in between, four passes over each step's answers."""
    policy = trained(world, known, Aim(n=4), tmp_path, algorithm="ppo", episodes=256 * 50, lr=2e-3).log_p
    assert exact.kl(policy, exact.best_of_n(known, 4)) < 0.05
