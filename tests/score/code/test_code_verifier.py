"""The scorer `code`: shares of tests, reasons, and what has no score; published solutions pass and broken ones fail."""

from __future__ import annotations

import ast
import asyncio
import gzip
import json
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import bon
from bon.errors import SpecError
from bon.sandbox import Limits, Sandbox, Tests, available
from bon.score.cached import CachedScorer
from bon.score.code import Code
from bon.score.code.cases import cases_of
from bon.store.convert.programs import humaneval
from bon.store.responses import Responses
from bon.store.sources.row import Row
from bon.testing import check_scorer
from bon.types import Candidate, Pool, Prompt, Score, as_messages

pytestmark = pytest.mark.skipif(not [*available()], reason="nothing here confines programs")

ASSERTS = {"entry_point": "double", "tests": ["assert double(2) == 4", "assert double('a') == 'aa'"]}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(limits=Limits(seconds=30)) as made:
        yield made


def pool(metadata: dict[str, Any], *texts: str, text: str = "Write double.") -> Pool:
    candidates = tuple(Candidate(index=i, text=text) for i, text in enumerate(texts))
    return Pool(prompt=Prompt(id="p", messages=as_messages(text), metadata=metadata), candidates=candidates)


async def test_a_candidate_scores_the_share_of_tests_that_it_passes(sandbox: Sandbox) -> None:
    code = Code(sandbox=sandbox)
    texts = ("def double(x): return 2 * x", "def double(x): return x + 2", "No idea.", "def double(x): return None")
    right, half, none, wrong = await code(pool(ASSERTS, *texts))
    assert (right.value, right.reason, dict(right.parts)) == (1.0, "pass", {"1": 1.0, "2": 1.0})
    assert (half.value, dict(half.parts)) == (0.5, {"1": 1.0, "2": 0.0})
    assert half.reason.startswith("fail: double('a') == 'aa': TypeError")
    assert (none.value, none.reason) == (0.0, "unparsed")
    assert wrong.value == 0.0
    assert right.seconds


async def test_scores_are_kept_in_a_cache_but_not_those_of_programs_that_ran_out_of_time(tmp_path: Path) -> None:
    asked = pool(ASSERTS, "def double(x): return x + 2", "import time\ndef double(x): time.sleep(60)")
    responses = Responses(tmp_path / "responses.sqlite")
    with Sandbox(limits=Limits(seconds=2)) as sandbox:
        first = await CachedScorer(Code(sandbox=sandbox), responses)(asked)
        await asyncio.sleep(0.05)  # what was put is committed
        again = await CachedScorer(Code(sandbox=sandbox), responses)(asked)
        whole = await CachedScorer(Code(sandbox=sandbox, whole=True), responses)(asked)
    responses.close()
    assert [score.cached for score in (*first, *again, *whole)] == [False, False, True, False, False, False]
    assert [score.value for score in (*first, *again, *whole)] == [0.5, 0.0, 0.5, 0.0, 0.0, 0.0]
    assert again[0].reason == first[0].reason
    assert again[1].reason.startswith("timeout")


def test_what_would_change_scores_is_in_the_identity() -> None:
    specs = ("code", "code?seconds=5", "code?memory=64", "code?whole=true", "code?tests=prompt", "code?processes=2")
    made = [bon.scorer(spec) for spec in specs]
    assert len({json.dumps(scorer.identity, sort_keys=True) for scorer in made}) == len(specs)
    assert bon.scorer("code").identity == bon.scorer("code?seconds=10").identity
    for scorer in made:
        scorer.close()


async def test_scripts_are_compared_by_what_they_print(sandbox: Sandbox) -> None:
    rows = [{"stdin": f"{n}\n", "stdout": f"{2 * n}\n"} for n in (1, 2, 30)]
    texts = ("print(2 * int(input()))", "print(int(input()) + 2)", "print(input(", "import time; time.sleep(60)")
    code = Code(sandbox=sandbox)
    right, partly, broken = await code(pool({"tests": rows}, *(f"```python\n{text}\n```" for text in texts[:3])))
    assert (right.value, right.reason) == (1.0, "pass")
    assert dict(partly.parts) == {"1": 0.0, "2": 1.0, "3": 0.0}
    assert partly.reason == "fail: test 1: printed '3'"
    assert broken.value == 0.0
    assert "SyntaxError" in broken.reason
    with Sandbox(limits=Limits(seconds=0.5)) as short:
        (late,) = await Code(sandbox=short)(pool({"tests": rows[:1]}, f"```python\n{texts[3]}\n```"))
    assert (late.value, late.reason[:15]) == (0.0, "timeout: test 1")


async def test_a_functions_results_are_compared_as_json_has_them(sandbox: Sandbox) -> None:
    rows = [
        {"args": [2], "expected": [2, 4]},
        {"args": [0.1], "expected": [0.1, 0.2]},
        {"args": [], "kwargs": {"x": True}, "expected": [True, 2]},
    ]
    texts = ("def f(x): return (x, x + x)", "def f(x): return [x, x + x + 1e-9]", "def f(x): return [x, str(2 * x)]")
    right, near, wrong = await Code(sandbox=sandbox)(pool({"tests": rows, "entry_point": "f"}, *texts))
    assert (right.value, wrong.value) == (1.0, 0.0)
    assert near.value == 1.0


async def test_examples_of_the_prompt_are_a_first_filter(sandbox: Sandbox) -> None:
    stub = 'def double(x):\n    """\n    >>> double(2)\n    4\n    >>> double({1, 3})\n    {3, 1, 2, 6}\n    """\n'
    code = Code(tests="prompt", sandbox=sandbox)
    texts = ("def double(x): return {1, 2, 3, 6} if isinstance(x, set) else 2 * x", "def double(x): return 4")
    right, half = await code(pool({"prompt": stub, "entry_point": "double"}, *texts))
    assert (right.value, half.value) == (1.0, 0.5)
    (missing,) = await code(pool({"entry_point": "double"}, texts[0]))
    assert missing == Score.missing("no examples in the prompt that could be run")


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({}, "no tests: the prompt's metadata has no `test`"),
        ({"tests": [3]}, "prompt 'p': 3 is no test"),
        ({"tests": ["assert f("]}, "sandbox-error: the tests cannot be run: SyntaxError"),
    ],
)
async def test_what_is_not_the_candidates_fault_has_no_score(
    metadata: dict[str, Any], reason: str, sandbox: Sandbox
) -> None:
    (score,) = await Code(sandbox=sandbox)(pool(metadata, "def f(x): return x"))
    assert score.value is None
    assert score.reason.startswith(reason)


async def test_it_keeps_what_scorers_promise(sandbox: Sandbox) -> None:
    given = pool(ASSERTS, "def double(x): return 2 * x", "no", "def double(x): 1")
    await check_scorer(Code(sandbox=sandbox), pool=given)


def test_specs_name_it_with_its_limits() -> None:
    made = bon.scorer("code?tests=prompt&seconds=2.5&memory=256&name=shown")
    assert made.name == "shown"
    made.close()
    for spec, words in (
        ("code?tests=guessed", "one of reference, prompt"),
        ("code?seconds=0", "the limit seconds is above 0"),
        ("code?memory=much", "must be a whole number"),
        ("code?second=1", "did you mean 'seconds'"),
    ):
        with pytest.raises(SpecError, match=re.escape(words)):
            bon.scorer(spec)


# Published problems


def problems(name: str) -> list[dict[str, Any]]:
    path = Path(os.environ.get("BON_DATA") or Path(__file__).parents[4] / "shared" / "data") / "code" / name
    if not path.exists():
        pytest.skip(f"{path} is not there: set BON_DATA to the folder with the test data")
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        return [json.loads(line) for line in file]


@pytest.fixture(scope="module")
def human() -> list[dict[str, Any]]:
    found = problems("HumanEval.jsonl.gz")
    assert len(found) == 164
    return found


@pytest.fixture(scope="module")
def mostly_basic() -> list[dict[str, Any]]:
    found = problems("mbpp_sanitized_for_code_generation.jsonl")
    assert len(found) == 427
    return found


def solution(row: dict[str, Any]) -> str:
    """The published program: for MBPP the head without its docstring, for bodies are indented in another way."""
    head = row["prompt"]
    if row["task_id"].startswith("Mbpp"):
        head = re.sub(r"\n\s*'''.*?'''", "", head, count=1, flags=re.DOTALL).rstrip() + "\n"
    return str(head + row["canonical_solution"])


SPOIL = """
def {name}(*args, **keywords):
    value = right[{name!r}](*args, **keywords)
    if value is None or isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return 3 * value + 1  # far enough for tests with a tolerance
    return value + "x" if isinstance(value, str) else [value]
"""


def spoiled(row: dict[str, Any]) -> str:
    """The published program with other results: not so, another number, longer, or in a list."""
    program = solution(row)
    names = set(re.findall(r"^def (\w+)", program, re.MULTILINE))
    called = {node.id for node in ast.walk(ast.parse(row["test"])) if isinstance(node, ast.Name)}
    wrapped = "".join(SPOIL.format(name=name) for name in sorted(names & (called | {row["entry_point"]})))
    return f"right = {{}}\nexec({program!r}, right)\n{wrapped}"


def judged(rows: list[dict[str, Any]], program: Callable[[dict[str, Any]], str], sandbox: Sandbox) -> dict[str, Score]:
    """What becomes of a program a problem, as an answer to the prompt that `bon convert` makes."""
    code = Code(sandbox=sandbox)

    async def one(row: dict[str, Any]) -> Score:
        (prompt,) = humaneval(Row(value=row, number=1, place=0, where="test"))
        candidate = Candidate(index=0, text=f"```python\n{program(row)}\n```")
        (score,) = await code(Pool(prompt=prompt, candidates=(candidate,)))
        return score

    async def run() -> list[Score]:
        return await asyncio.gather(*map(one, rows))

    return dict(zip((row["task_id"] for row in rows), asyncio.run(run()), strict=True))


@pytest.mark.slow
def test_all_published_solutions_of_humaneval_pass_and_all_spoiled_ones_fail(
    human: list[dict[str, Any]], sandbox: Sandbox
) -> None:
    assert {name: score for name, score in judged(human, solution, sandbox).items() if score.value != 1.0} == {}
    assert {n: s for n, s in judged(human, spoiled, sandbox).items() if s.value is None or s.value == 1.0} == {}


@pytest.mark.slow
def test_all_published_solutions_of_mbpp_pass_and_all_spoiled_ones_fail(
    mostly_basic: list[dict[str, Any]], sandbox: Sandbox
) -> None:
    assert {n: s for n, s in judged(mostly_basic, solution, sandbox).items() if s.value != 1.0} == {}
    assert {n: s for n, s in judged(mostly_basic, spoiled, sandbox).items() if s.value is None or s.value == 1.0} == {}


MUTATIONS = ((" + ", " - "), (" < ", " <= "), (" == ", " != "), ("return ", "return not "), (" > ", " >= "), ("1", "2"))


def mutants(row: dict[str, Any]) -> Iterator[str]:
    """The published program with one small change, which may or may not matter."""
    body = row["canonical_solution"]
    for old, new in MUTATIONS:
        if old in body:
            yield row["prompt"] + body.replace(old, new, 1)


@pytest.mark.slow
def test_verdicts_on_changed_programs_are_those_of_the_published_harness(human: list[dict[str, Any]]) -> None:
    """The harness of Chen et al. 2021 puts program and tests into one file; of honest programs it says the same."""
    with Sandbox(limits=Limits(seconds=6)) as sandbox, ThreadPoolExecutor(2) as pool:

        def both(row: dict[str, Any]) -> list[tuple[str, str]]:
            tests = cases_of(Prompt(id="p", messages=(), metadata=row))
            assert isinstance(tests, Tests)
            called = f"\n{row['test']}\ncheck({row['entry_point']})\n"
            return [
                (sandbox.check(program, tests).kind, sandbox.execute(program + called).kind) for program in mutants(row)
            ]

        said = [pair for pairs in pool.map(both, human[::4]) for pair in pairs]
    assert len(said) > 80
    assert [pair for pair in said if (pair[0] == "pass") != (pair[1] == "pass")] == []
    assert 5 < sum(ours == "pass" for ours, _ in said) < len(said) - 30
