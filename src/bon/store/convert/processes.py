"""Solutions in steps with the steps that are wrong: ProcessBench, PRMBench, BIG-Bench Mistake.

Zheng et al. 2024, "ProcessBench: Identifying Process Errors in Mathematical Reasoning"; Song et al. 2025, "PRMBench: A
Fine-grained and Challenging Benchmark for Process-Level Reward Models"; Tyen et al. 2024, "LLMs cannot find reasoning
errors, but can correct them given the error location".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath

import msgspec

from bon.errors import DataError
from bon.store.convert.labels import CORRECT, read
from bon.store.sources.row import Row
from bon.types import Candidate, Pool, Prompt, Score, as_messages

__all__ = ["STEP", "mistakes", "prmbench", "processbench", "solution"]

STEP = "\n\n"
"""What stands between the steps in a candidate's text; the steps themselves are in the metadata."""


class _ProcessBench(msgspec.Struct):
    id: str
    problem: str
    steps: list[str]
    label: int
    generator: str = ""
    final_answer_correct: bool | None = None


class _PRMBench(msgspec.Struct):
    idx: str
    modified_question: str
    modified_process: list[str]
    error_steps: list[int]
    classification: str
    original_question: str
    original_process: list[str]


class _Mistake(msgspec.Struct):
    input: str
    steps: list[str]
    target: str
    answer: str
    mistake_index: int | None


def processbench(row: Row) -> Iterator[Pool]:
    """A pool `processbench/<id>` with one candidate a row; `correct` says whether all of its steps are right.

    The metadata holds `subset` (gsm8k, math, olympiadbench, omnimath), `steps`, `first_error` (from 0; None where there
    is none) and `final_answer_correct`.
    """
    one = read(row, _ProcessBench)
    metadata = {
        "benchmark": "processbench",
        "subset": one.id.rpartition("-")[0] or one.id,
        "final_answer_correct": one.final_answer_correct,
    }
    prompt = Prompt(id=f"processbench/{one.id}", messages=as_messages(one.problem), metadata=metadata)
    first = None if one.label == -1 else one.label
    yield solution(prompt, one.steps, correct=first is None, first_error=first, generator=one.generator)


def prmbench(row: Row) -> Iterator[Pool]:
    """A pool `prmbench/<classification>/<idx>` with one candidate a row, the steps of which are marked one by one.

    The metadata holds `subset` (the kind of error), `steps`, `error_steps` and `first_error` (from 0), and `group` (the
    problem, of which there are rows with other errors). A row of the kind "redundency" gives the solution that it was
    made from too, as `prmbench/correct/<idx>`: without an error, it is what the others are compared with.
    """
    one = read(row, _PRMBench)
    name = one.idx.removeprefix(f"{one.classification}_")
    # some rows name steps that there are not, which the benchmark's own evaluation passes over too
    wrong = sorted({step - 1 for step in one.error_steps if 1 <= step <= len(one.modified_process)})
    yield _marked(name, one.classification, one.modified_question, one.modified_process, wrong, bool(one.error_steps))
    if one.classification == "redundency":
        yield _marked(name, "correct", one.original_question, one.original_process, [], False)


def mistakes(row: Row, *, task: str = "") -> Iterator[Pool]:
    """A pool `mistakes/<task>/<place>` with one candidate a row; metadata as in `processbench`.

    The files do not name their task: it is `task`, or the file's name.
    """
    one = read(row, _Mistake)
    task = task or PurePath(row.where).name.partition(".")[0]
    prompt = Prompt(
        id=f"mistakes/{task}/{row.place}",
        messages=as_messages(one.input),
        reference=one.target,
        metadata={"benchmark": "mistakes", "subset": task, "final_answer_correct": one.answer == one.target},
    )
    first = one.mistake_index
    pool = solution(prompt, one.steps, correct=first is None, first_error=first, generator="PaLM 2")
    yield replace(pool, candidates=(replace(pool.candidates[0], answer=one.answer),))


def _marked(name: str, kind: str, question: str, steps: Sequence[str], wrong: Sequence[int], flawed: bool) -> Pool:
    """A solution of PRMBench; `wrong` steps count from 0."""
    metadata = {"benchmark": "prmbench", "subset": kind, "group": f"prmbench/{name}", "error_steps": [*wrong]}
    prompt = Prompt(id=f"prmbench/{kind}/{name}", messages=as_messages(question), metadata=metadata)
    marks = tuple(float(place not in wrong) for place in range(len(steps)))
    return solution(prompt, steps, correct=not flawed, first_error=min(wrong, default=None), marks=marks)


def solution(
    prompt: Prompt,
    steps: Sequence[str],
    *,
    correct: bool,
    first_error: int | None,
    marks: tuple[float, ...] | None = None,
    generator: str = "",
) -> Pool:
    """A pool of one solution; `marks` says of each step whether it is right, where that is known."""
    if not steps:
        raise DataError("there are no steps: a solution has at least one")
    if first_error is not None and not 0 <= first_error < len(steps):
        raise DataError(f"step {first_error} of {len(steps)}, counted from 0, is named as wrong")
    return Pool(
        prompt=replace(prompt, metadata={**prompt.metadata, "steps": list(steps), "first_error": first_error}),
        candidates=(Candidate(index=0, text=STEP.join(steps), generator=generator),),
        scores={CORRECT: (Score(value=float(correct), steps=marks),)},
    )
