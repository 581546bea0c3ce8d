r"""GSM8K and MATH-500: mathematics in words, with a number or a formula as the answer.

GSM8K: Cobbe et al. 2021, "Training Verifiers to Solve Math Word Problems". MATH-500: the 500 test problems of
Lightman et al. 2023, "Let's Verify Step by Step", out of Hendrycks et al. 2021.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from bon.answers import number
from bon.store.convert.labels import labelled
from bon.store.convert.template import filled
from bon.store.jsonl import read_jsonl, read_rows
from bon.store.lines import PathLike, bad_line
from bon.types import Candidate, Pool, Prompt, as_messages

__all__ = ["gsm8k", "gsm8k_solutions", "math500"]

SUM_TEMPLATE = "{prompt}\n\nWork it out step by step. End with one line: Answer: <number>"
FORMULA_TEMPLATE = "{prompt}\n\nReason step by step, and put your final answer in \\boxed{}."


class _Sum(msgspec.Struct):
    question: str
    answer: str


class _Solution(msgspec.Struct):
    solution: str
    is_correct: bool


class _Competition(msgspec.Struct):
    problem: str
    answer: str
    solution: str
    level: str
    subject: str
    unique_id: str


def gsm8k(path: PathLike, *, template: str = SUM_TEMPLATE) -> Iterator[Prompt]:
    """Prompts `gsm8k/<place>` from `test.jsonl` or `train.jsonl`; the worked solution is kept in the metadata."""
    decode = msgspec.json.Decoder(_Sum).decode
    for place, (line, row) in enumerate(read_rows(path, decode)):
        yield Prompt(
            id=f"gsm8k/{place}",
            messages=as_messages(filled(template, row.question)),
            reference=_stated(row.answer, "####", path, line),
            metadata={"solution": row.answer},
        )


def gsm8k_solutions(path: PathLike, *, template: str = "{prompt}") -> Iterator[Pool]:
    """Pools `gsm8k/<place>` from `example_model_solutions.jsonl`: a candidate a model, each labelled.

    What the models were asked is the question alone. Scorer `correct` is the recorded label, 1 or 0.
    """
    for place, (line, row) in enumerate(read_jsonl(path)):
        try:
            question, worked = str(row.pop("question")), str(row.pop("ground_truth"))
            drawn = msgspec.convert(row, dict[str, _Solution])
        except KeyError as error:
            raise bad_line(path, line, f"no {error}: is this example_model_solutions.jsonl?") from error
        except msgspec.ValidationError as error:
            raise bad_line(path, line, f"{error}: each model has a solution and is_correct") from error
        prompt = Prompt(
            id=f"gsm8k/{place}",
            messages=as_messages(filled(template, question)),
            reference=_stated(worked, "A:", path, line),
            metadata={"solution": worked},
        )
        yield labelled(
            prompt,
            [
                (
                    Candidate(index=index, text=one.solution, answer=number(one.solution), generator=maker),
                    one.is_correct,
                )
                for index, (maker, one) in enumerate(drawn.items())
            ],
        )


def math500(path: PathLike, *, template: str = FORMULA_TEMPLATE) -> Iterator[Prompt]:
    """Prompts `math500/<place>`; level, subject, unique_id and the worked solution are kept in the metadata."""
    decode = msgspec.json.Decoder(_Competition).decode
    for place, (_, row) in enumerate(read_rows(path, decode)):
        metadata: dict[str, Any] = msgspec.to_builtins(row)
        problem, answer = metadata.pop("problem"), metadata.pop("answer")
        yield Prompt(
            id=f"math500/{place}",
            messages=as_messages(filled(template, problem)),
            reference=answer,
            metadata=metadata,
        )


def _stated(worked: str, mark: str, path: PathLike, line: int) -> str:
    """The number that a worked solution states after its mark."""
    _, found, end = worked.rpartition(mark)
    answer = number(end) if found else None
    if answer is None:
        raise bad_line(path, line, f"the worked solution has no number after {mark!r} at its end: {worked[-60:]!r}")
    return answer
