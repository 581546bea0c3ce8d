"""The plan of the comparison, and one training of it: six methods, each with as many points and seeds as the others.

All of them train every weight of the same reference, on the same prompts, as long as it takes to learn from 3,200
answers: vBoN, its bound L and PPO draw them themselves, the others take them from the reference's scored samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

from vbon_parts import MAX_TOKENS, Folder

import bon
from bon.api.policies import Material, material, train_on
from bon.api.shared import shared_builder
from bon.train.policy.model import PolicySetup
from bon.train.policy.objectives import Aim
from bon.train.policy.online_recipe import OnlineRecipe
from bon.train.policy.outcome import PolicyReport
from bon.train.recipe import Recipe

__all__ = ["EPISODES", "METHODS", "Method", "Run", "clock_plan", "plan", "train"]

Method: TypeAlias = Literal["vbon", "L", "bonbon", "sft", "dpo", "ppo"]

N = (4.0, 8.0, 2.0, 16.0, 32.0)
BETA = (0.3, 0.1, 1.0, 0.05, 0.02)
"""How strongly PPO and DPO are held to the reference. Of a plan of fewer points these are the first ones."""
METHODS: Mapping[Method, tuple[float, ...]] = {"vbon": N, "L": N, "bonbon": N, "sft": N, "dpo": BETA, "ppo": BETA}
EPISODES = 3200
CLOCK = 10.0
"""The N of the comparison of sample sizes."""
GROUPS = 8
"""How often n of a prompt's samples are drawn to learn from; for DPO they are 6, which make 15 pairs."""

ADAM_EPS = 1e-5
OFFLINE_LR: Mapping[Method, float] = {"sft": 2e-4, "dpo": 1e-4, "bonbon": 1e-4}
"""Between two that were tried at N = 8 and beta = 0.1: BoNBoN moved by 0.2 and by 1.8 nats, DPO by 0.1 and by 0.8. For
BoN-SFT 5e-4 moved by 0.9 nats, three times as far, for 1.6 points of win rate."""
ONLINE = OnlineRecipe(
    algorithm="rloo",
    episodes=EPISODES,
    rollouts=64,
    draws=4,
    epochs=4,
    lr=1e-4,
    adam_eps=ADAM_EPS,
    max_tokens=MAX_TOKENS,
)
"""Four answers a prompt, each learned from four times, as in the paper. At N = 8 learning once from each went half as
far; at two and three times the rate it went further for no higher win rate; 1, 8 or 16 answers a prompt, the last layer
alone, and LoRA were no better at the KL that they came to."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training."""

    method: Method
    value: float
    """N, or beta."""
    seed: int
    samples: int | None = None
    """How many of the reference's samples it may look at; None: all there are."""

    @property
    def name(self) -> str:
        letter = "beta" if self.method in ("dpo", "ppo") else "n"
        few = "" if self.samples is None else f"-m{self.samples}"
        return f"{self.method}-{letter}{self.value:g}{few}-seed{self.seed}"

    @property
    def setting(self) -> str:
        return f"{'beta' if self.method in ('dpo', 'ppo') else 'N'}={self.value:g}"


def plan(points: int, seeds: int) -> Iterator[Run]:
    """The first points of each method, seed by seed: whenever it is stopped, methods have about as many runs."""
    for seed in range(seeds):
        for place in range(points):
            for method, values in METHODS.items():
                yield Run(method=method, value=values[place], seed=seed)


def clock_plan(sizes: tuple[int, ...], seeds: int) -> Iterator[Run]:
    """Trainings by vBoN with few and with many samples of the reference."""
    for seed in range(seeds):
        for samples in sizes:
            yield Run(method="vbon", value=CLOCK, seed=seed, samples=samples)


def train(folder: Folder, run: Run, *, episodes: int = EPISODES) -> PolicyReport:
    """Train a policy into runs/NAME; one that is done is read, one that was stopped goes on."""
    out = folder.root / "runs" / run.name
    setup = PolicySetup(reference=str(folder.reference), device="cpu")
    if run.method in ("vbon", "L", "ppo"):
        return _online(folder, run, out, setup, episodes)
    # As many rows as there are epochs for: the steps end it. A pair is two answers.
    batch = 32 if run.method == "sft" else 16
    lr = OFFLINE_LR[run.method]
    recipe = Recipe(epochs=100, steps=episodes // 32, batch=batch, lr=lr, adam_eps=ADAM_EPS, seed=run.seed)
    pools, size = folder.samples, int(run.value)
    if run.method == "sft":
        return bon.train_sft(pools, out=out, by="reward", n=size, groups=GROUPS, setup=setup, recipe=recipe)
    if run.method == "bonbon":
        return bon.train_bonbon(pools, out=out, by="reward", n=size, groups=GROUPS, setup=setup, recipe=recipe)
    return bon.train_dpo(pools, out=out, by="reward", n=6, beta=run.value, groups=GROUPS, setup=setup, recipe=recipe)


def _online(folder: Folder, run: Run, out: Path, setup: PolicySetup, episodes: int) -> PolicyReport:
    aims = {
        "vbon": lambda: Aim(kind="eq5", n=run.value),
        "L": lambda: Aim(kind="L", n=run.value),
        "ppo": lambda: Aim(kind="reward", beta=run.value),
    }
    recipe = replace(ONLINE, episodes=episodes, seed=run.seed)
    made = _material(folder, setup)
    return train_on(made, aims[run.method](), out=out, setup=setup, recipe=recipe, samples=run.samples)


@cache
def _material(folder: Folder, setup: PolicySetup) -> Material:
    """The samples, read and checked once for all trainings of a process."""
    return material(folder.reward, builder=shared_builder(), setup=setup, pools=folder.samples)
