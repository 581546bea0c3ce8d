"""Arithmetic in running text: the chains of equal expressions in it, and their exact values; pure."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Chain", "Token", "chains", "tokens", "value"]

_LONGEST = 200
"""Tokens of an expression, and characters of a number: what is longer is no sum that a person would write."""
_LATEX = re.compile(r"\\(times|cdot|div|left|right|[()\[\]$])")
_STARS = {"times": "*", "cdot": "*", "div": "/"}
_SIGNS = str.maketrans(
    {"\u2212": "-", "\u2013": "-", "\u00d7": "*", "\u00f7": "/", "\u00b7": "*", "$": None, "€": None, "£": None}
)
_TIMES = re.compile(r"(?<=[0-9)]) ?x ?(?=[0-9(])")
_TOKEN = re.compile(
    r"""(?P<number> (?<![\w.]) (?: [0-9]{1,3}(?:,[0-9]{3})++(?![0-9]) | [0-9]++ ) (?:\.[0-9]++)? (?!\.?\w) )
      | (?P<name> (?<!\w) [A-Z] (?!\w) )
      | (?P<sign> [-+/()=] | (?<!\*)\*(?!\*) )
      | (?P<space> [^\S\n]++ )""",
    re.VERBOSE,
)
_BEFORE = re.compile(
    r"""(?: [\w}\]|%!^√] | \w\*\* | \*\*[^\S\n]
          | (?:\\[A-Za-z]+ | \b(?:of|by|times|plus|minus|over|per|than|from|mod)) [^\S\n]* ) $""",
    re.VERBOSE | re.IGNORECASE,
)
"""What an expression goes on from, so that it is not all there is: a power, a bracket, "half of"."""
_BEFORE_SIGN = re.compile(r"[\w%}\]][^\S\n]*$")
_BULLET = re.compile(r"(?:^|\n)[^\S\n]*[-+*][^\S\n]$")
_AFTER = re.compile(r"[^\S\n]*(?:[%^!\\]|mod\b)|[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Token:
    """A number, the name of a quantity (one capital letter), or a sign."""

    text: str
    number: Fraction | None = None
    places: int = 0
    """Digits after the point."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Expressions that a text says are equal: `A = 2 + 3 = 5` has three members."""

    members: tuple[tuple[Token, ...], ...]
    """Empty where there is none, or none that can be told from the words around it."""
    end: int
    """Where in the text, as `chains` reads it, it ends."""


def chains(text: str) -> Iterator[Chain]:
    """The chains of a text, those of one member too, in its order.

    An expression is what stands between other things: words, commas, quotes. Where it may go on in words before its
    first member or after its last one, that member is left out.
    """
    plain = _plain(text)
    run, begin, end, next_to = list[Token](), 0, 0, 0
    for start, stop, token in _found(plain):
        if run and start > next_to:
            yield from _chain(plain, run, begin, end)
            run = []
        if token is not None:
            begin = begin if run else start
            run.append(token)
            end = stop
        next_to = stop  # a space belongs to what it stands in
    if run:
        yield from _chain(plain, run, begin, end)


def tokens(text: str) -> tuple[Token, ...]:
    """The tokens of a text that is one expression; none where there is anything else in it."""
    plain = _plain(text)
    made, end = list[Token](), 0
    for start, stop, token in _found(plain):
        if start > end:
            return ()
        end = stop
        if token is not None:
            made.append(token)
    return tuple(made) if end == len(plain) else ()


def value(expression: Sequence[Token], named: Mapping[str, Fraction]) -> Fraction | None:
    """The exact value of an expression; None where it is none, or has none (a name without a value, a division by 0).

    Python's own grammar says in which order; the numbers themselves it never sees, and they stay exact.
    """
    if not 0 < len(expression) <= _LONGEST:
        return None
    operands: dict[str, Fraction | None] = {}
    written = list[str]()
    for token in expression:
        operand = token.number is not None or token.text.isalpha()
        written.append(f"_{len(operands)}" if operand else token.text)
        if operand:
            operands[written[-1]] = token.number if token.number is not None else named.get(token.text)
    try:
        return _worked_out(ast.parse(" ".join(written), mode="eval").body, operands)
    except (SyntaxError, MemoryError, RecursionError, ZeroDivisionError):
        return None


def _worked_out(node: ast.expr, operands: Mapping[str, Fraction | None]) -> Fraction | None:
    """The value of a node of a syntax tree that `_OPERATORS` and names make up; None where a name has none."""
    match node:
        case ast.Name(id=name):
            return operands[name]
        case ast.UnaryOp(op=sign, operand=inner):
            found = _worked_out(inner, operands)
            return found if found is None or isinstance(sign, ast.UAdd) else -found
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            one, other = _worked_out(left, operands), _worked_out(right, operands)
            return None if one is None or other is None else _OPERATORS[type(sign)](one, other)
    return None  # "2 (3)" is a call, "2 // 3" is not what is meant


_OPERATORS: Mapping[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def _plain(text: str) -> str:
    """The text with one character for each sign, however it is written, and without signs of money."""
    if "\\" in text:
        text = _LATEX.sub(lambda found: _STARS.get(found[1], ""), text)
    return _TIMES.sub("*", text.translate(_SIGNS))


def _found(plain: str) -> Iterator[tuple[int, int, Token | None]]:
    """Where each token is, and None for a space."""
    for found in _TOKEN.finditer(plain):
        start, stop = found.span()
        if found["space"]:
            yield start, stop, None
        elif found["number"] is None:
            yield start, stop, Token(found[0])
        elif stop - start <= _LONGEST:
            digits = found["number"].replace(",", "")
            yield start, stop, Token(found[0], Fraction(digits), len(digits.partition(".")[2]))


def _chain(plain: str, run: Sequence[Token], begin: int, end: int) -> Iterator[Chain]:
    """The chain that a run of tokens is, without the members that may go on in words."""
    members = [list[Token]()]
    for token in run:
        if token.text == "=":
            members.append([])
        else:
            members[-1].append(token)
    before = plain[max(0, begin - 16) : begin]
    signed = run[0].text in "+-*/"
    bullet = signed and _BULLET.search(plain[max(0, begin - 16) : begin + 2])
    if _BEFORE.search(before) or bullet or (signed and _BEFORE_SIGN.search(before)):
        members[0] = []
    if _AFTER.match(plain, end):
        members[-1] = []
    if any(members):
        yield Chain(members=tuple(map(tuple, members)), end=end)
