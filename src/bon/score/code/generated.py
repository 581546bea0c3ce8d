"""Tests that a model writes for a coding prompt: how they are asked for, and which of what comes back is a test."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

from bon.answers.programs import program
from bon.errors import ScoreError
from bon.protocols import Generator
from bon.score.code.cases import entry_point_of, stub_of
from bon.types import Candidate, Prompt, Usage, as_messages

__all__ = ["Drawn", "asserts_in", "draw_tests", "question"]

_ASK = """\
Here is a task for a Python programmer:

{task}

Write ten tests for the function `{name}`: different inputs, edge cases among them, each with the result that is right.
Each test is one line of the form `assert {name}(...) == ...`. Do not write the function itself. Reply with the tests \
in one code block."""
_REQUEST = {"temperature": 0.8, "top_p": 0.95, "max_tokens": 768}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Tests that were drawn, and what that took."""

    tests: tuple[str, ...]
    usage: Usage | None
    calls: int


def question(prompt: Prompt) -> Prompt:
    """What a model is asked for tests of a prompt's function. Raises `ScoreError` where that is not named."""
    name = entry_point_of(prompt)
    if not name.isidentifier():
        raise ScoreError(f"tests are written for a function: the prompt's metadata names no `entry_point` ({name!r})")
    stub = stub_of(prompt)
    task = f"```python\n{stub.rstrip()}\n```" if stub else prompt.text
    seed = {"seed": prompt.request["seed"]} if "seed" in prompt.request else {}
    return Prompt(
        id=f"{prompt.id}#tests", messages=as_messages(_ASK.format(task=task, name=name)), request={**_REQUEST, **seed}
    )


async def draw_tests(generator: Generator, prompt: Prompt, *, draws: int, most: int) -> Drawn:
    """Ask a model `draws` times for tests of a prompt's function; at most `most` different ones are kept.

    Raises `ScoreError` where the prompt names no `entry_point`, or where nothing that came back is a test.
    """
    name, asked = entry_point_of(prompt), question(prompt)
    drawn = [draw async for draw in generator(asked, draws)]
    answers = sorted((one for one in drawn if isinstance(one, Candidate)), key=lambda one: one.index)
    tests = dict.fromkeys(test for answer in answers for test in asserts_in(answer.text, name))
    if not tests:
        failed = next((one.reason for one in drawn if not isinstance(one, Candidate)), "none of the answers has one")
        raise ScoreError(f"no tests of {name!r} were drawn: {failed}")
    return Drawn(tests=tuple(tests)[:most], usage=_sum([one.usage for one in answers]), calls=len(drawn))


def asserts_in(text: str, name: str) -> list[str]:
    """The asserts of a text that call a function, each as one line; of a text that breaks off, those before that."""
    code = program(text) or text
    found = list[str]()
    for piece in _pieces(code):
        for node in ast.walk(piece):
            if isinstance(node, ast.Assert) and _calls(node, name):
                found.append(f"assert {ast.unparse(node.test)}")
    return list(dict.fromkeys(found))


def _pieces(code: str) -> list[ast.Module]:
    """A program as trees: whole where it is Python, else those of its lines that are."""
    whole = _tree(code)
    if whole:
        return [whole]
    return [tree for line in code.splitlines() if (tree := _tree(line.strip()))]


def _tree(code: str) -> ast.Module | None:
    if re.search(r"\\[^\\'\"abfnrtvxuUN0-7\n]", code):  # the parser would warn of it
        return None
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _calls(node: ast.Assert, name: str) -> bool:
    return any(
        isinstance(one, ast.Call) and isinstance(one.func, ast.Name) and one.func.id == name
        for one in ast.walk(node.test)
    )


def _sum(usages: Sequence[Usage | None]) -> Usage | None:
    known = [usage for usage in usages if usage is not None]
    return reduce(add, known) if known else None
