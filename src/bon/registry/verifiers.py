"""The kinds of scorers that check an answer: mathematics against a reference."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bon import score
from bon.errors import SpecError, UsageError
from bon.protocols import Scorer
from bon.registry.kinds import Kind, checked_options
from bon.registry.spec import Spec

if TYPE_CHECKING:
    from bon.registry.builder import Builder

__all__ = ["VERIFIERS"]


def _math(spec: Spec, builder: Builder) -> Scorer:  # noqa: ARG001
    options = checked_options(spec, score.MathVerifier, "seconds")
    try:
        return score.MathVerifier(**options) if options else score.math
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
}
"""Kind of scorer -> how it is written, what it is, how it is made."""
