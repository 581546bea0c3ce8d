"""Trains best-of-N into a small language model of film reviews, by six methods, and shows what each is worth.

Run it with `python examples/vbon_sentiment.py` after `pip install 'bon[torch,report]'`; the data lie in `$BON_DATA`, or
in `../shared/data`. From nothing it makes a language model, a reward model and an evaluator of different sentences,
draws the reference's samples, trains each method (vBoN, its bound L, BoNBoN, BoN-SFT, DPO, PPO) at several settings and
seeds, measures all of them on prompts that nothing has met, and writes a page with the figures (`figures.html`) and
their numbers (`figures.json`). What is done stays in the folder: the same command goes on where it was stopped, and a
larger plan adds to a smaller one.

`--points 2 --seeds 1` is a quick look; `--tiny` is for seeing that it runs, and its models are worth nothing.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vbon_charts import page
from vbon_measures import Measures
from vbon_parts import Folder, Size, make
from vbon_runs import EPISODES, METHODS, Run, clock_plan, plan, train
from vbon_text import data_folder

from bon.evaluation.frontier.measured import Frontier

SIZE = Size(language=6000, epochs=8, pairs=1100, train=256, test=96, samples=200)
TINY = Size(language=800, epochs=1, pairs=80, train=12, test=6, samples=80)
CLOCK_SIZES = (8, 32, 200)
"""The M that are compared."""


def work(root: Path, run: Run, episodes: int) -> str:
    """One training, in a process of its own."""
    import torch

    torch.set_num_threads(1)  # two trainings side by side are faster than one that shares two cores
    begun = time.monotonic()
    report = train(Folder(root=root), run, episodes=episodes)
    return f"{run.name}: {report.steps} steps, {time.monotonic() - begun:.0f} s"


def trained(root: Path, runs: Sequence[Run], *, episodes: int, jobs: int) -> None:
    """Train what is not trained yet."""
    left = [run for run in runs if not (root / "runs" / run.name / "bon_policy.json").exists()]
    if not left:
        return
    say(f"{len(runs) - len(left)} of {len(runs)} trainings are done")
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(left)), mp_context=context) as pool:
        for told in pool.map(work, [root] * len(left), left, [episodes] * len(left)):
            say(told)


def measured(
    folder: Folder, runs: Sequence[Run], clocks: Sequence[Run], *, draws: int, samples: int
) -> tuple[dict[str, Any], dict[str, Frontier]]:
    """All figures: rows, and frontiers."""
    of = {
        "figure-2": ("vbon", "bonbon", "dpo", "ppo"),
        "figure-6": ("vbon", "L"),
        "figure-7": ("vbon", "bonbon", "sft", "dpo", "ppo"),
    }
    with Measures(folder, draws=draws, samples=samples, say=say) as measures:
        frontiers = {
            name: measures.frontier([run for run in runs if run.method in methods]) for name, methods in of.items()
        }
        # L is the same objective as vBoN but where an answer is likely: a point twice would count twice on a front.
        shown = [run for run in runs if run.method in of["figure-7"]]
        frontiers["evaluator"] = measures.frontier(shown, scorer="evaluator")
        near = measures.nearest(shown, frontiers["figure-7"])
        figures = {
            "facts": folder.facts,
            "near": sorted({f"{run.method} {run.setting}" for run in near}),
            "f_hat": measures.f_hat(),
            "ks": measures.test_of_f_hat(),
            "temperatures": list(measures.temperatures(near)),
            "clocks": list(measures.clocks(clocks)),
            "clock_ends": asdict(measures.frontier(clocks))["runs"] if clocks else [],
            "texts": list(measures.texts([run for run in near if run.seed == 0 and run.method in ("ppo", "vbon")])),
        }
    return figures, frontiers


def facts(figures: Mapping[str, Any], runs: Sequence[Run], episodes: int) -> list[str]:
    """What the figures are of."""
    known = figures["facts"]
    worth, settings = known["worth"], len({(run.method, run.value) for run in runs})
    return [
        f"{len(runs)} trainings of {episodes:,} answers: {len(METHODS)} methods, {settings // len(METHODS)} settings",
        f"the reference: {known['language']['weights']:,.0f} weights, {known['language']['loss']:.2f} nats a token",
        *(
            f"the {name}: AUC {worth[name]['auc']:.3f} on {worth['sentences']} sentences that it has not met, Spearman "
            f"{worth[name]['spearman']:.2f} with people's ratings"
            for name in ("reward", "evaluator")
        ),
    ]


def say(told: str) -> None:
    print(told, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("vbon"), help="where everything is kept")
    parser.add_argument("--points", type=int, choices=range(1, 6), default=5, help="settings of each method")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--episodes", type=int, default=EPISODES, help="answers that each training learns from")
    parser.add_argument("--draws", type=int, default=4, help="answers to a test prompt")
    parser.add_argument("--samples", type=int, default=600, help="the reference's samples of a test prompt, from 128")
    parser.add_argument("--jobs", type=int, default=2, help="trainings side by side")
    parser.add_argument("--no-clocks", action="store_true", help="leave figure 4 out, and its nine trainings")
    parser.add_argument("--tiny", action="store_true", help="models and prompts too small to be worth anything")
    options = parser.parse_args()
    if not data_folder().is_dir():
        sys.exit(f"there is no {data_folder()}: set BON_DATA to the folder with the data")
    folder = Folder(root=options.out)
    make(folder, TINY if options.tiny else SIZE, say)
    runs = list(plan(options.points, options.seeds))
    clocks = [] if options.no_clocks else list(clock_plan(CLOCK_SIZES, options.seeds))
    begun = time.monotonic()
    trained(options.out, [*runs, *clocks], episodes=options.episodes, jobs=options.jobs)
    trainings = time.monotonic()
    figures, frontiers = measured(folder, runs, clocks, draws=options.draws, samples=options.samples)
    figures["seconds"] = {"trainings": trainings - begun, "measuring": time.monotonic() - trainings}
    told = facts(figures, runs, options.episodes)
    (options.out / "figures.html").write_text(page(figures, frontiers, told), encoding="utf-8")
    found = {**figures, "frontiers": {name: asdict(one) for name, one in frontiers.items()}}
    (options.out / "figures.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(*told, f"the figures are in {options.out / 'figures.html'}, their numbers in figures.json", sep="\n")


if __name__ == "__main__":
    main()
