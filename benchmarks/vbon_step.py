"""A step of variational best-of-N against a step of PPO without F, in one run: what the ranks cost, and what N costs.

All trainings draw the same answers from the same small decoder with random weights (0.5 M parameters, 16 tokens an
answer), and differ in nothing but the aim; they take turns, and another one begins each round. CPU time, and of each
step the least of all rounds, since other work on the machine is none of it. The ratio of the two is what is held to the
goal; how much of it are the ranks, all that an aim adds, is said beside it. On a busy machine the ratio goes up and
down by a tenth, so that there it may well miss the goal by itself: take a quiet one, or more rounds. Run it with
`python benchmarks/vbon_step.py [--rounds N] [--json]`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from bon.models.loading import quiet
from bon.testing.checkpoints import tiny_tokenizer
from bon.train.policy.model import PolicySetup
from bon.train.policy.objectives import Aim
from bon.train.policy.online import train_online
from bon.train.policy.online_recipe import OnlineRecipe, OnlineTask
from bon.train.recipe import Step
from bon.types import Candidate, Prompt, as_messages

GOAL = 1.05
PROMPTS, SAMPLES, STEPS = 64, 200, 4
AIMS = {
    "ppo": Aim(kind="reward", beta=0.1),
    "vbon, N = 4": Aim(kind="eq5", n=4),
    "vbon, N = 64": Aim(kind="eq5", n=64),
    "vbon, N = 512": Aim(kind="eq5", n=512),
}


def save_model(folder: Path) -> None:
    tokenizer = tiny_tokenizer(chat=False)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        initializer_range=0.1,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    with quiet():
        transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def reward(rows: Sequence[tuple[Prompt, Sequence[Candidate]]]) -> list[list[float]]:
    """Something cheap and different for every text."""
    return [[sum(map(ord, answer.text)) % 997 / 997 for answer in answers] for _, answers in rows]


def seconds_of(train: Callable[[Callable[[Step], None]], object]) -> list[float]:
    """CPU seconds of each step but the first, which warms up."""
    marks: list[float] = []
    train(lambda _: marks.append(time.process_time()))
    return [after - before for before, after in pairwise(marks)]


def measured(folder: Path, algorithm: Any, rounds: int) -> dict[str, dict[str, float]]:
    prompts = [Prompt(id=str(place), messages=as_messages("the dog " * (1 + place % 4))) for place in range(PROMPTS)]
    random = np.random.default_rng(0)
    samples = {prompt.id: np.sort(random.random(SAMPLES)) for prompt in prompts}
    task = OnlineTask(prompts=prompts, aim=AIMS["ppo"], reward=reward)
    recipe = OnlineRecipe(
        algorithm=algorithm, rollouts=64, episodes=64 * (STEPS + 1), minibatch=32, lr=1e-12, max_tokens=16
    )
    found: dict[str, list[float]] = {name: [] for name in AIMS}
    for turn in range(rounds):
        for name in turned(list(AIMS), turn):
            ranked = replace(task, aim=AIMS[name], samples={} if name == "ppo" else samples)
            out = folder / f"{algorithm}-{turn}-{name}"
            setup = PolicySetup(reference=str(folder / "model"), device="cpu")
            found[name] += seconds_of(
                lambda hook, ranked=ranked, out=out, setup=setup: train_online(  # type: ignore[misc]
                    ranked, out, setup=setup, recipe=recipe, progress=hook
                )
            )
    least = {name: [min(each[step::STEPS]) for step in range(STEPS)] for name, each in found.items()}
    base = sum(least["ppo"])
    return {
        name: {
            "seconds": sum(each) / STEPS,
            "ratio": sum(each) / base,
            "ranks": ranking(AIMS[name], list(samples.values())),
        }
        for name, each in least.items()
    }


def turned(names: Sequence[str], by: int) -> list[str]:
    """The same names from another one on, so that none is always the first, or behind the same one."""
    start = by % len(names)
    return [*names[start:], *names[:start]]


def ranking(aim: Aim, samples: Sequence[Any]) -> float:
    """CPU seconds that the ranks of a step's rewards take by themselves, the least of some tries."""
    random = np.random.default_rng(1)
    rewards, log_ref = random.random(len(samples)), -10 - 50 * random.random(len(samples))
    tries = []
    for _ in range(20):
        began = time.process_time()
        aim.reward(rewards, samples, log_ref)
        tries.append(time.process_time() - began)
    return min(tries)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        save_model(folder / "model")
        found = {algorithm: measured(folder, algorithm, given.rounds) for algorithm in ("ppo", "rloo")}
    if given.json:
        print(json.dumps(found))
    else:
        heads = f"{'CPU s a step':>13} {'ratio':>12} {'ranks, ms':>10} {'share':>7}"
        print(f"{'':>6} {'aim':<14} {heads}   (to a step without F; goal: at most {GOAL})")
        for algorithm, table in found.items():
            for name, row in table.items():
                share = row["ranks"] / row["seconds"]
                times = f"{row['seconds']:>13.3f} {row['ratio']:>12.3f} {1e3 * row['ranks']:>10.2f} {share:>7.2%}"
                print(f"{algorithm:>6} {name:<14} {times}")
    ratios = {(algorithm, name): row["ratio"] for algorithm, table in found.items() for name, row in table.items()}
    worst = max(ratios, key=lambda which: ratios[which])
    if ratios[worst] > GOAL:
        raise SystemExit(
            f"a step of {' with '.join(worst)} costs {ratios[worst]:.3f} times one without F: above {GOAL}"
        )


if __name__ == "__main__":
    main()
