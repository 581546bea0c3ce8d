"""The kinds of scorers that check an answer: mathematics, arithmetic expressions, tool calls."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bon import score
from bon.errors import MissingExtra, SpecError, UsageError
from bon.protocols import Scorer
from bon.registry.kinds import Kind, checked_options
from bon.registry.spec import Spec
from bon.score.expression import expression
from bon.score.tools import VOTES, tool_calls, tool_votes

if TYPE_CHECKING:
    from bon.registry.builder import Builder

__all__ = ["VERIFIERS"]


def _math(spec: Spec, builder: Builder) -> Scorer:  # noqa: ARG001
    options = checked_options(spec, score.MathVerifier, "seconds")
    return _made(spec, score.MathVerifier, options) if options else score.math


def _expression(spec: Spec, builder: Builder) -> Scorer:  # noqa: ARG001
    return _made(spec, expression, checked_options(spec, expression, "target", "use"))


def _tool_calls(spec: Spec, builder: Builder) -> Scorer:  # noqa: ARG001
    if not spec.options.keys() & {"vote", "exclude"}:
        return _made(spec, tool_calls, checked_options(spec, tool_calls, "required"))
    if "required" in spec.options:
        raise SpecError(f"{spec.text!r}: required is an option of checking calls, vote and exclude of voting on them")
    options = dict(spec.options)
    if isinstance(options.get("exclude"), str):
        options["exclude"] = [name for name in options["exclude"].split(",") if name]
    return _made(spec, tool_votes, checked_options(replace(spec, options=options), tool_votes, "vote", "exclude"))


def _made(spec: Spec, make: Callable[..., Scorer], options: Mapping[str, Any]) -> Scorer:
    """The scorer, or what is wrong with the spec."""
    try:
        return make(**options)
    except MissingExtra:
        raise  # what is missing is not the spec's fault
    except UsageError as error:
        raise SpecError(f"{spec.text!r}: {error}") from error


VERIFIERS: Mapping[str, Kind] = {
    "math": Kind(
        usage="math[?seconds=5]",
        summary="whether the answer means the same as the prompt's reference: 1 or 0",
        make=_math,
        target=False,
        documentation=inspect.getdoc(score.MathVerifier) or "",
    ),
    "expression": Kind(
        usage="expression[?target=24&use=all|some|any]",
        summary="whether an arithmetic expression comes to the target, of the numbers given (Game of 24): 1 or 0",
        make=_expression,
        target=False,
        documentation=inspect.getdoc(expression) or "",
    ),
    "tool_calls": Kind(
        usage=f"tool_calls[?required=true] or tool_calls?vote={'|'.join(VOTES)}[&exclude=NAME,NAME]",
        summary="whether tool calls fit the tools' schemas; with vote, how many candidates make the same ones",
        make=_tool_calls,
        target=False,
        documentation=f"{inspect.getdoc(tool_calls)}\n\nWith vote: {inspect.getdoc(tool_votes)}",
    ),
}
"""Kind of scorer -> how it is written, what it is, how it is made."""
