"""The scorer `expression`: whether an arithmetic expression has the value that is wanted, of the numbers it may use.

Nothing is evaluated as a program: an expression is tokens of numbers, + - * / and brackets, worked out in rationals.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from bon import answers
from bon.answers.marks import boxed_content
from bon.errors import UsageError
from bon.protocols import Scorer
from bon.score.lift import pointwise
from bon.score.rules.expressions import Token, chains, tokens, value
from bon.types import Candidate, Prompt, Score

__all__ = ["expression"]

_USES = ("all", "some", "any")
_ANSWER = re.compile(r"^[\s*_]*(?:final\s)?answer[\s*_]*:[\s*_]*", re.IGNORECASE)


def expression(*, target: str | float | None = None, use: str = "all") -> Scorer:
    """Whether the expression of the answer comes to the target, of the given numbers alone: 1 or 0, with the reason.

    The expression is `Candidate.answer`, else what stands in the last box, else in the last line, before an equals sign
    if there is one. The target is `target`, else the prompt's metadata `target`, else its reference; without one there
    is no score. Where the metadata has `numbers`, `use` says how many of them: "all" (each exactly once: Game of 24),
    "some" (each at most once: Countdown) or "any" (others too). Worked out exactly, so 8/(3-8/3) is 24. Raises
    UsageError.
    """
    if use not in _USES:
        raise UsageError(f"use is {use!r}; it must be one of {', '.join(_USES)}")
    wanted = None if target is None else _number(target)
    if target is not None and wanted is None:
        raise UsageError(f"target is {target!r}; it must be a number")

    def scored(prompt: Prompt, candidate: Candidate) -> Score:
        goal = _target(prompt) if wanted is None else wanted
        if goal is None:
            return Score.missing("no target: neither the metadata's target nor the reference is a number")
        given = _given(prompt)
        if isinstance(given, str):
            return Score.missing(given)
        found = _expression(candidate)
        came = value(found, {})
        if came is None:
            return Score(value=0.0, reason="unparsed")
        if given is not None and use != "any" and (wrong := _misused(found, given, use)):
            return Score(value=0.0, reason=wrong)
        right = came == goal
        return Score(value=float(right), reason=f"it is {_shown(came)}{'' if right else f', not {_shown(goal)}'}")

    return pointwise(scored, name="expression")


def _target(prompt: Prompt) -> Fraction | None:
    stated = prompt.metadata.get("target", prompt.reference)
    return None if stated is None else _number(stated)


def _given(prompt: Prompt) -> Counter[Fraction] | str | None:
    """The numbers that a prompt gives; None where it gives none, and what is wrong where they are no numbers."""
    given = prompt.metadata.get("numbers")
    if given is None:
        return None
    numbers = [_number(each) for each in given] if isinstance(given, list | tuple) else [None]
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers):
        return f"the metadata's numbers are {given!r:.80}, which is no list of numbers"
    return Counter(known)


def _number(stated: object) -> Fraction | None:
    """A number as it stands in metadata, a spec or a reference, exactly; None for what is none."""
    if isinstance(stated, bool):
        return None
    found = answers.number(str(stated))
    return None if found is None else Fraction(found)


def _expression(candidate: Candidate) -> Sequence[Token]:
    """The tokens of the expression that a candidate answers with; none where there is none."""
    if candidate.answer is not None:
        return tokens(candidate.answer.partition("=")[0])
    boxed = tokens((boxed_content(candidate.text) or "").partition("=")[0].strip())
    if len(boxed) > 1:  # a number alone is what the expression comes to
        return boxed
    last = candidate.text.strip().rpartition("\n")[2]
    bare = _ANSWER.sub("", last)
    whole = tokens(bare.partition("=")[0].strip(" *_`"))
    if whole or bare != last:
        return whole
    members = [chain.members[0] for chain in chains(last)]
    return members[-1] if members else ()


def _misused(found: Sequence[Token], given: Counter[Fraction], use: str) -> str:
    """What is wrong with the numbers of an expression; "" where nothing is."""
    used = Counter(token.number for token in found if token.number is not None)
    if used == given or (use == "some" and used <= given):
        return ""
    return f"it uses {_listed(used)}, not {'some of ' if use == 'some' else ''}{_listed(given)}"


def _listed(numbers: Counter[Fraction]) -> str:
    return f"{' '.join(map(_shown, sorted(numbers.elements()))):.80}"


def _shown(number: Fraction) -> str:
    """A number for people; Python refuses to write out one of thousands of digits."""
    return "a huge number" if max(abs(number.numerator), number.denominator) >= 10**40 else str(number)
