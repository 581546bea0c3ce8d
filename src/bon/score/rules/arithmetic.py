"""Checks the sums that a solution works out step by step, exactly: a process reward that needs no model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

from bon.errors import UsageError
from bon.score.process.aggregate import first_error
from bon.score.process.steps import SPLITTERS, steps_of
from bon.score.rules.expressions import Token, chains, tokens, value
from bon.score.rules.words import LONGEST
from bon.types import Candidate, Prompt, Score

__all__ = ["arithmetic"]

_WRITTEN = re.compile(r"written as [\"“]([^\"“”\n]{1,500})[\"”]")
_FLOAT = 10**12
"""Numbers that calculators write agree to about a part in this many."""
_ANSWER = re.compile(r"answer is:?\s{1,3}(-?[0-9]{1,40}(?:,[0-9]{3})*(?:\.[0-9]{1,40})?)")


def arithmetic(prompt: Prompt, candidate: Candidate, *, steps: str = "auto") -> Score:
    """Whether no step has a sum in it that is wrong: 1 or 0; `steps` has the same of each step.

    In a chain of equations (`A = 2 * 3 + 1 = 7`) all members must be equal, worked out exactly; a decimal may be
    rounded. A capital letter stands for what was last said of it, right or wrong: only the step that goes wrong is.
    What a question that is a sum (`(2 + 3) * 4 =`) is `written as "A * B"` must have its value, and `the answer is`
    must be what its step came to. What cannot be read as a sum is no error. There is no score without a sum.

    `steps` says how the text is cut: auto, step, numbered, blank, newline or whole; of labelled data it is as the
    labels have it. The parts are `first_error` (from 0; -1: none), `equations` and how many of them are `wrong`.
    """
    if steps not in SPLITTERS:
        raise UsageError(f"steps is {steps!r}; it must be one of {', '.join(SPLITTERS)}")
    if len(candidate.text) > LONGEST:
        return Score.missing(f"longer than {LONGEST} characters")
    named: dict[str, Fraction] = {}
    question = _question(prompt.text[:LONGEST])
    found = [list(_checked(step, named, question)) for step in steps_of(prompt, candidate, steps)]
    equations = [each for step in found for each in step]
    if not equations:
        return Score.missing("no sum that can be worked out")
    right = tuple(float(not any(step)) for step in found)
    wrong = [each for each in equations if each]
    first = first_error(right)
    return Score(
        value=min(right),
        reason=f"step {first + 1}: {wrong[0]}" if wrong else "",
        steps=right,
        parts={"first_error": first, "equations": len(equations), "wrong": len(wrong)},
    )


def _checked(step: str, named: dict[str, Fraction], question: Fraction | None) -> Iterator[str]:
    """What is wrong with each equation of a step, "" where nothing is; what it says of letters is kept in `named`."""
    end, last = 0, None
    for chain in chains(step):
        values = [value(member, named) for member in chain.members]
        known = [(member, found) for member, found in zip(chain.members, values, strict=True) if found is not None]
        for (left, was), (right, now) in pairwise(known):
            yield "" if _equal(was, now, right) else f"{_text(left)} is {_shown(was)}, not {_text(right)}"
        if known and len(chain.members) > 1:
            end, last = chain.end, known[-1][1]
            named.update({member[0].text: last for member in chain.members if _is_name(member)})
    for whole in _WRITTEN.finditer(step) if question is not None else ():
        written = value(tokens(whole[1]), named)
        if written is not None:
            yield "" if written == question else f"{whole[1]:.40} is {_shown(written)}, not the question"
    stated = None if last is None else _ANSWER.search(step, end)
    if stated is not None and last is not None:
        answer = tokens(stated[1])
        came = value(answer, {})
        if came is not None:
            yield "" if _equal(last, came, answer) else f"it came to {_shown(last)}, the answer is {stated[1]:.40}"


def _question(text: str) -> Fraction | None:
    """The value of a question that is a sum: its last chain, with nothing after the equals sign."""
    found = list(chains(text))
    asked = found[-1].members if found else ()
    return value(asked[-2], {}) if len(asked) > 1 and not asked[-1] else None


def _equal(was: Fraction, now: Fraction, said: Sequence[Token]) -> bool:
    """Whether two values are equal; the second, `said` as one decimal, may be the first one rounded, or a float."""
    if was == now:
        return True
    decimal = [token for token in said if token.places]
    if len(decimal) != 1 or len(said) > 2:  # a number, and perhaps its sign
        return False
    return abs(was - now) <= max(Fraction(1, 2 * 10 ** decimal[0].places), abs(was) / _FLOAT)


def _is_name(member: Sequence[Token]) -> bool:
    return len(member) == 1 and member[0].number is None


def _text(member: Sequence[Token]) -> str:
    return f"{' '.join(token.text for token in member):.40}"


def _shown(number: Fraction) -> str:
    return f"{number!s:.40}"
