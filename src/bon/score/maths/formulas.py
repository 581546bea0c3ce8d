"""What formulas mean: whether two are equal, and the standard form of one; imported by worker processes alone.

The comparison is math-verify's (Kydlíček 2024), whose parser reads LaTeX without evaluating any of it as a program.
It may take any time: whoever calls this must be able to kill it.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from typing import Any

import sympy
from math_verify import LatexExtractionConfig, parse, verify

from bon.score.maths.messages import Question, Reply

__all__ = ["answered", "equal", "standard"]

_CONFIG = (LatexExtractionConfig(),)
_PLUS_MINUS = re.compile(r"\\pm|±")
_MEMBER = re.compile(r"^[A-Za-z]\s?\\in\b(?!fty)")
_WORDS = re.compile(r"(?<![A-Za-z\\])(?:or|and)(?![A-Za-z])")
_ROOT = re.compile(r"\\?sqrt\s?\(([^()]*)\)")
_UNIT = re.compile(r"(?<=[0-9A-Za-z}) ])(?: (?!(?:pi|sin|cos|tan|log|ln|exp)\b)[A-Za-z]{2,})+$")
_BARE = re.compile(r"(?<![A-Za-z\\])(pi|sin|cos|tan|log|ln|exp|theta|alpha|beta|phi)(?![A-Za-z])")
_INFINITY = re.compile(r"(?<![A-Za-z\\])(?:infinity|inf|oo)(?![A-Za-z])|∞")
_SIGNS = str.maketrans({"√": "\\sqrt ", "π": "\\pi ", "≤": "\\le ", "≥": "\\ge ", "≠": "\\ne ", "∪": "\\cup "})

logging.getLogger("math_verify").setLevel(logging.CRITICAL)  # it warns that it has no time limits of its own


def answered(question: Question) -> Reply:
    """The reply to a question."""
    if question.reference is None:
        form = standard(question.answer)
        return Reply(verdict="unreadable") if form is None else Reply(verdict="form", text=form)
    wanted = parsed(question.reference)
    if not wanted:
        return Reply(verdict="unreadable reference")
    found = parsed(question.answer)
    if not found:
        return Reply(verdict="unreadable")
    return Reply(verdict="same" if equal(found, wanted) else "different")


def parsed(latex: str) -> list[Any]:
    """What a bare answer is, as math-verify reads it; empty where it cannot."""
    boxed = f"\\boxed{{{_spelled(latex)}}}"
    found: list[Any] = parse(boxed, list(_CONFIG), fallback_mode="no_fallback", parsing_timeout=None)
    return found


def equal(found: list[Any], wanted: list[Any]) -> bool:
    """Whether an answer is what was wanted. It matters which is which: for an equation, a side of it may be given."""
    if _verified(found, wanted):
        return True
    one, other = _complex(found), _complex(wanted)
    return (one, other) != (found, wanted) and _verified(one, other)


def _verified(found: list[Any], wanted: list[Any]) -> bool:
    return bool(verify(wanted, found, timeout_seconds=None, allow_set_relation_comp=True))


def _complex(expressions: list[Any]) -> list[Any]:
    """The expressions with i as the imaginary unit, where it was read as a variable."""
    return [
        each.subs({symbol: sympy.I for symbol in each.free_symbols if symbol.name == "i"})
        if isinstance(each, sympy.Basic)
        else each
        for each in expressions
    ]


def standard(latex: str) -> str | None:
    """The standard form of a bare answer, in LaTeX; None where it cannot be read, or has none that means the same.

    Equal strings mean equal answers. That equal answers have equal strings holds for polynomials, fractions of them,
    roots and most of what is met; it cannot hold for all (Richardson 1968).
    """
    before = parsed(latex)
    if not before:
        return None
    form = _reduced(before[0])
    text = sympy.latex(form)
    after = parsed(text)
    return text if after and equal(after, before) and equal(before, after) else None


def _reduced(expression: Any) -> Any:
    """An expression in a form that its equals share."""
    if isinstance(expression, sympy.Expr):
        return _reduced_expression(expression)
    if isinstance(expression, sympy.MatrixBase):
        return expression.applyfunc(_reduced)
    if isinstance(expression, sympy.Tuple | sympy.FiniteSet):
        return type(expression)(*map(_reduced, expression.args))
    with suppress(Exception):
        return expression.doit()
    return expression


def _reduced_expression(expression: Any) -> Any:
    done = sympy.nsimplify(expression.doit(), rational=True)
    for step in (sympy.simplify, sympy.sqrtdenest, sympy.radsimp, sympy.expand, sympy.together, sympy.cancel):
        with suppress(NotImplementedError, TypeError, AttributeError, sympy.PolynomialError):
            done = step(done)
    return done


def _spelled(text: str) -> str:
    """What people write, as LaTeX has it: sqrt(2), 2pi, "1 or 2", x in [1, 2]."""
    text = _MEMBER.sub("", text.translate(_SIGNS))
    text = _UNIT.sub("", _WORDS.sub(",", text))
    text = _ROOT.sub(r"\\sqrt{\1}", text)
    text = _INFINITY.sub(r"\\infty", text)
    return _BARE.sub(r"\\\1", text)
