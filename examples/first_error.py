"""Trains a process reward model to find the first wrong step of real chains of thought, and holds it against a rule.

Run it with `python examples/first_error.py` after `pip install 'bon[torch,local]'`; the data lie in `$BON_DATA`, or in
`../shared/data`: 300 traces of sums by PaLM 2 with their first wrong step (BIG-Bench Mistake, multistep_arithmetic).
The base is the embedded model, SmolLM2-135M-Instruct, which is not changed: a head is trained on its hidden states,
which are read once (some minutes on two cores). Each fifth of the traces is measured on by a model that was trained on
the others; the figures are of all of them together, by ProcessBench's measure. The rule, `rule:arithmetic`, works the
sums out, and learns nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

import bon
from bon.api.training_steps import StepOptions, solutions_for
from bon.cli.training import lines
from bon.store.datasets import Dataset, load
from bon.train.metrics import Figure, intervals
from bon.train.process_model import train_prm
from bon.train.recipe import Recipe
from bon.train.starting import Setup
from bon.train.step_metrics import first_error_f1
from bon.train.step_report import StepReport
from bon.train.stepwise import Solution, Stepwise

FOLDS = 5
RECIPE = Recipe(epochs=50, lr=1e-3, batch=16, patience=5)


def data_file() -> Path:
    folder = Path(os.environ.get("BON_DATA") or Path(__file__).parents[1] / "../shared/data")
    return folder / "mistakes" / "multistep_arithmetic.jsonl"


def flawed(one: Solution) -> bool:
    return 0.0 in one.labels


def by_fold(known: Sequence[Solution], out: Path, setup: Setup) -> list[StepReport]:
    """A model a fold, in a folder of `out` each, measured on that fold; flawed traces are shared out evenly."""
    order = sorted(known, key=flawed)
    reports = []
    for fold in range(FOLDS):
        held = order[fold::FOLDS]
        data = Stepwise(solutions=tuple(one for place, one in enumerate(order) if place % FOLDS != fold))
        report = train_prm(data, out=out / str(fold), setup=setup, recipe=RECIPE, held_out=held, progress=lines())
        sys.stderr.write(f"fold {fold}: first-error F1 {report.figures['first_error_f1']}\n")
        reports.append(report)
    return reports


def together(reports: Sequence[StepReport], known: Sequence[Solution]) -> dict[str, Figure]:
    """ProcessBench's measure over the traces of all folds, with intervals by the bootstrap over traces."""
    wrong = np.array(sorted(map(flawed, known)))
    found = np.zeros(len(wrong))
    for fold, report in enumerate(reports):
        # Which traces they were is of no matter to the figures, only how many of either kind.
        for kind, name in ((True, "first_error_found"), (False, "flawless_found")):
            places = [place for place in range(fold, len(wrong), FOLDS) if wrong[place] == kind]
            found[places[: round(report.figures[name].value * len(places))]] = 1.0
    figures = first_error_f1(found, wrong)
    ends = intervals(lambda rows: first_error_f1(found[rows], wrong[rows]), [str(one) for one in range(len(wrong))])
    return {name: Figure(value=value, n=len(wrong), **ends[name]) for name, value in figures.items()}


def of_rule(data: Dataset) -> dict[str, Figure]:
    """The same of `rule:arithmetic`, as `bon bench` has it."""
    names = {"f1": "first_error_f1", "accuracy, flawed": "first_error_found", "accuracy, flawless": "flawless_found"}
    return {
        names[row.metric]: Figure(value=row.value or 0.0, low=row.low, high=row.high, n=row.n)
        for row in bon.evaluate(data, "rule:arithmetic").rows
        if row.metric in names
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="local", help="a transformers folder, a hub id, gguf:FILE, or local")
    parser.add_argument("--limit", type=int, default=300, help="traces")
    parser.add_argument("--out", type=Path, help="keep models and hidden states here, and go on from there")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not data_file().is_file():
        sys.exit(f"there is no {data_file()}: set BON_DATA to the folder with the data")
    data = load(data_file(), format="mistakes").limit(options.limit)
    known = solutions_for(data, StepOptions()).solutions
    with tempfile.TemporaryDirectory() as scratch:
        out = options.out or Path(scratch)
        reports = by_fold(known, out, Setup(base=options.base, features=out / "features"))
    found = {"trained": together(reports, known), "rule:arithmetic": of_rule(data)}
    if options.json:
        print(json.dumps({who: {name: asdict(one) for name, one in of.items()} for who, of in found.items()}))
    else:
        for who, of in found.items():
            print(f"{who}: {', '.join(f'{name} {one}' for name, one in of.items())}")


if __name__ == "__main__":
    main()
