"""Trains a process and an outcome reward model from nothing, and holds them against votes and the best there is.

Run it with `python examples/process_reward.py` after `pip install 'bon[torch]'`; some minutes on two cores. Solutions
are of sums worked out in steps (`slips.py` says how they go wrong). Two models of 1.2 million weights begin as the same
language model of right solutions (`tiny_base.py`) and learn from the same solutions: the process model is told of each
step whether it is right, the outcome model of each solution whether its answer is. Then both choose among the same
draws for other problems, of two kinds: where people slip each in their own way, and where most of those who solve some
of the problems err alike, so that the commonest answer is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from process_figures import SIZES, chosen, commonest_wrong, curves, follows, gains, sight
from rich.console import Console
from rich.table import Table
from slips import Habits, Problem, pools, problems, solution
from tiny_base import adds, train_base

import bon
from bon.cli.training import lines
from bon.train.process_model import Marks
from bon.train.recipe import Recipe
from bon.train.starting import Setup
from bon.train.step_report import StepReport
from bon.train.stepwise import Labels, solutions
from bon.types import Pool

LENGTH = 4
"""Steps of a solution."""
TAUGHT = Habits(slip=0.1, copy=0.1, handed=0.5)
"""How those err whose solutions are learned from: more often than those who are chosen among."""
REGIMES = {
    "each in their own way": Habits(slip=0.05, copy=0.05),
    "many alike": Habits(slip=0.05, copy=0.05, handed=0.6),
}
MODELS: Mapping[str, tuple[Labels, str]] = {"outcome": ("outcome", "last"), "process": ("steps", "min")}
"""What each is told, and which of its step scores is the solution's: the outcome model's last, the process's least."""
RECIPE = Recipe(epochs=5, lr=1.5e-3, batch=32, warmup=0.05, weight_decay=0.01)
MARKS = Marks(loss="bce", separator="\n", steps="newline")


def worked(asked: Sequence[Problem]) -> list[str]:
    """What the language model reads: each problem, and its right solution."""
    rng = random.Random(0)
    return ["\n".join([one.text, *solution(one, rng, Habits()).steps]) for one in asked]


def trained(start: Path, taught: Sequence[Pool], out: Path, labels: Labels) -> StepReport:
    """A model of steps, or of outcomes: all that differs is what it is told."""
    data = replace(solutions(taught, labels=labels), source="slips.py")
    setup = Setup(base=str(start), adapt="full", head="linear")
    return bon.train_prm(data, out=out, setup=setup, recipe=RECIPE, marks=MARKS, progress=lines())


def scored(given: Sequence[Pool], folder: Path) -> list[Pool]:
    """Pools with what both models say, in their order."""
    scorers = {name: bon.scorer(f"prm:{folder / name}?aggregate={how}") for name, (_, how) in MODELS.items()}

    async def run() -> dict[str, Pool]:
        return {pool.prompt.id: pool async for pool in bon.score_pools(given, scorers, concurrency=16)}

    found = asyncio.run(run())
    for scorer in scorers.values():
        scorer.close()
    return [found[pool.prompt.id] for pool in given]


def measured(found: Sequence[Pool]) -> dict[str, Any]:
    """All figures of one kind of draws."""
    best, wrong = curves(found, [*MODELS]), commonest_wrong(found)
    parts = {"all": wrong | True, "the commonest answer is wrong": wrong, "the commonest answer is right": ~wrong}
    return {
        "commonest_wrong": float(wrong.mean()),
        "chosen": {part: chosen(best, among) for part, among in parts.items() if among.any()},
        "process_less": {part: gains(best, "process", among) for part, among in parts.items() if among.any()},
        "follows": {name: follows(found, name) for name in MODELS},
        "sight": {name: sight(found, name) for name in MODELS},
    }


def run(taught: int, measure: int, draws: int, folder: Path) -> dict[str, Any]:
    """Everything: the data, the three models, and what they are worth."""
    clock = [time.monotonic()]
    asked = problems(taught + measure, length=LENGTH, seed=0)
    learned = list(pools(asked[:taught], draws=4, habits=TAUGHT, seed=1))
    start = train_base(worked(asked[:taught]), folder / "base", progress=lines())
    clock.append(time.monotonic())
    reports = {}
    for name, (labels, _) in MODELS.items():
        reports[name] = trained(start, learned, folder / name, labels)
        clock.append(time.monotonic())
    regimes = {}
    for place, (name, habits) in enumerate(REGIMES.items()):
        given = list(pools(asked[taught:], draws=draws, habits=habits, seed=2 + place))
        regimes[name] = measured(scored(given, folder))
    clock.append(time.monotonic())
    return {
        "taught": taught,
        "measured": measure,
        "draws": draws,
        "base_adds": adds(start, worked(asked[taught:])),
        "solutions": {name: report.train for name, report in reports.items()},
        "held_out": {name: report.figures for name, report in reports.items()},
        "regimes": regimes,
        "seconds": dict(zip(("base", *MODELS, "measuring"), np.diff(clock).tolist(), strict=True)),
    }


def told(regime: Mapping[str, Any], part: str) -> Table:
    """What each rule's choice is worth on some of the problems, and what the process model's is worth beyond it."""
    table = Table(title=f"right answers, per cent, {part}", title_justify="left", box=None, header_style="dim")
    table.add_column("chosen by")
    for k in SIZES:
        table.add_column(f"best of {k}", justify="right")
        table.add_column("process less this one", justify="right")
    for rule, by_k in regime["chosen"][part].items():
        less = regime["process_less"][part].get(rule, {})
        table.add_row(rule, *(cell for k in SIZES for cell in (percent(by_k[k]), percent(less.get(k)))))
    return table


def percent(mean: Any) -> str:
    return f"{100 * mean.value:.1f} [{100 * mean.low:.1f}, {100 * mean.high:.1f}]" if mean else ""


def remarks(regime: Mapping[str, Any]) -> Iterator[str]:
    for name, one in regime["follows"].items():
        figures = ", ".join("none" if value is None else f"{value:.3f}" for value in one.values())
        yield f"{name}: with being right, {', '.join(one)}: {figures}"
    for name, one in regime["sight"].items():
        seen = "never" if one.seen is None else f"at {one.seen:.2f}"
        yield (
            f"{name}: of {one.flawed} flawed solutions the first error is at step {one.happens:.2f} and seen {seen}; "
            f"{one.exact:.0%} seen at once, {one.missed:.0%} missed, {one.early:.0%} doubted too early; "
            f"of the flawless {one.alarms:.0%} doubted"
        )


def show(found: Mapping[str, Any], console: Console) -> None:
    console.print(f"base: {found['base_adds']:.1%} of the results of other problems are its likeliest next token")
    for name, figures in found["held_out"].items():
        console.print(f"{name}, held out: {', '.join(f'{key} {one}' for key, one in figures.items())}")
    for name, regime in found["regimes"].items():
        console.rule(f"{name}: the commonest answer is wrong in {regime['commonest_wrong']:.0%}", align="left")
        for part in regime["chosen"]:
            if len(regime["chosen"]) > 2 or part == "all":
                console.print(told(regime, part))
        for line in remarks(regime):
            console.print(line)
    console.print(f"seconds: {', '.join(f'{name} {value:.0f}' for name, value in found['seconds'].items())}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--taught", type=int, default=2_500, help="problems to learn from, with four solutions each")
    parser.add_argument("--measured", type=int, default=300, help="problems to choose among the solutions of")
    parser.add_argument("--draws", type=int, default=32, help="solutions of each of those")
    parser.add_argument("--out", type=Path, help="keep the models here, and go on from there")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found = run(options.taught, options.measured, options.draws, options.out or Path(scratch))
    if options.json:
        sys.stdout.write(json.dumps(found, default=asdict) + "\n")
    else:
        show(found, Console(highlight=False, soft_wrap=True))


if __name__ == "__main__":
    main()
