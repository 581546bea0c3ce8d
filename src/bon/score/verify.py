"""Verifiers: whether a candidate's answer is the prompt's reference. An unreadable answer is wrong, not unscored."""

from __future__ import annotations

import re

from bon import answers
from bon.score.lift import pointwise
from bon.types import Candidate, Prompt, Score

__all__ = ["equivalent", "math"]

_CHOICE = re.compile(r"[A-J]")


def equivalent(answer: str, reference: str) -> bool | None:
    """Whether two representatives mean the same; None where that cannot be told.

    Numbers and choices are the same exactly when their representatives are equal: a number's is its exact rational.
    Of other answers only equal ones can be told to be the same.
    """
    if answer == reference:
        return True
    return False if _is_number(reference) or _CHOICE.fullmatch(reference) else None


@pointwise
def math(prompt: Prompt, candidate: Candidate) -> Score:
    """Whether the answer is the prompt's reference: 1 or 0, compared exactly; 0 with "unparsed" if it has none.

    The answer is what the extractor read (`Candidate.answer`), else it is read from the text. Without a reference
    there is no score, nor where answer and reference are different formulas.
    """
    if prompt.reference is None:
        return Score.missing("no reference")
    reference = _stated(prompt.reference)
    if reference is None:
        return Score.missing("the reference is empty")
    if candidate.answer is not None:
        found = answers.representative(candidate.answer)
    else:
        found = answers.number(candidate.text) if _is_number(reference) else answers.any(candidate.text)
    if found is None:
        return Score(value=0.0, reason="unparsed")
    same = equivalent(found, reference)
    if same is None:
        return Score.missing(f"{found!r:.80} and {reference!r:.80} cannot be compared: only numbers and choices can")
    return Score(value=float(same), reason=f"{found:.80} {'is' if same else 'is not'} {reference:.80}")


def _stated(reference: str) -> str | None:
    """The answer of a reference: what a worked solution announces, or all of a bare one."""
    announced = answers.boxed(reference) or answers.marked(reference)
    return answers.any(reference) if announced else answers.representative(reference)


def _is_number(representative: str) -> bool:
    return answers.number(representative) == representative
