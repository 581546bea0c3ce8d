"""Trains reward models on a few hundred pairs that people rated, and holds them against the length of answers.

Run it with `python examples/reward_model.py [--data sentiment|pandalm] [--pairs 1000] [--seeds 3]` after
`pip install 'bon[torch,local]'`; the data lie in `$BON_DATA`, or in `../shared/data`. The base is the embedded model,
SmolLM2-135M-Instruct, which is not changed: a head is trained on its hidden states, which are read once (some minutes
on two cores). Of the pairs 40 % are held out. Each seed splits, begins and orders anew.

`sentiment` pairs sentences of film reviews, each in one pair, of which the one that people rated higher on average (15
ratings or more) is the better answer to "write one sentence of a review of a film that you liked". `pandalm` has pairs
of answers to instructions, as most of three people preferred them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from bon.api.training import PairOptions, pairs_for
from bon.cli.training import lines
from bon.train.preferences import Pair, Preferences
from bon.train.recipe import Recipe
from bon.train.report import Report
from bon.train.reward_model import train_rm
from bon.train.starting import Setup

HELD_OUT = 0.4
ASKED = "Write one sentence of a review of a film that you liked."
RECIPE = Recipe(epochs=30, lr=1e-3, batch=16, patience=3)


def data_folder() -> Path:
    return Path(os.environ.get("BON_DATA") or Path(__file__).parents[1] / "../shared/data")


def sentiment(folder: Path, count: int) -> Preferences:
    """Two sentences a pair, drawn by lot; every sentence is in one pair alone."""
    text = (folder / "sentiment" / "movieReviewSnippets_GroundTruth.txt").read_text(encoding="latin-1")
    rated = {line.split("\t", 2)[2].strip(): float(line.split("\t", 2)[1]) for line in text.splitlines()}
    drawn = random.Random(0).sample(sorted(rated), len(rated))
    couples = [sorted(pair, key=rated.__getitem__) for pair in zip(drawn[::2], drawn[1::2], strict=False)]
    pairs = [
        Pair(messages=({"role": "user", "content": ASKED},), chosen=better, rejected=worse)
        for worse, better in couples
        if rated[worse] < rated[better]
    ]
    return Preferences(pairs=tuple(pairs[:count]), apart="text", source="ratings of sentences of film reviews")


def pandalm(folder: Path, count: int) -> Preferences:
    """Pairs that most annotators agreed on, without ties."""
    found = pairs_for(folder / "pandalm" / "testset-v1.json", PairOptions(), format="pandalm")
    drawn = random.Random(0).sample(found.pairs, min(count, len(found.pairs)))
    return Preferences(pairs=tuple(drawn), source="PandaLM's test set")


DATA: dict[str, Callable[[Path, int], Preferences]] = {"sentiment": sentiment, "pandalm": pandalm}


def shown(seed: int, report: Report) -> str:
    probes = report.probes
    return (
        f"seed {seed}: {report.train} + {report.watched} pairs trained, {report.held_out} held out: "
        f"accuracy {report.figures['accuracy']}, the longer answer {probes.longer_chosen}, "
        f"difference {probes.over_length}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--data", choices=DATA, default="sentiment")
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--base", default="local")
    parser.add_argument("--out", type=Path, help="Where the models are kept.  [default: nowhere]")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not data_folder().is_dir():
        sys.exit(f"there is no {data_folder()}: set BON_DATA to the folder with the data")
    preferences = DATA[options.data](data_folder(), options.pairs)
    reports = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.out or Path(scratch)
        setup = Setup(base=options.base, head="linear", features=folder / "features")
        for seed in range(options.seeds):
            recipe = Recipe(**{**asdict(RECIPE), "seed": seed})
            out = folder / f"{options.data}-{seed}"
            reports.append(
                train_rm(preferences, out=out, setup=setup, recipe=recipe, held_out=HELD_OUT, progress=lines())
            )
            print(shown(seed, reports[-1]), file=sys.stderr)
    if options.json:
        print(json.dumps([asdict(report) for report in reports]))
    else:
        for seed, report in enumerate(reports):
            print(shown(seed, report))
            print(*(f"  beware: {finding}" for finding in report.probes.findings), sep="\n")


if __name__ == "__main__":
    main()
