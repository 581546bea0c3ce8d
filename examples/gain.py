"""Shows what best-of-N gains: greedy against best-of-32 on 40 small problems that the embedded model half can do.

Run it with `python examples/gain.py [--generator SPEC] [-n 32] [--problems 20]` after `pip install 'bon[local]'`. Each
problem is asked once greedily (temperature 0) and N times at temperature 0.7; then three rules choose among the N.
`math` knows the right answer: it is what a verifier would reach, that is, any of N. The questions were chosen so that
the model knows some of the answers always and others now and then; where it is always right, or never, there is nothing
to gain.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import bon
from bon.answers import extractor
from bon.api import blocking
from bon.select import argmax, weigh
from bon.stats import expected_accuracy, wilson

RULES = {
    "selfcertainty": "the draw the model was surest of",
    "agreement": "the answer most draws agree on",
    "math": "a verifier that knows the answer: any of N",
}
HOW = "Answer with just the number."
SUMS = [(a, b) for a in range(2, 10) for b in range(2, 10)][4::3]
QUESTIONS = {
    "How many days are in a week?": 7,
    "How many legs does a spider have?": 8,
    "How many months are in a year?": 12,
    "How many hours are in a day?": 24,
    "How many minutes are in an hour?": 60,
    "How many seconds are in a minute?": 60,
    "How many sides does a pentagon have?": 5,
    "How many sides does a hexagon have?": 6,
    "How many continents are there?": 7,
    "How many letters are in the English alphabet?": 26,
    "How many states are in the United States?": 50,
    "How many cents are in a dollar?": 100,
    "How many years are in a century?": 100,
    "How many fingers are on one human hand?": 5,
    "How many feet are in a yard?": 3,
    "How many grams are in a kilogram?": 1000,
    "How many days are in a year?": 365,
    "How many eggs are in a dozen?": 12,
    "How many cards are in a standard deck?": 52,
    "How many degrees are in a circle?": 360,
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way of answering all problems of a set."""

    problems: str
    rule: str
    accuracy: float
    """The mean of weights times correctness, so that ties are honest."""
    low: float
    high: float
    """A 95 % Wilson interval."""
    tokens: int
    seconds: float


def problem_sets(count: int) -> Mapping[str, Sequence[bon.Prompt]]:
    sums = {f"What is {a} + {b}?": a + b for a, b in SUMS}
    return {
        name: [
            bon.prompt(f"{question} {HOW}", reference=str(answer))
            for question, answer in list(problems.items())[:count]
        ]
        for name, problems in (("one-digit sums", sums), ("simple questions", QUESTIONS))
    }


def drawn(
    generator: bon.Generator, prompts: Sequence[bon.Prompt], bar: Progress, *, n: int, temperature: float
) -> tuple[list[bon.Pool], float]:
    """The pools of all prompts, and the seconds they took together."""
    request = {"temperature": temperature, "top_p": 0.9, "max_tokens": 24, "seed": 0}
    asked = [bon.prompt(p.text, reference=p.reference, **request) for p in prompts]
    scorers = {name: bon.scorer(name) for name in RULES}
    plan = bon.Plan(generator=generator, scorers=scorers, budget=bon.Fixed(n), extract=extractor("number"))
    started = time.monotonic()
    task = bar.add_task(f"{'greedy' if n == 1 else f'best of {n}'}, {len(asked)} problems", total=len(asked))
    pools = []
    for pool in blocking.iterate(bon.run_many(asked, plan, concurrency=len(asked))):
        pools.append(pool)
        bar.advance(task)
    return pools, time.monotonic() - started


def row(name: str, rule: str, pools: Sequence[bon.Pool], seconds: float) -> Row:
    right = 0.0
    for pool in pools:
        weights, _ = weigh(pool, lambda p: argmax(p, by=rule if len(p) > 1 else "math"))
        right += expected_accuracy(weights, pool.values("math")) or 0.0
    low, high = wilson(right, len(pools))
    tokens = sum(pool.spent.usage.completion_tokens for pool in pools)
    return Row(
        problems=name, rule=rule, accuracy=right / len(pools), low=low, high=high, tokens=tokens, seconds=seconds
    )


def rows_of(name: str, prompts: Sequence[bon.Prompt], generator: bon.Generator, bar: Progress, n: int) -> list[Row]:
    """Greedy, then each rule on the same N draws."""
    greedy, seconds = drawn(generator, prompts, bar, n=1, temperature=0)
    rows = [row(name, "greedy", greedy, seconds)]
    best, seconds = drawn(generator, prompts, bar, n=n, temperature=0.7)
    return rows + [row(name, rule, best, seconds) for rule in RULES]


def show(rows: Sequence[Row], n: int, console: Console) -> None:
    """A table a set, and what the rules are."""
    for name in dict.fromkeys(each.problems for each in rows):
        table = Table(title=f"[bold]{name}", title_justify="left", box=None, pad_edge=False, header_style="dim")
        table.add_column("", min_width=28)
        for heading in ("right", "95 % interval", "tokens", "seconds"):
            table.add_column(heading, justify="right")
        for each in (each for each in rows if each.problems == name):
            what = "one greedy draw" if each.rule == "greedy" else f"best of {n} by {each.rule}"
            interval = f"{each.low:.0%} to {each.high:.0%}"
            table.add_row(what, f"{each.accuracy:.0%}", interval, str(each.tokens), f"{each.seconds:.1f}")
        console.print(table)
        console.print()
    for rule, meaning in RULES.items():
        console.print(f"{rule}: {meaning}", style="dim", highlight=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", default="local", help="any spec")
    parser.add_argument("-n", type=int, default=32)
    parser.add_argument("--problems", type=int, default=20, help="of each set")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    started = time.monotonic()
    rows: list[Row] = []
    with bon.generator(options.generator) as generator, Progress(console=Console(stderr=True), transient=True) as bar:
        for name, prompts in problem_sets(options.problems).items():
            rows += rows_of(name, prompts, generator, bar, options.n)
    if options.json:
        sys.stdout.write(json.dumps([asdict(each) for each in rows]) + "\n")
    else:
        show(rows, options.n, Console())
        print(f"{time.monotonic() - started:.0f} seconds in all, loading the model included.")


if __name__ == "__main__":
    main()
