"""Solutions whose steps are labelled, to learn from: TRL's stepwise rows, PRM800K's ratings, Math-Shepherd's tags.

Lightman et al. 2023, "Let's Verify Step by Step"; Wang et al. 2024, "Math-Shepherd: Verify and Reinforce LLMs
Step-by-step without Human Annotations". Shapes as in TRL's guide to data set formats (stepwise supervision), in the
README of openai/prm800k, and in the card of peiyi9979/Math-Shepherd.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from bon.errors import DataError
from bon.store.convert.labels import kept, read, thumbprint
from bon.store.convert.processes import solution
from bon.store.sources.row import Row
from bon.types import Message, Pool, Prompt, as_messages

__all__ = ["math_shepherd", "prm800k", "stepwise"]

_TAG = "ки"
"""What ends a step in Math-Shepherd."""
_MARKS = {"+": 1.0, "-": 0.0}
_FIRST_STEP = re.compile(r"(?:^|\s)(?=Step 1\b)")
_WRONG_BELOW = 0.5
"""A soft label below it says that the step is wrong."""


class _Completion(msgspec.Struct):
    text: str
    rating: int | None = None


class _Step(msgspec.Struct):
    completions: list[_Completion] | None = None
    human_completion: _Completion | str | None = None
    chosen_completion: int | None = None


class _Label(msgspec.Struct):
    steps: list[_Step]
    finish_reason: str = ""


class _Question(msgspec.Struct):
    problem: str


class _PRM800K(msgspec.Struct):
    question: _Question
    label: _Label


class _MathShepherd(msgspec.Struct):
    input: str
    label: str
    task: str = ""


def stepwise(row: Row) -> Iterator[Pool]:
    """A pool a row of `prompt` (text or messages), `completions` (the steps) and `labels`, one a step.

    A label is true or false, or how likely the step is right, in [0, 1]: it is kept as the step's mark. The metadata
    holds `steps`, `first_error`, `group` (the prompt) and the other columns.
    """
    prompt, steps, labels = (row.value.get(name) for name in ("prompt", "completions", "labels"))
    if not isinstance(steps, list) or not all(isinstance(step, str) and step.strip() for step in steps):
        raise DataError(f"completions are {steps!r:.80}: wanted are the steps of a solution, texts that say something")
    if not isinstance(labels, list) or len(labels) != len(steps):
        raise DataError(f"labels are {labels!r:.80}: wanted is one for each of {len(steps)} completions")
    more = kept(row, ("prompt", "completions", "labels", "id"))
    yield _labelled("stepwise", _asked(prompt), steps, [_mark(label) for label in labels], more)


def prm800k(row: Row, *, neutral: Literal["right", "wrong"] = "right") -> Iterator[Pool]:
    """Pools of the solutions that a labelled trajectory holds: what was chosen at every step, and each alternative.

    An alternative is a solution that ends with it, for what would have followed is not known. A rating of 1 is right,
    -1 is wrong, and 0 (not wrong, and no progress) is `neutral`. Completions that nobody rated, and solutions on from
    one, are left out. The metadata holds `group` (the problem), `steps`, `first_error` and `finish_reason`.
    """
    if neutral not in ("right", "wrong"):
        raise DataError(f"neutral is {neutral!r}: it must be right or wrong")
    one = read(row, _PRM800K)
    marks = {1: 1.0, 0: float(neutral == "right"), -1: 0.0}
    more = {"finish_reason": one.label.finish_reason}
    asked = as_messages(one.question.problem)
    for path in _paths(one.label.steps):
        labels = [marks[step.rating] for step in path if step.rating in marks]
        if len(labels) != len(path):
            raise DataError(f"ratings are {[step.rating for step in path]!r}: wanted are 1, 0 and -1")
        yield _labelled("prm800k", asked, [step.text for step in path], labels, more)


def math_shepherd(row: Row) -> Iterator[Pool]:
    """A pool a row: `input` has the question and steps that end in the tag, `label` a + or - in each tag's place.

    The metadata holds `subset` (the task), `group` (the question), `steps` and `first_error`.
    """
    one = read(row, _MathShepherd)
    *pieces, rest = one.input.split(_TAG)
    labels, place = list[float](), 0
    for piece in pieces:
        place += len(piece)
        mark = one.label[place : place + 1]
        if not one.label.startswith(piece, place - len(piece)) or mark not in _MARKS:
            raise DataError(f"label goes on with {one.label[place - len(piece) : place + 1]!r:.80}, input with another")
        labels.append(_MARKS[mark])
        place += 1
    opening = _FIRST_STEP.search(pieces[0]) if pieces else None
    if opening is None or rest.strip():
        raise DataError(f"input is {one.input!r:.80}: wanted are a question, then 'Step 1: ...' and on, each to a tag")
    steps = [pieces[0][opening.end() :], *pieces[1:]]
    more = {"subset": one.task} if one.task else {}
    asked = as_messages(pieces[0][: opening.start()].strip())
    yield _labelled("math-shepherd", asked, [step.strip() for step in steps], labels, more)


def _asked(prompt: Any) -> tuple[Message, ...]:
    if isinstance(prompt, str) and prompt:
        return as_messages(prompt)
    if (
        not isinstance(prompt, list)
        or not prompt
        or not all(isinstance(one, Mapping) and "role" in one for one in prompt)
    ):
        raise DataError(f"prompt is {prompt!r:.80}: wanted is a text, or messages with a role and a content")
    return tuple(prompt)


def _mark(label: Any) -> float:
    if not isinstance(label, bool | int | float) or not 0 <= label <= 1:
        raise DataError(f"label {label!r:.40}: wanted is true or false, or how likely the step is right, from 0 to 1")
    return float(label)


def _paths(steps: Sequence[_Step]) -> Iterator[list[_Completion]]:
    """The solutions that a trajectory holds, each rated to its end: those that end early first."""
    path: list[_Completion] = []
    for place, step in enumerate(steps):
        completions = step.completions or []
        chosen = step.chosen_completion
        if chosen is not None and not 0 <= chosen < len(completions):
            raise DataError(f"chosen_completion is {chosen} of {len(completions)} at step {place}, counted from 0")
        taken = _written(step.human_completion) if chosen is None else completions[chosen]
        last = place == len(steps) - 1
        offered = completions if chosen is not None or taken is None else [*completions, taken]
        for one in offered:
            if one.rating is not None and (one is not taken or last):
                yield [*path, one]
        if taken is None or taken.rating is None:
            return
        path.append(taken)


def _written(step: _Completion | str | None) -> _Completion | None:
    """A step of a human's own, which is right unless somebody rated it otherwise."""
    text, rating = (step, None) if isinstance(step, str) else (step.text, step.rating) if step else ("", None)
    return _Completion(text=text, rating=1 if rating is None else rating) if text else None


def _labelled(
    name: str, asked: tuple[Message, ...], steps: Sequence[str], labels: Sequence[float], more: Mapping[str, Any]
) -> Pool:
    first = next((place for place, label in enumerate(labels) if label < _WRONG_BELOW), None)
    prompt = Prompt(
        id=f"{name}/{thumbprint(asked, [*steps], [*labels])}",
        messages=asked,
        metadata={"benchmark": name, "group": f"{name}/{thumbprint(asked)}", **more},
    )
    return solution(prompt, steps, correct=first is None, first_error=first, marks=tuple(labels))
