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
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational
from sympy.logic.boolalg import Boolean

from bon.score.maths.messages import Question, Reply

__all__ = ["answered", "equal", "standard"]

_CONFIG = (LatexExtractionConfig(),)
_PLUS_MINUS = re.compile(r"\\pm|±")
_MEMBER = re.compile(r"^[A-Za-z]\s?\\in\b(?!fty)")
_ABOUT = re.compile(r"^\s*(?:\\approx|≈)")
_REPEATING = re.compile(r"([0-9]{0,9})\.([0-9]{0,9})\\overline\s?\{?\s?([0-9]{1,9})\s?\}?")
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
    text = sympy.latex(_reduced(_complex(before)[0]))
    after = parsed(text)
    return text if after and equal(after, before) and equal(before, after) else None


def _reduced(formula: Any) -> Any:
    """A formula in a form that its equals share, as far as that goes."""
    if isinstance(formula, sympy.Expr):
        return _reduced_expression(formula)
    if isinstance(formula, sympy.MatrixBase):
        return formula.applyfunc(_reduced)
    if isinstance(formula, Relational | Boolean):
        return _reduced_relation(formula)
    if isinstance(formula, sympy.FiniteSet):  # math-verify's own kind keeps the order in which it was written
        return sympy.FiniteSet(*[_reduced(each.rhs if _is_assignment(each) else each) for each in formula.args])
    if isinstance(formula, sympy.Interval | sympy.Union | sympy.Tuple):
        return formula.func(*map(_reduced, formula.args))
    return formula


def _reduced_relation(relation: Any) -> Any:
    """An equation with what it says of a name on its right, any other as an expression that is 0; else a set."""
    if not isinstance(relation, sympy.Eq):
        return _reduced(relation.as_set()) if len(relation.free_symbols) == 1 else relation
    if _is_assignment(relation) or len(relation.free_symbols) < 2:
        return sympy.Eq(relation.lhs, _reduced(relation.rhs), evaluate=False)
    _, factors = sympy.factor_list(_reduced(relation.lhs - relation.rhs))
    return sympy.Eq(sympy.prod(base**power for base, power in factors).expand(), 0, evaluate=False)


def _is_assignment(formula: Any) -> bool:
    """Whether an equation says what a name stands for: x = 2, f(x) = x + 1."""
    return isinstance(formula, sympy.Eq) and isinstance(formula.lhs, sympy.Symbol | AppliedUndef)


def _reduced_expression(expression: Any) -> Any:
    done = sympy.nsimplify(expression.doit(), rational=True)
    for step in (sympy.simplify, sympy.sqrtdenest, sympy.radsimp, sympy.expand, sympy.together, sympy.cancel):
        with suppress(NotImplementedError, TypeError, AttributeError, sympy.PolynomialError):
            done = step(done)
    return done if done.free_symbols else sympy.expand_log(done, factor=True)


def _spelled(text: str) -> str:
    """What people write, as LaTeX has it: sqrt(2), 2pi, "1 or 2", x in [1, 2]."""
    text = _MEMBER.sub("", _ABOUT.sub("", text.translate(_SIGNS)))
    text = _REPEATING.sub(_fraction, text)
    text = _UNIT.sub("", _WORDS.sub(",", text))
    text = _ROOT.sub(r"\\sqrt{\1}", text)
    text = _INFINITY.sub(r"\\infty", text)
    return _BARE.sub(r"\\\1", text)


def _fraction(repeating: re.Match[str]) -> str:
    """A decimal with digits that repeat without end, as a fraction."""
    whole, once, ever = repeating[1] or "0", repeating[2], repeating[3]
    above = int(whole + once + ever) - int(whole + once)
    return rf"\frac{{{above}}}{{{10 ** len(once) * (10 ** len(ever) - 1)}}}"
