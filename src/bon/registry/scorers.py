"""The scorers that specs can name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bon import score
from bon.errors import SpecError
from bon.protocols import Scorer
from bon.registry.kinds import Kind, known_options
from bon.registry.spec import Spec
from bon.score import as_scorer

if TYPE_CHECKING:
    from bon.registry.builder import Builder

__all__ = ["SCORERS", "as_scorer"]


def _plain(name: str, scorer: Scorer) -> Kind:
    summary = (inspect.getdoc(scorer) or "").partition("\n")[0].rstrip(".")

    def make(spec: Spec, builder: Builder) -> Scorer:  # noqa: ARG001
        known_options(spec)
        return scorer

    return Kind(usage=name, summary=summary, make=make)


def _recorded(spec: Spec, builder: Builder) -> Scorer:  # noqa: ARG001
    known_options(spec)
    if not spec.target:
        raise SpecError(f"{spec.text!r} needs a file of verdicts: recorded:FILE")
    return score.recorded(Path(spec.target))


SCORERS: Mapping[str, Kind] = {
    **{name: _plain(name, scorer) for name, scorer in score.SCORERS.items()},
    "recorded": Kind(usage="recorded:FILE", summary="verdicts read from a file", make=_recorded),
}
"""Kind of scorer -> how it is written, what it is, how it is made."""
