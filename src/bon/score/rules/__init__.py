"""Rules without a model: what an answer's text, form or code shows by itself, or against the prompt's reference.

Each is a plain function `(prompt, candidate, *, options) -> Score`, which `rule` makes a Scorer. Higher is better:
what verifies or measures is in [0, 1], what takes points off (a penalty) in [-1, 0]. An answer of the wrong form is 0;
a score is missing, with the reason, where there is nothing to go by. A wrong option raises `UsageError`; no text does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from bon.protocols import Scorer
from bon.score.lift import pointwise
from bon.score.rules.arithmetic import arithmetic
from bon.score.rules.code import code_style, code_syntax
from bon.score.rules.penalties import length_penalty, ngram_repetition_penalty
from bon.score.rules.privacy import privacy_leakage
from bon.score.rules.reference import accuracy, f1, number_accuracy, rouge
from bon.score.rules.schemas import json_schema, tool_call_format
from bon.score.rules.texts import contains, regex
from bon.score.rules.thoughts import reasoning_format
from bon.types import Candidate, Prompt, Score

__all__ = [
    "RULES",
    "accuracy",
    "arithmetic",
    "code_style",
    "code_syntax",
    "contains",
    "f1",
    "json_schema",
    "length_penalty",
    "ngram_repetition_penalty",
    "number_accuracy",
    "privacy_leakage",
    "reasoning_format",
    "regex",
    "rouge",
    "rule",
    "tool_call_format",
]

RULES: Mapping[str, Callable[..., Score]] = MappingProxyType(
    {
        function.__name__: function
        for function in (
            accuracy,
            number_accuracy,
            arithmetic,
            f1,
            rouge,
            contains,
            regex,
            reasoning_format,
            json_schema,
            tool_call_format,
            code_syntax,
            code_style,
            length_penalty,
            ngram_repetition_penalty,
            privacy_leakage,
        )
    }
)
"""By name; their options are their keyword arguments."""


def rule(function: Callable[..., Score], **options: Any) -> Scorer:
    """A rule with its options as a Scorer: `rule(regex, pattern="[0-9]+")`.

    It is tried on an empty answer first, so that a wrong option raises its `UsageError` here.
    """
    scored = partial(function, **options)
    scored(Prompt(id="", messages=()), Candidate(index=0, text=""))
    return pointwise(scored)
