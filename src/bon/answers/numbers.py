"""Plain numbers in text, as exact rationals: where they are, and the one string that all equal ones share."""

from __future__ import annotations

import re
from fractions import Fraction

__all__ = ["first_number", "last_number", "plain", "quantity"]

_LONGEST = 300  # characters: what is longer is no answer, and reading it would take quadratic time

# What does not count: digits glued to letters (CO2), exponents, dates, versions. A minus after a digit, a letter or a
# closing bracket is a subtraction. Quantifiers are possessive or bounded, so that no text makes the search backtrack.
_NUMBER = re.compile(
    r"""(?=[-+$€£¥.0-9]) (?<![\w.^/]) (?<!\^\{)
        (?P<sign> (?<![\w)\]}]) [-+]?\s? [$€£¥]?\s? -? )
        (?: (?P<whole>[0-9]++) \s (?=[0-9]+/[0-9]) )?                    # 1 1/2
        (?P<digits> [0-9]{1,3} (?:,[0-9]{3})++ (?![0-9]) (?:\.[0-9]++)? | [0-9]++ (?:\.[0-9]++)? | \.[0-9]++ )
        (?: [eE] (?P<exponent>[-+]?[0-9]{1,3}) (?!\w) )?
        (?: \s?/\s? (?P<below>[0-9]++) )?
        (?! \s?\^ | /[0-9] | \.[0-9] )""",
    re.VERBOSE,
)
_UNITS = re.compile(
    r"\s?[%°]?\s{0,3}(?:(?P<word>[A-Za-z]{1,60})[A-Za-z./' -]{0,60}(?:(?<=[A-Za-z])\^?[23²³])?)?[.!]?\s{0,3}"
)
_LETTER_UNITS = frozenset("mgshlLJNWVKCFA")
_SHORT_UNITS = re.compile(
    r"(?:[munkcd]?m|[mk]?g|[mcd]l|lbs?|oz|ft|in|yd|mi|hrs?|min|m?sec|ms|[ap]m|st|nd|rd|th|[mk]ph|rpm|sq|kwh?|k?hz|[kmgt]b"
    r"|usd|eur|gbp|deg|rad|mol|cal|pts|atm|k?pa|at|of|to|as|per)",
    re.IGNORECASE,
)
"""Units and particles of up to three letters; other letters after a number may be variables: 2xy, 3 ab, 4 x."""

_FRACTION = re.compile(r"\\[dtc]?frac\s?(?:\{\s?([0-9]+)\s?\}|([0-9]))\s?(?:\{\s?([0-9]+)\s?\}|([0-9]))")
_POWER_OF_TEN = re.compile(r"(?<=[0-9])\s?(?:\\times|\\cdot|[×*x])\s?10\s?\^\s?\{?\s?(-?[0-9]{1,3})\s?\}?")
_DRESS = re.compile(
    r"(?<!\\)\\(?:left|right|displaystyle|[,;:! ])|(?<=[0-9])\{,\}(?=[0-9])|\^\s?\{?\s?\\circ\s?\}?"
    r"|\\(?:text|textbf|textit|mathrm|mathbf|mbox)\s?\{([^{}]{0,200})\}"
)
_COMMAND = re.compile(r"\\[A-Za-z]+")
_ANY_COMMAND = "\u25a1"
_PRODUCT = ("\u221a", _ANY_COMMAND)


def plain(text: str) -> str:
    r"""The text with LaTeX's numbers as people type them: \frac12 as 1/2, 1{,}000 as 1000, 3 \times 10^8 as 3e8.

    What other commands there are become one sign that is no part of a number.
    """
    if "^" in text:
        text = _POWER_OF_TEN.sub(r"e\1", text)
    if "\\" in text or "{,}" in text:
        text = _FRACTION.sub(lambda found: f" {found[1] or found[2]}/{found[3] or found[4]}", text)
        text = _COMMAND.sub(_ANY_COMMAND, undressed(text).replace("\\$", "$").replace("\\%", "%"))
    return text.replace("\u2212", "-").replace("**", "")


def undressed(text: str) -> str:
    r"""LaTeX without what only dresses it: spacing, \left and \right, degree signs, \text and its like."""
    return _DRESS.sub(lambda found: f" {found[1]}" if found[1] else "", text)


def quantity(text: str) -> str | None:
    """The number that a bare answer is, currency and unit words aside; None if it is anything more."""
    bare = plain(text).strip(" \t\r\n*_`")
    for body in (bare, bare.strip("$ ")):  # a dollar sign is a currency, or the edge of a formula
        match = _NUMBER.match(body)
        rest = _UNITS.fullmatch(body, match.end()) if match else None
        if match and rest and _is_unit(rest["word"] or "", glued=rest.start("word") == match.end()):
            return _representative(match)
    return None


def _is_unit(word: str, *, glued: bool) -> bool:
    """Whether the first word after a number can be a unit: it is known, or too long for a product of variables."""
    if len(word) == 1:
        return word in _LETTER_UNITS and not glued  # 5m is a product, 5 m may be a length
    return not word or bool(_SHORT_UNITS.fullmatch(word)) or len(word) > (3 if glued else 2)


def first_number(text: str) -> str | None:
    """The first number of a text; None where there is none, or where it is part of a formula."""
    match = _NUMBER.search(plain(text))
    return _representative(match) if match and match.string[match.end() : match.end() + 1] not in _PRODUCT else None


def last_number(text: str) -> str | None:
    """The last number of a text; None where there is none."""
    found = None
    for match in _NUMBER.finditer(plain(text)):
        found = match
    return _representative(found) if found else None


def _representative(match: re.Match[str]) -> str | None:
    """The string of a matched number; None where it is none: a division by zero, or absurdly long."""
    if match.end() - match.start() > _LONGEST:
        return None
    value = Fraction(match["digits"].replace(",", ""))
    if match["exponent"]:
        value *= Fraction(10) ** int(match["exponent"])
    if match["below"]:
        if not int(match["below"]):
            return None
        value /= int(match["below"])
    value += int(match["whole"] or 0)
    return _shown(-value if "-" in match["sign"] else value)


def _shown(value: Fraction) -> str:
    """A rational as an integer, a decimal where it terminates, else a fraction in lowest terms."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    places = max(twos, fives)
    if rest != 1 or not places:
        return str(value)
    digits = str(abs(value) * 10**places).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"
