"""What N does: one set of draws, measured at every k, for every way of choosing, with what more draws would buy.

Run it with `python examples/effect_of_n.py [--generator SPEC] [-n 16] [--questions 20] [-o report.html]` after
`pip install 'bon[local,report]'`. Nothing is drawn twice: of N draws all choices of k are counted, exactly.
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


def drawn(generator: str, count: int, n: int) -> list[bon.Pool]:
    """The pools of all questions, scored."""
    request = {"temperature": 0.7, "top_p": 0.9, "max_tokens": 16, "seed": 0}
    asked = [bon.prompt(p.text, reference=p.reference, id=p.id, **request) for p in questions(count)]
    scorers = {name: bon.scorer(name) for name in ("selfcertainty", "math")}
    with bon.generator(generator) as model:
        plan = bon.Plan(generator=model, scorers=scorers, budget=bon.Fixed(n), extract=extractor("number"))
        return list(blocking.iterate(bon.run_many(asked, plan, concurrency=8)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", default="local", help="any spec")
    parser.add_argument("-n", type=int, default=16)
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("-o", "--out", type=Path, default=Path("effect_of_n.html"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pools = Path(folder, "sums.jsonl")
        bon.write_pools(pools, drawn(options.generator, options.questions, options.n))
        found = bon.curves(pools, gold="math")
        bon.report(pools, out=options.out, gold="math", title="What N does to sums")
    print(json.dumps([asdict(row) for row in found.rows]) if options.json else markdown(found))


if __name__ == "__main__":
    main()
