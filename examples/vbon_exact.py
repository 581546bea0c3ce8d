"""Six ways to train best-of-N into a model whose every response is known: where they end is summed, not sampled.

Run it with `python examples/vbon_exact.py [--seeds 0 1 2] [--out exact-frontier]` after
`pip install 'bon[torch,report]'`; what is done already is not done again. It prints a table and writes `frontier.html`
and `rows.json` into the folder.

A model of four letters has 341 responses. KL to the reference, win rate and mean reward are exact, those of best-of-N
are computed, and all methods train all weights with the same pool of draws, as many updates and as many responses each.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from exact_figures import chart, shares, table

from bon.models.transformers import load_language_model
from bon.testing.enumerable import Enumerable, save_enumerable
from bon.train.policy import exact
from bon.train.policy.choices import Choosing
from bon.train.policy.distil import Offline, train_offline
from bon.train.policy.model import PolicySetup
from bon.train.policy.objectives import Aim
from bon.train.policy.online import train_online
from bon.train.policy.online_recipe import OnlineRecipe, OnlineTask
from bon.train.recipe import Recipe
from bon.types import Candidate, Pool, Prompt, Score

LENGTH = 4
PROMPT = Prompt(
    id="start", messages=({"role": "user", "content": ""},), request={"temperature": 1.0, "max_tokens": LENGTH}
)
LR, WARMUP = 2.5e-3, 0.1
DRAWS = (2.0, 4.0, 8.0, 16.0)
SWEEP: Mapping[str, Sequence[float]] = {
    "vBoN": DRAWS,
    "L": DRAWS,
    "BoNBoN": DRAWS,
    "BoN-SFT": DRAWS,
    "DPO": (8.0, 4.0, 2.0, 1.0),
    "PPO": (2.0, 1.0, 0.5, 0.25),
}
"""N of the first four, beta of the others."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is trained."""

    updates: int
    batch: int
    """Responses an update."""
    samples: int
    """Draws of the reference: what F is estimated from, and what the others learn from."""


@dataclass(frozen=True, kw_only=True)
class World:
    """The model, and all that it can say."""

    model: Enumerable
    known: exact.Reference
    pool: Pool

    @property
    def samples(self) -> np.ndarray:
        return np.sort([score.value for score in self.pool.scores["reward"]])


def world(folder: Path, *, samples: int, seed: int) -> World:
    """The reference and scored draws of it, by its exact law."""
    model = save_enumerable(folder, letters=4, length=LENGTH, seed=2)
    known = model.known(load_language_model(folder, device="cpu").model)
    places = np.random.default_rng(seed).choice(len(model.strings), size=samples, p=np.exp(known.log_p))
    texts = [model.strings[place] for place in places]
    candidates = tuple(
        Candidate(index=index, text=text, finish_reason="length" if len(text) == LENGTH else "stop")
        for index, text in enumerate(texts)
    )
    scores = {"reward": tuple(Score(value=model.reward(text)) for text in texts)}
    return World(model=model, known=known, pool=Pool(prompt=PROMPT, candidates=candidates, scores=scores))


def online(world: World, aim: Aim, out: Path, *, size: Size, seed: int) -> None:
    """RLOO, whatever the aim, so that only the aim differs."""

    def reward(asked: Sequence[tuple[Prompt, Sequence[Candidate]]]) -> list[list[float | None]]:
        return [[world.model.reward(answer.text) for answer in answers] for _, answers in asked]

    task = OnlineTask(prompts=[PROMPT], aim=aim, reward=reward, samples={PROMPT.id: world.samples})
    recipe = OnlineRecipe(
        episodes=size.updates * size.batch,
        rollouts=size.batch,
        draws=size.batch,
        lr=LR,
        warmup=WARMUP,
        max_tokens=LENGTH,
        max_grad_norm=None,
        seed=seed,
    )
    train_online(task, out, setup=setup_of(world), recipe=recipe)


def offline(world: World, learned: Offline, out: Path, *, size: Size, seed: int) -> None:
    """The same number of updates and of responses an update, for as many passes over the pool as that takes."""
    responses = 1 if learned.kind == "sft" else 2
    recipe = Recipe(
        steps=size.updates,
        epochs=math.ceil(size.updates * size.batch * 64 / size.samples),
        batch=size.batch // responses,
        lr=LR,
        warmup=WARMUP,
        clip=None,
        adam_eps=OnlineRecipe().adam_eps,
        seed=seed,
    )
    train_offline([world.pool], learned, out=out, setup=setup_of(world), recipe=recipe)


def setup_of(world: World) -> PolicySetup:
    return PolicySetup(reference=str(world.model.folder), device="cpu")


def train(method: str, value: float, world: World, out: Path, *, size: Size, seed: int) -> None:
    """One method at one N or beta."""
    aims = {"vBoN": ("eq5", "n"), "L": ("L", "n"), "PPO": ("reward", "beta")}
    if method in aims:
        kind, name = aims[method]
        online(world, Aim(kind=kind, **{name: value}), out, size=size, seed=seed)
    elif method == "DPO":
        learned = Offline(kind="dpo", choosing=Choosing(n=2), beta=value)
        offline(world, learned, out, size=size, seed=seed)
    else:
        kind = "sft" if method == "BoN-SFT" else "bonbon"
        offline(world, Offline(kind=kind, choosing=Choosing(n=int(value))), out, size=size, seed=seed)


def rows(out: Path, *, size: Size, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Every method at every value with every seed: where it ended, read again where it was trained before."""
    for seed in seeds:
        place: World | None = None
        for method, values in SWEEP.items():
            for value in values:
                folder = out / f"{method}-{value:g}-seed{seed}".lower()
                kept = folder / "exact.json"
                if not kept.exists():
                    place = place or world(out / f"reference-seed{seed}", samples=size.samples, seed=seed)
                    began = time.monotonic()
                    train(method, value, place, folder / "model", size=size, seed=seed)
                    policy = place.model.known(load_language_model(folder / "model", device="cpu").model)
                    point = exact.measure(policy.log_p, place.known)
                    row = {"method": method, "value": value, "seed": seed, **asdict(point)}
                    kept.write_text(json.dumps({**row, "seconds": time.monotonic() - began}))
                    shutil.rmtree(folder / "model")
                yield json.loads(kept.read_text())


def curves(known: exact.Reference) -> dict[str, list[dict[str, float]]]:
    """Best-of-N for every N, whole or not, and what of all policies has the most reward at a KL; both exact."""
    draws, betas = np.geomspace(1, 200, 160), np.geomspace(0.05, 20, 160)
    best = exact.frontier(known, draws.tolist())
    tilted = [exact.measure(exact.optimum(Aim(kind="reward", beta=beta), known), known) for beta in betas.tolist()]
    return {
        "best-of-N": [{"N": float(n), **asdict(point)} for n, point in zip(draws, best, strict=True)],
        "most reward": [{"beta": float(beta), **asdict(point)} for beta, point in zip(betas, tilted, strict=True)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("exact-frontier"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--updates", type=int, default=120)
    parser.add_argument("--batch", type=int, default=128, help="responses an update")
    parser.add_argument("--samples", type=int, default=32_768, help="draws of the reference")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    size = Size(updates=options.updates, batch=options.batch, samples=options.samples)
    found = []
    for row in rows(options.out, size=size, seeds=options.seeds):
        found.append(row)
        print(f"{row['method']} {row['value']:g} seed {row['seed']}: KL {row['kl']:.3f}", file=sys.stderr)
    known = world(options.out / "reference", samples=1, seed=0).known
    lines = curves(known)
    told = {"rows": found, "curves": lines, "shares": shares(found)}
    (options.out / "rows.json").write_text(json.dumps(told))
    chart(found, lines, options.out / "frontier.html")
    print(json.dumps(told) if options.json else table(found, lines))


if __name__ == "__main__":
    main()
