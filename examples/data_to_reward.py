"""From data to reward: a judge of the gallery, one learned from a tenth of the data, one of your own, all measured.

Run it with `python examples/data_to_reward.py [--judge SPEC] [--data DATA]` after `pip install 'bon[local]'`. It loads
preference data (60 answers of a bakery's help desk, written for this; or any data set that `bon convert` knows), splits
it 10/90, learns principles on the tenth, and prints how often each judge prefers the answer that people preferred on
the rest, with 95 % intervals. The embedded model, which is the default, is far too small to judge: it shows that all
of it runs, in some minutes, or sooner with `--limit 5 --generate-number 1`, and chance is what to expect; name a larger
one for numbers that mean something.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from rich.console import Console
from rich.table import Table

import bon
from bon.evaluation.principles import Setup, learn, page, toml
from bon.store.datasets import Dataset, load

DATA = Path(__file__).with_name("help_desk.jsonl")
SCENARIO = "The help desk of a bakery answers customers."


@dataclass
class Verdict:
    """What the judge of our own says of an answer."""

    reason: str
    answers_the_question: bool
    facts: Annotated[int, msgspec.Meta(ge=0, le=9)]
    """Facts in it that one can act on; bounded, since a small model has no end of digits."""


def template(question: str, answers: list[str]) -> str:
    """What it is asked: fences, and the form of the verdict, are seen to."""
    return (
        "Say whether the response answers the question that was asked, and count the facts in it that the customer can "
        f"act on: times, prices, places, names, steps.\n\n{question}\n\n{answers[0]}"
    )


def worth(verdict: Verdict) -> float:
    return min(verdict.facts, 5) if verdict.answers_the_question else 0


def gallery_judge(judge: bon.Generator) -> bon.Scorer:
    return bon.judge("base_helpfulness_listwise", judge=judge)


def learned_judge(train: Dataset, judge: bon.Generator, out: Path, setup: Setup) -> bon.Scorer:
    """A judge with principles of the training part, written to `out` and read from there."""
    learned = asyncio.run(learn(train, judge=judge, setup=setup, progress=say))
    out.write_text(toml(learned), encoding="utf-8")
    sys.stderr.write(page(learned))
    return bon.judge(str(out), judge=judge)


def say(stage: str, done: int, total: int) -> None:
    if done in (1, total):
        sys.stderr.write(f"{stage}: {done} of {total} at the most\n")


def own_judge(judge: bon.Generator) -> bon.Scorer:
    return bon.judge("facts", template=template, verdict=Verdict, value=worth, low=0, high=5, judge=judge)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=str(DATA), help="a file, a folder, or a data set of the hub")
    parser.add_argument("--scenario", help="what the data are about, in a sentence")
    parser.add_argument("--judge", default="local", help="any spec of a generator")
    parser.add_argument("--train", type=float, default=0.1, help="the part that principles are learned on")
    parser.add_argument("--limit", type=int, help="of the rest: how many are measured")
    parser.add_argument("--generate-number", type=int, default=5, help="principles proposed for one sample")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("learned.toml"), help="where the learned judge is written")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    train, test = load(options.data).split(options.train, options.seed)
    scenario = options.scenario or (SCENARIO if options.data == str(DATA) else "")
    # The rest of the data is what is reported on, so nothing of the tenth is held back for that.
    number, seed = options.generate_number, options.seed
    setup = Setup(train=0.4, select=0.6, scenario=scenario, seed=seed, generate_number=number)
    with bon.generator(options.judge) as judge:
        rewards = [gallery_judge(judge), learned_judge(train, judge, options.out, setup), own_judge(judge)]
        sys.stderr.write("measuring the three on the rest\n")
        found = bon.evaluate(test, rewards, limit=options.limit)
    rows = [row for row in found.rows if (row.metric, row.subset) == ("accuracy", "overall")]
    if options.json:
        said = [
            {"judge": row.scorer, "accuracy": row.value, "low": row.low, "high": row.high, "n": row.n, "ties": row.ties}
            for row in rows
        ]
        sys.stdout.write(json.dumps(said) + "\n")
        return
    table = Table("judge", "right", "95 %", "n", "ties", "unscored", title=f"{options.judge} on {options.data}")
    for row in rows:
        value, low, high = ("–" if x is None else f"{x:.1%}" for x in (row.value, row.low, row.high))
        table.add_row(row.scorer, value, f"{low} to {high}", str(row.n), str(row.ties), str(row.unscored))
    Console().print(table)


if __name__ == "__main__":
    main()
