"""GSM8K with best-of-N: draws, checks every answer exactly, and says what choosing among the draws is worth.

Run it with `python examples/gsm8k.py [--generator SPEC] [-n 100] [--data test.jsonl]` after `pip install 'bon[local]'`.
Without --data (a file of https://github.com/openai/grade-school-math) it asks a few problems in words of its own. With
-o the pools are kept, for `bon eval`, `bon report` or `bon train`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from passing import measured, show

import bon
from bon.api import blocking
from bon.registry.extractors import extractor
from bon.store.convert import converted

HOW = "Work it out step by step. End with one line: Answer: <number>"
PROBLEMS = {
    "A baker fills 4 trays with 6 rolls each and sells 9 of the rolls. How many rolls are left?": 15,
    "Nora reads 12 pages on Monday and twice as many on Tuesday. How many pages does she read in all?": 36,
    "A ticket costs 7 dollars. Ben buys 3 tickets and pays with 30 dollars. How many dollars does he get back?": 9,
    "A tank holds 50 litres and is two fifths full. How many litres are needed to fill it?": 30,
    "Six friends share 3 boxes of 8 pencils equally. How many pencils does each get?": 4,
    "A train leaves at 9:40 and arrives at 11:05. How many minutes does it take?": 85,
}


def prompts_of(data: Path | None, count: int | None) -> list[bon.Prompt]:
    """The problems of a file of GSM8K, or those above."""
    if data is not None:
        return [each for each in islice(converted("gsm8k", data), count) if isinstance(each, bon.Prompt)]
    own = list(PROBLEMS.items())[:count]
    return [bon.prompt(f"{question}\n\n{HOW}", reference=str(number)) for question, number in own]


def drawn(prompts: Sequence[bon.Prompt], options: argparse.Namespace, out: Path) -> None:
    """Draw and score into a file, pool by pool."""
    request = {"temperature": options.temperature, "top_p": 0.95, "max_tokens": options.max_tokens, "seed": 0}
    asked = [bon.Prompt(id=p.id, messages=p.messages, request=request, reference=p.reference) for p in prompts]
    scorers = {spec: bon.scorer(spec) for spec in (*options.scorer, "math")}
    with bon.generator(options.generator) as model:
        plan = bon.Plan(generator=model, scorers=scorers, budget=bon.Fixed(options.n), extract=extractor("number"))
        bon.write_pools(out, blocking.iterate(bon.run_many(asked, plan, concurrency=options.concurrency)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", default="local", help="any spec")
    parser.add_argument("--scorer", action="append", help="what chooses; again for more  [selfcertainty, heuristic]")
    parser.add_argument("--data", type=Path, help="test.jsonl of GSM8K")
    parser.add_argument("-n", type=int, default=100, help="draws a problem")
    parser.add_argument("--problems", type=int, help="only the first of them")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--max-tokens", type=int, default=400)
    parser.add_argument("--concurrency", type=int, default=8, help="problems at a time")
    parser.add_argument("-o", "--out", type=Path, help="keep the pools here")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.scorer = options.scorer or ["selfcertainty", "heuristic"]
    prompts = prompts_of(options.data, options.problems)
    with tempfile.TemporaryDirectory() as folder:
        pools = options.out or Path(folder, "gsm8k.jsonl")
        drawn(prompts, options, pools)
        rows = measured(pools, gold="math", scorers=options.scorer, n=options.n)
    show(rows, title=f"{len(prompts)} problems, {options.n} draws each by {options.generator}", as_json=options.json)


if __name__ == "__main__":
    main()
