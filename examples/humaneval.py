"""HumanEval with best-of-N: draws programs, runs them under their tests in a sandbox, says what choosing is worth.

Run it with `python examples/humaneval.py [--generator SPEC] [-n 100] [--data HumanEval.jsonl.gz]` after
`pip install 'bon[local]'` and `apt-get install bubblewrap`. Without --data (a file of
https://github.com/openai/human-eval) it asks for a few small functions of its own. `shown` chooses by the examples in
the prompt, which any user of the model could run; the truth are the hidden tests. With -o the pools are kept.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from passing import measured, show

import bon
from bon.answers import extractor
from bon.api import blocking
from bon.store.convert import converted
from bon.store.convert.programs import PROGRAM_TEMPLATE

FUNCTIONS = {
    "add": ("a, b", "The sum of a and b.", "(2, 3)", ["(2, 3) == 5", "(-1, 1) == 0", "(0, 0) == 0"]),
    "is_even": ("n", "Whether n is even.", "(4)", ["(4) is True", "(7) is False", "(0) is True"]),
    "shout": ("text", "The text in capitals, with ! after it.", "('hi')", ["('hi') == 'HI!'", "('') == '!'"]),
    "largest": ("items", "The largest item, None if empty.", "([1, 3])", ["([1, 3]) == 3", "([]) is None"]),
    "vowels": ("text", "How many of aeiou there are.", "('audio')", ["('audio') == 4", "('xyz') == 0", "('eel') == 2"]),
}
"""Name -> parameters, what it should do, the arguments of an example, and tests; the first test is the example."""
MINE = "shown"


def own(name: str) -> bon.Prompt:
    """A problem of ours, in HumanEval's columns."""
    parameters, does, given, tests = FUNCTIONS[name]
    wanted = tests[0].removeprefix(given).replace("==", "").replace(" is ", "").strip()
    stub = f'def {name}({parameters}):\n    """{does}\n\n    >>> {name}{given}\n    {wanted}\n    """\n'
    check = "".join(f"    assert candidate{test}\n" for test in tests)
    columns = {"prompt": stub, "entry_point": name, "test": f"def check(candidate):\n{check}"}
    asked = bon.prompt(PROGRAM_TEMPLATE.format(prompt=stub.rstrip()), id=name)
    return replace(asked, metadata=columns)


def prompts_of(data: Path | None, count: int | None) -> list[bon.Prompt]:
    """The problems of a file of HumanEval, or those above."""
    if data is not None:
        return [each for each in islice(converted("humaneval", data), count) if isinstance(each, bon.Prompt)]
    return [own(name) for name in list(FUNCTIONS)[:count]]


def drawn(prompts: Sequence[bon.Prompt], options: argparse.Namespace, out: Path) -> None:
    """Draw and score into a file, pool by pool."""
    request = {"temperature": options.temperature, "top_p": 0.95, "max_tokens": options.max_tokens, "seed": 0}
    asked = [replace(prompt, request=request) for prompt in prompts]
    named = {spec: bon.scorer("code", tests="prompt") if spec == MINE else bon.scorer(spec) for spec in options.scorer}
    scorers = {**named, "code": bon.scorer("code", whole=True)}
    try:
        with bon.generator(options.generator) as model:
            plan = bon.Plan(generator=model, scorers=scorers, budget=bon.Fixed(options.n), extract=extractor("code"))
            bon.write_pools(out, blocking.iterate(bon.run_many(asked, plan, concurrency=options.concurrency)))
    finally:
        for scorer in scorers.values():
            scorer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", default="local", help="any spec")
    parser.add_argument("--scorer", action="append", help="what chooses; again for more  [shown, selfcertainty]")
    parser.add_argument("--data", type=Path, help="HumanEval.jsonl.gz")
    parser.add_argument("-n", type=int, default=100, help="draws a problem")
    parser.add_argument("--problems", type=int, help="only the first of them")
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--max-tokens", type=int, default=400)
    parser.add_argument("--concurrency", type=int, default=8, help="problems at a time")
    parser.add_argument("-o", "--out", type=Path, help="keep the pools here")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.scorer = options.scorer or [MINE, "selfcertainty"]
    prompts = prompts_of(options.data, options.problems)
    with tempfile.TemporaryDirectory() as folder:
        pools = options.out or Path(folder, "humaneval.jsonl")
        drawn(prompts, options, pools)
        rows = measured(pools, gold="code", scorers=options.scorer, n=options.n)
    show(rows, title=f"{len(prompts)} problems, {options.n} draws each by {options.generator}", as_json=options.json)


if __name__ == "__main__":
    main()
