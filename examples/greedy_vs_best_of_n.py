"""Greedy against best-of-N on the same questions: what is gained, what it costs, and a page to look at.

Run it with `python examples/greedy_vs_best_of_n.py [--generator SPEC] [-n 8] [--questions 20] [-o report.html]` after
`pip install 'bon[local,report]'`. The model's own certainty chooses, and a verifier that knows the answers measures:
a scorer that measures itself would always see a gain.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from sums import questions

import bon
from bon.api.comparing import COMPARED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", default="local", help="any spec")
    parser.add_argument("-n", type=int, default=8)
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("-o", "--out", type=Path, default=Path("greedy_vs_best_of_n.html"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = bon.compare(
            questions(options.questions),
            n=options.n,
            scorer=["selfcertainty", "math"],
            by="selfcertainty",
            gold="math",
            generator=options.generator,
            folder=folder,
            max_tokens=16,
        )
        bon.report(Path(folder, COMPARED), out=options.out, gold="math", title="Greedy and its rivals, side by side")
    (row,) = found.versus
    if options.json:
        print(json.dumps(asdict(row)))
        return
    low, high = (row.gain.low, row.gain.high) if row.gain else (0.0, 0.0)
    print(f"{row.n} questions: greedy is right on {row.greedy:.0%}, the best of {row.k} on {row.chosen:.0%}")
    print(f"gain {row.chosen - row.greedy:+.1%} [{low:+.1%}, {high:+.1%}]: {row.wins:.0%} won, {row.losses:.0%} lost")
    print(f"tokens a question: {row.greedy_tokens or 0:.0f} and {row.tokens or 0:.0f}")
    print(f"all candidates, side by side: {options.out}")


if __name__ == "__main__":
    main()
