"""Specs of verifiers and names of extractors: what each makes, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bon.api.curves import curves
from bon.errors import SpecError
from bon.registry import Builder, Config
from bon.registry.extractors import catalogue, extractor
from bon.score import math
from bon.store.pools import read_pools, write_pools
from bon.testing.pools import pool_of
from bon.types import Prompt, Score


@pytest.mark.parametrize(
    ("spec", "name", "pointwise"),
    [
        ("math", "math", True),
        ("math?seconds=0.5", "math", True),
        ("expression?target=24&use=some", "expression", True),
        ("expression?target=1/2", "expression", True),
        ("tool_calls?required=false", "tool_calls", True),
        ("tool_calls?vote=both", "tool_calls", False),
        ("tool_calls?exclude=id,time&name=voted", "voted", False),
    ],
)
def test_specs_name_verifiers(spec: str, name: str, pointwise: bool) -> None:
    built = Builder(Config()).scorer(spec)
    assert (built.name, built.pointwise) == (name, pointwise)


def test_plain_math_is_the_default_scorer_itself() -> None:
    assert Builder(Config()).scorer("math").thing is math


async def test_excluded_arguments_are_left_out_of_votes() -> None:
    def call(**arguments: Any) -> dict[str, Any]:
        return {"type": "function", "function": {"name": "f", "arguments": json.dumps(arguments)}}

    pool = pool_of(["", ""], prompt=Prompt(id="p", messages=()))
    calls = (call(id=1, x=2), call(id=2, x=2))
    pool = replace(
        pool, candidates=tuple(replace(c, tool_calls=(each,)) for c, each in zip(pool.candidates, calls, strict=True))
    )
    builder = Builder(Config())
    voted = await builder.scorer("tool_calls?vote=arguments&exclude=id,time")(pool)
    assert [score.value for score in voted] == [1, 1]
    listed = await builder.scorer("tool_calls", vote="arguments", exclude=["time"])(pool)
    assert [score.value for score in listed] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("math?seconds=0", "a comparison needs some time"),
        ("math?second=1", "did you mean 'seconds'"),
        ("math:x", "takes nothing after the colon"),
        ("expression?use=none", "must be one of all, some, any"),
        ("expression?target=x", "must be a number"),
        ("tool_calls?vote=most", "one of name, arguments, both"),
        ("tool_calls?vote=name&required=true", "required is an option of checking calls"),
        ("tool_call", "did you mean 'tool_calls'"),
    ],
)
def test_what_makes_no_sense_is_refused(spec: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Builder(Config()).scorer(spec)


def test_extractors_are_listed_with_what_they_read() -> None:
    known = catalogue()
    assert {"number", "boxed", "choice", "code", "any", "math", "regex:PATTERN"} == set(known)
    assert known["math"].startswith("Whatever answer there is, a formula in standard form")
    with pytest.raises(SpecError, match=r"no extractor is called 'maths'; there are number, .*math, regex:PATTERN"):
        extractor("maths")


def test_answers_are_read_anew_in_files_by_their_standard_form(tmp_path: Path) -> None:
    path = tmp_path / "pools.jsonl"
    texts = ["\\boxed{1+x}", "\\boxed{x+1}", "\\boxed{x}"]
    pool = pool_of(texts, prompt=Prompt(id="p", messages=(), reference="x+1"))
    write_pools(path, [pool.with_scores("correct", [Score(value=value) for value in (1, 1, 0)])])
    assert curves(path, k=[3], extract="any").row("majority_at_k", 3).value == pytest.approx(2 / 3)
    assert curves(path, k=[3], extract="math").row("majority_at_k", 3).value == 1
    assert [candidate.answer for candidate in next(iter(read_pools(path))).candidates] == [None] * 3
