r"""Reads the final answer out of a text: pure, linear in its length, never raising; what it cannot read is None.

Equivalent answers share one string, their representative, so that "the same answer" is string equality everywhere:

- a plain number is an exact rational: an integer without separators ("1,000", "1000.0" and "$1000" are "1000"), a
  decimal where it terminates ("1/2", ".50" and "\frac12" are "0.5"), else a fraction in lowest terms ("2/6" is "1/3");
  currency, a percent sign and unit words are dropped ("50%" is "50", "18 eggs" is "18");
- a choice is its capital letter, A to J;
- a formula loses its spaces and what only dresses it; plain words lose their case.

A mark announces an answer: \boxed{}, "####" before a number, "A:" at the start of a line, "answer:", "the answer is".
A box counts before the others, of several of a kind the last one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from bon.answers.choices import chosen, letter
from bon.answers.marks import boxed_content, marked
from bon.answers.numbers import first_number, last_number, plain, quantity, undressed
from bon.answers.programs import program
from bon.errors import SpecError, UsageError
from bon.protocols import Extractor

__all__ = ["EXTRACTORS", "any", "boxed", "choice", "code", "extractor", "marked", "number", "regex", "representative"]

_SHORT = 100  # characters; an answer in words that is longer is an explanation

_ASIDE = re.compile(r",?\s(?:because|since|which|where|so)\b|,\s(?=[A-Za-z])")
_FORMULA = re.compile(r"[=^+*/<>()\[\]{}|]|[0-9]\s?!|[0-9]\s?,|\b\w\s-\s\w\b")
_PROSE = re.compile(r"[^\W\d_]{2}")
_WORDS = re.compile(r"[^\W\d_](?:[^\W\d_]|[' -])+")
_FACTORIAL = re.compile(r"[0-9)}]\s?!$")
_SPACE = re.compile(r"(?:(?<=[A-Za-z]{2})\s+(?=[A-Za-z])|(?<=[A-Za-z])\s+(?=[A-Za-z]{2}))|(\s+)")
"""The space between words, one of them a command perhaps (\\sqrt x), which stays; and in a group all other."""


def number(text: str) -> str | None:
    r"""The final number: the content of the last \boxed{}, else what the last mark announces, else the last number.

    A box that holds something else is an answer that is no number.
    """
    if box := boxed_content(text):
        return None if _is_factorial(box) else quantity(_right_side(box))
    for segment in marked(text):
        if found := _announced_number(segment):
            return found
    return last_number(text)


def boxed(text: str) -> str | None:
    r"""The content of the last complete \boxed{}, its braces nested as they may be; None if it is empty."""
    content = boxed_content(text)
    return representative(content) if content else None


def choice(text: str) -> str | None:
    r"""The letter chosen: "The answer is (B)", \boxed{B}, "option B", "B" on a line alone, "B. Paris"; never two."""
    for segment in (boxed_content(text) or "", *marked(text)):
        if found := letter(segment):
            return found
    return chosen(text)


def code(text: str) -> str | None:
    """The last fenced Python block (else the last fence of another kind), or the whole text if it is Python itself."""
    return program(text)


def any(text: str) -> str | None:  # noqa: A001  # so that it reads `answers.any`
    r"""Whatever answer there is: \boxed{}, what the last mark announces, a choice, a number, else a short text itself.

    A long text with none of these has no answer to read.
    """
    if found := boxed(text):
        return found
    for segment in marked(text):
        if found := letter(segment) or _announced(segment):
            return found
    short = len(text.strip()) <= _SHORT and "\\boxed" not in text
    bare = quantity(text) or representative(text) if short and "=" not in _right_side(text) else None
    if bare and not _PROSE.search(plain(text)):
        return bare
    return chosen(text) or last_number(text) or bare


def regex(pattern: str) -> Extractor:
    """An extractor of a pattern's last match: its first group if it has one, else all of it; numbers are numbers.

    The pattern is trusted: one that backtracks without end does so here too. Raises `UsageError` if it is malformed.
    """
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"{pattern!r} is not a regular expression: {error}") from error

    def extract(text: str) -> str | None:
        found: str | None = None
        for match in compiled.finditer(text):
            found = match[1] if compiled.groups else match[0]
        return None if found is None else quantity(found) or found.strip() or None

    return extract


EXTRACTORS: Mapping[str, Extractor] = MappingProxyType(
    {"number": number, "boxed": boxed, "choice": choice, "code": code, "any": any}
)
"""By name; `extractor` reads `regex:PATTERN` too."""


def extractor(name: str) -> Extractor:
    """The extractor of that name, or of `regex:PATTERN`. Raises `SpecError` for a name that is none."""
    kind, colon, pattern = name.partition(":")
    if kind == "regex" and colon:
        return regex(pattern)
    if name not in EXTRACTORS:
        raise SpecError(f"no extractor is called {name!r}; there are {', '.join(EXTRACTORS)} and regex:PATTERN")
    return EXTRACTORS[name]


def representative(answer: str) -> str | None:
    """The one string of all answers equivalent to this bare one; None for an empty one."""
    bare = _right_side(answer)
    if (found := quantity(bare)) and not _is_factorial(bare):
        return found
    body = undressed(bare).replace("$", "").strip(" \t\r\n*_`\"'.")
    if re.fullmatch(r"[A-J]|[(\[]?\s?[A-Ja-j]\s?[)\]]", body):
        return body.strip("()[] ").upper()
    body = body.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
    if "\\" in body or (_FORMULA.search(body) and not _PROSE.search(body)):
        return _SPACE.sub(lambda space: "" if space[1] else " ", body.strip()) or None
    body = " ".join(body.split())
    return (body.casefold() if _WORDS.fullmatch(body) else body) or None


def _right_side(answer: str) -> str:
    """The right side of "x = 5" or "2 + 3 = 5"; everything else as it is."""
    left, equals, right = answer.rpartition("=")
    left = plain(left).strip(" \t$")
    is_name = len(left) == 1 and left.isalpha()
    if not equals or not right.strip():
        return answer
    is_sum = not re.search(r"[^\W\d_]|[,;=]", left) and quantity(right) is not None
    return right if is_name or is_sum else answer


def _is_factorial(answer: str) -> bool:
    """Whether a bare answer ends with a factorial: in a box or a reference nobody exclaims."""
    return _FACTORIAL.search(answer[-8:].rstrip(" \t\r\n$*_`")) is not None


def _announced_number(segment: str) -> str | None:
    """The number of a marked segment: all of it but an aside, or the first one of a sentence."""
    found = quantity(_ASIDE.split(_right_side(segment), maxsplit=1)[0])
    if not found and _PROSE.search(plain(segment)):
        found = first_number(segment.rpartition("=")[2])
    return found


def _announced(segment: str) -> str | None:
    """The answer of a marked segment: a number with an aside is the number, a long explanation its first number."""
    if found := quantity(_ASIDE.split(segment, maxsplit=1)[0]):
        return found
    return representative(segment) if len(segment.strip()) <= _SHORT else _announced_number(segment)
