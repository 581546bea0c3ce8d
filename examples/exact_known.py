"""vBoN on a model of 9,331 responses: how near 400 steps come to best-of-N, whose every probability is known.

Run it with `python examples/exact_known.py [--n 2 8 32] [--seeds 0]` after `pip install 'bon[torch]'`. It prints a
table: the KL to best-of-N before and after, and where the policy and best-of-N are seen from the reference.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bon.models.transformers import load_language_model
from bon.testing.enumerable import Enumerable, save_enumerable
from bon.train.policy import exact
from bon.train.policy.model import PolicySetup
from bon.train.policy.objectives import Aim
from bon.train.policy.online import train_online
from bon.train.policy.online_recipe import OnlineRecipe, OnlineTask
from bon.types import Candidate, Prompt

LETTERS, LENGTH, SAMPLES = 6, 5, 1 << 15
PROMPT = Prompt(id="start", messages=({"role": "user", "content": ""},))
RECIPE = OnlineRecipe(episodes=256 * 400, rollouts=256, draws=256, lr=2e-3, max_tokens=LENGTH, max_grad_norm=None)
HEAD = """\
| N | seed | KL to best-of-N before | after | KL to the reference (best-of-N) | win rate (best-of-N) | seconds |
|---|---|---|---|---|---|---|"""


def trained(model: Enumerable, known: exact.Reference, n: int, out: Path, *, steps: int, seed: int) -> exact.Reference:
    """What vBoN ends at."""

    def reward(asked: Sequence[tuple[Prompt, Sequence[Candidate]]]) -> list[list[float | None]]:
        return [[model.reward(candidate.text) for candidate in candidates] for _, candidates in asked]

    samples = exact.draw_samples(known, SAMPLES, np.random.default_rng(seed))
    task = OnlineTask(prompts=[PROMPT], aim=Aim(n=n), reward=reward, samples={PROMPT.id: samples})
    recipe = replace(RECIPE, episodes=256 * steps, seed=seed)
    train_online(task, out, setup=PolicySetup(reference=str(model.folder), device="cpu"), recipe=recipe)
    return model.known(load_language_model(out, device="cpu").model)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=[2, 8, 32])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=400)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = save_enumerable(Path(folder) / "reference", letters=LETTERS, length=LENGTH, seed=2)
        known = model.known(load_language_model(model.folder, device="cpu").model)
        print(HEAD, flush=True)
        for n in options.n:
            best = exact.best_of_n(known, n)
            wanted = exact.measure(best, known)
            for seed in options.seeds:
                began = time.monotonic()
                out = Path(folder) / f"{n}-{seed}"
                policy = trained(model, known, n, out, steps=options.steps, seed=seed).log_p
                ended = exact.measure(policy, known)
                print(
                    f"| {n} | {seed} | {exact.kl(known.log_p, best):.3f} | {exact.kl(policy, best):.4f} "
                    f"| {ended.kl:.3f} ({wanted.kl:.3f}) | {ended.win_rate:.3f} ({wanted.win_rate:.3f}) "
                    f"| {time.monotonic() - began:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
