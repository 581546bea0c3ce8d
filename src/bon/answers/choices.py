"""The letter of a multiple-choice answer, A to J, in the forms in which models write it."""

from __future__ import annotations

import re

from bon.answers.numbers import undressed

__all__ = ["chosen", "letter"]

_LETTER = re.compile(
    r"""[\s*_"'$]{0,6} (?: (?:option|choice)\s{1,4} )? [*_]{0,3}
        (?: [(\[]\s? (?P<inner>[A-Ja-j]) \s?[)\]] | (?P<bare>[A-J]) (?![\w('’]) )
        (?! \s?[=+*/^<>]\s?[\w(\\] )                                              # a formula
        (?! [*_]{0,3}\s{0,4} (?:and|or|,|&|/)\s{0,4} [(\[]?[A-J]\b )              # two letters are no choice""",
    re.VERBOSE,
)
_NO_WORD = re.compile(r"\s{0,4}(?:$|[^\w\s]|\b(?:because|since|as)\b)")
_OPTION = re.compile(r"\b(?:option|choice)\s{1,4}\(?([A-J])\)?(?!\w)")
_ALONE = re.compile(r"^[\s*_\"']{0,6}(?:([A-J])|[(\[]([A-Ja-j])[)\]])[\s*_\"'.)]{0,6}$", re.MULTILINE)
_LEADING = re.compile(r"[\s*_\"']{0,6}(?:\(([A-J])\)|([A-J])[.):])")


def letter(segment: str) -> str | None:
    """The choice that a marked segment begins with."""
    text = undressed(segment)
    match = _LETTER.match(text)
    if not match or (match["bare"] in ("A", "I") and not _NO_WORD.match(text, match.end())):
        return None  # "A" and "I" are words too
    return str(match["inner"] or match["bare"]).upper()


def chosen(text: str) -> str | None:
    """The choice of a text without a mark: "option B", a letter alone on a line, or a letter at its start."""
    found = _OPTION.findall(text)
    if not found:
        found = [bare or inner for bare, inner in _ALONE.findall(text)]
    if not found and (match := _LEADING.match(text)):
        found = [match[1] or match[2]]
    return str(found[-1]).upper() if found else None
