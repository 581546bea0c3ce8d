"""What can be told of two answers by their strings alone: numbers, choices, words, numerals of a base; pure."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from bon import answers
from bon.answers.numbers import plain as typed

__all__ = ["decided", "read", "standard", "stated"]

_DISPLAYED = re.compile(r"\$([^$]{1,200})\$|\\\(([^$]{1,200}?)\\\)|\\\[([^$]{1,200}?)\\\]")
_PROSE = re.compile(r"[^\W\d_]{2}")
_LISTED = re.compile(r"\b(?:or|and|pi|sqrt)\b")
_SEVERAL = re.compile(r"[A-Za-z]\s?=[^=,;]*[,;][\s$]*[A-Za-z]\s?=")
_BEYOND = re.compile(
    r"""\\(?: sqrt | pm | mp | pi | log | ln | exp | sin | cos | tan | cot | arc[a-z]{3} | binom | infty | overline )
          (?![A-Za-z])
    | \\[dt]?frac (?! \s?(?:\{\s?\d+\s?\}|\d) \s?(?:\{\s?\d+\s?\}|\d))
    | [√π±∞] | \b(?:pi|sqrt|or)\b | \d\s?[xyz]$ | [A-Za-z]\s?=
    | ^\(\s?(?!\d{1,3},\d{3}\b)[^(),]+(?:,[^(),]+)+\)$ | ^[\d.]+\s?[-:]\s?[\d.]+$""",
    re.VERBOSE,
)
"""What makes more of numbers than a number: of 2\\sqrt{3}, 3\\pi, ±2, "2 or 3" and (3, 4) none is the answer."""
_CHOICE = re.compile(r"[A-J]")
_NUMERAL = re.compile(r"(?P<digits>[0-9A-Za-z]{1,200})_\{?(?P<base>[0-9]{1,2})\}?")
_WORDS = re.compile(r"[^\W\d_]{2,}(?:[\s'][^\W\d_]+)*")
_NAMES = re.compile(r"\b(?:pi|sqrt|sin|cos|tan|log|ln|exp|or|and|in|infinity|inf|oo|theta|alpha|beta|phi)\b")
_PRODUCT = re.compile(r"(?!(?:no|on|yes)$)[a-z]{2,3}")
"""Words of formulas, and letters that may be a product: what holds one may be a formula."""


@lru_cache(maxsize=4096)  # all candidates of a prompt have one reference
def stated(reference: str) -> str | None:
    """The answer of a reference: what a worked solution announces, or all of a bare one."""
    announced = answers.boxed(reference) or answers.marked(reference)
    return answers.any(reference) if announced else answers.representative(reference)


def read(text: str, reference: str) -> str | None:
    """The answer of a text, in the light of a reference: where that is a number, the final number counts.

    A box, a mark or, without these, a last formula that holds something else is an answer all the same: it may be worth
    the number, and where it is not no part of it counts.
    """
    if not _is_number(reference):
        return answers.any(text)
    if (formula := _formula(text)) is not None:
        return formula
    found = answers.number(text)
    if found is None and (answers.boxed(text) or answers.marked(text)):
        found = answers.any(text)
        return found if found and _is_formula(found) else None
    return found


def _formula(text: str) -> str | None:
    """What a text announces, or its last formula that holds its last number, where no number in it is the answer."""
    if answers.boxed(text):
        return None
    said = next(iter(answers.marked(text)), None)
    if said is None:
        found = [*_DISPLAYED.finditer(text)] if "\\" in text else []
        said = "".join(found[-1].groups("")) if found else ""
        if answers.number(said) != answers.number(text):
            return None
    side = (said if _SEVERAL.search(said) else said.rpartition("=")[2]).strip(" \t*_.$")
    bare = not _PROSE.search(_LISTED.sub(" ", typed(side)))
    return answers.representative(side) if bare and _BEYOND.search(side) else None


def decided(answer: str, reference: str) -> bool | None:
    """Whether two representatives mean the same; None where they are formulas, of which strings do not tell.

    Numbers and choices are the same exactly when their representatives are equal: a number's is its exact rational.
    Words are, too. Numerals with a base have their value; against one without a base the digits count.
    """
    if answer == reference:
        return True
    if (_is_number(answer) and _is_number(reference)) or _CHOICE.fullmatch(reference):
        return False
    if _NUMERAL.fullmatch(reference) or (_NUMERAL.fullmatch(answer) and _is_number(reference)):
        return _same_numeral(answer, reference)
    if not (_is_formula(answer) and _is_formula(reference)):
        return False
    return None


def standard(answer: str) -> str | None:
    """The one string of all that mean the same as a representative, where it is no formula; None where it is."""
    numeral = _NUMERAL.fullmatch(answer)
    if numeral and _value(numeral) is not None:
        return f"{numeral['digits'].lower().lstrip('0')}_{numeral['base']}"
    if _is_number(answer) or _CHOICE.fullmatch(answer) or not _is_formula(answer):
        return answer
    return None


@lru_cache(maxsize=4096)
def _is_number(representative: str) -> bool:
    return answers.number(representative) == representative


def _is_formula(answer: str) -> bool:
    """Whether an answer can be a formula; what is plainly words cannot, though its letters would be read as factors."""
    return not _WORDS.fullmatch(answer) or bool(_NAMES.search(answer) or _PRODUCT.fullmatch(answer))


def _same_numeral(answer: str, reference: str) -> bool | None:
    """Whether two numerals are the same; None where a subscript is no base (x_1), or the other is no numeral."""
    one, other = _NUMERAL.fullmatch(answer), _NUMERAL.fullmatch(reference)
    values = [_value(found) for found in (one, other) if found]
    if None in values:
        return None
    if one and other:
        return values[0] == values[1]
    if other and re.fullmatch(r"[0-9A-Za-z]+", answer):
        return answer.lower() == other["digits"].lower().lstrip("0")  # the question has said the base
    bare = answer if other else reference
    return Fraction(bare) == values[0] if _is_number(bare) else None


def _value(numeral: re.Match[str]) -> int | None:
    """The value of a numeral; None where its digits are none of its base."""
    try:
        return int(numeral["digits"], int(numeral["base"]))
    except ValueError:
        return None
