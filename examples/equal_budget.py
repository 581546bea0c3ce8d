"""Many short answers or few long ones? Two ways of asking, compared at the same number of tokens.

Run it with `python examples/equal_budget.py [--generator SPEC] [-n 12] [--questions 16] [-o report.html]` after
`pip install 'bon[local,report]'`. With two models instead of two ways of asking it is the same: a file of pools each.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from sums import questions

import bon
from bon.answers import extractor
from bon.api import blocking
from bon.evaluation.curves.showing import markdown

WAYS = {
    "short": ("Answer with just the number.", 8),
    "long": ("Think step by step, then say the answer.", 64),
}
"""What is said after each question, and how long an answer may be."""


def drawn(model: bon.Generator, way: str, count: int, n: int) -> list[bon.Pool]:
    how, longest = WAYS[way]
    request = {"temperature": 0.7, "top_p": 0.9, "max_tokens": longest, "seed": 0}
    asked = [bon.prompt(p.text, reference=p.reference, id=p.id, **request) for p in questions(count, how=how)]
    plan = bon.Plan(
        generator=model, scorers={"math": bon.scorer("math")}, budget=bon.Fixed(n), extract=extractor("number")
    )
    return list(blocking.iterate(bon.run_many(asked, plan, concurrency=8)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", default="local", help="any spec")
    parser.add_argument("-n", type=int, default=12)
    parser.add_argument("--questions", type=int, default=16)
    parser.add_argument("-o", "--out", type=Path, default=Path("equal_budget.html"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, bon.generator(options.generator) as model:
        files = [Path(folder, f"{way}.jsonl") for way in WAYS]
        for way, file in zip(WAYS, files, strict=True):
            bon.write_pools(file, drawn(model, way, options.questions, options.n))
        found = bon.curves(*files, gold="math", equal="tokens", select=["majority"])
        bon.report(*files, out=options.out, gold="math", title="Short answers and long ones")
    print(json.dumps([asdict(row) for row in found.equal]) if options.json else markdown(found))


if __name__ == "__main__":
    main()
