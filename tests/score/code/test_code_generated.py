"""Tests that a model writes: which of its lines are tests, shares of them, and dual agreement by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

import bon
from bon.errors import ScoreError, SpecError
from bon.sandbox import Limits, Sandbox, available
from bon.score.code import GeneratedTests
from bon.score.code.dual import agreements
from bon.score.code.generated import asserts_in, draw_tests
from bon.testing import Scripted
from bon.types import Candidate, Pool, Prompt, as_messages

STUB = 'def double(x):\n    """Twice x."""\n'
PROMPT = Prompt(
    id="p",
    messages=as_messages("Write double."),
    metadata={"prompt": STUB, "entry_point": "double"},
    request={"seed": 7},
)
WRITTEN = (
    "```python\nassert double(2) == 4\nassert double(0) == 0\nassert double(3) == 9\n```",
    "assert double('a') == 'aa'\nassert double( 2 )==4\nassert other(1) == 1\nassert double(5",
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    if not [*available()]:
        pytest.skip("nothing here confines programs")
    with Sandbox(limits=Limits(seconds=30)) as made:
        yield made


def pool(*programs: str) -> Pool:
    candidates = tuple(Candidate(index=i, text=text) for i, text in enumerate(programs))
    return Pool(prompt=PROMPT, candidates=candidates)


def test_tests_are_the_asserts_that_call_the_function() -> None:
    assert asserts_in(WRITTEN[0], "double") == [
        "assert double(2) == 4",
        "assert double(0) == 0",
        "assert double(3) == 9",
    ]
    assert asserts_in(WRITTEN[1], "double") == ["assert double('a') == 'aa'", "assert double(2) == 4"]
    inside = "def test_it():\n    x = 1\n    assert double(1) == 2, 'why'\n    assert not double(0)"
    assert asserts_in(inside, "double") == ["assert double(1) == 2", "assert not double(0)"]
    assert asserts_in("I cannot write tests for double.", "double") == []
    assert asserts_in("assert double('\\d') == 1", "double") == []


async def test_tests_are_drawn_once_for_the_prompt_and_said_in_order() -> None:
    asked = list[Prompt]()

    def line(prompt: Prompt, index: int) -> str:
        asked.append(prompt)
        return WRITTEN[index % 2]

    model = Scripted(line)
    drawn = await draw_tests(model, PROMPT, draws=2, most=10)
    wanted = ("assert double(2) == 4", "assert double(0) == 0", "assert double(3) == 9", "assert double('a') == 'aa'")
    assert drawn.tests == wanted
    assert drawn.calls == 2
    assert asked[0].request["seed"] == 7
    assert STUB.strip() in asked[0].text
    assert "assert double(...) == ..." in asked[0].text
    assert (await draw_tests(model, PROMPT, draws=2, most=2)).tests == wanted[:2]


async def test_without_tests_or_a_name_there_is_no_score() -> None:
    with pytest.raises(ScoreError, match="no tests of 'double' were drawn"):
        await draw_tests(Scripted(["Sorry."]), PROMPT, draws=2, most=10)
    nameless = Prompt(id="p", messages=as_messages("Write a program."))
    with pytest.raises(ScoreError, match="names no `entry_point`"):
        await draw_tests(Scripted(WRITTEN), nameless, draws=2, most=10)
    (score,) = await GeneratedTests(Scripted(["Sorry."]))(pool("def double(x): return x"))
    assert score.value is None
    assert "no tests of 'double'" in score.reason


async def test_the_share_of_generated_tests(sandbox: Sandbox) -> None:
    scorer = GeneratedTests(Scripted(WRITTEN), draws=2, sandbox=sandbox)
    right, square, none = await scorer(pool("def double(x): return 2 * x", "def double(x): return x * x", "no idea"))
    assert (right.value, square.value) == (0.75, 0.75)  # one test is wrong
    assert (none.value, none.reason) == (0.0, "unparsed")
    assert right.paid_calls == 2
    assert square.paid_calls == 0
    assert not await scorer(pool())


async def test_dual_agreement_is_solutions_times_tests(sandbox: Sandbox) -> None:
    """Two right ones pass the same three of four tests (2 x 3); a wrong one passes three others alone (1 x 3)."""
    scorer = GeneratedTests(Scripted(WRITTEN), dual=True, draws=2, sandbox=sandbox)
    programs = (
        "def double(x): return 2 * x",
        "def double(x): return x * x",
        "def double(x): return x + x",
        "def double(x): 1",
    )
    right, square, also, nothing = await scorer(pool(*programs))
    assert (right.value, also.value, square.value, nothing.value) == (6.0, 6.0, 3.0, 0.0)
    assert dict(right.parts) == {"solutions": 2.0, "tests": 3.0}
    assert right.reason == "2 solutions pass the same 3 of 4 tests"


def test_agreements_by_hand() -> None:
    passed = {0: frozenset({1, 2}), 1: frozenset({1, 2}), 2: frozenset({1}), 3: frozenset[int]()}
    assert agreements(passed) == {0: (2, 2), 1: (2, 2), 2: (1, 1), 3: (1, 0)}


WRITER = "from bon.testing import Scripted\nmodel = Scripted(['assert double(2) == 4'])\n"


@pytest.fixture
def writer(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "writer_of_tests.py").write_text(WRITER)
    monkeypatch.chdir(tmp_path)
    return "writer_of_tests:model"


def test_specs_name_them(writer: str) -> None:
    made = bon.scorer("dual", generator=writer, draws=3)
    assert isinstance(made.thing, GeneratedTests)
    assert (made.name, made.thing.dual, made.thing.draws, made.pointwise) == ("dual", True, 3, False)
    made.close()
    shared = bon.scorer("code?tests=generated&most=9", generator=writer)
    assert isinstance(shared.thing, GeneratedTests)
    assert (shared.name, shared.thing.dual, shared.thing.tests) == ("code", False, 9)
    shared.close()
    for spec, words in (
        ("code?draws=3", "draws is for tests=generated"),
        ("code?tests=generated&whole=true", "generated ones may be wrong"),
        ("code?whole=3", "whole is true or false"),
        ("dual?draws=0", "draws and most are 1 or more"),
        ("dual?tests=prompt", "has no option 'tests'"),
    ):
        with pytest.raises(SpecError, match=re.escape(words)):
            bon.scorer(spec)
