"""The scorers that specs can name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bon import score
from bon.errors import SpecError
from bon.protocols import Scorer
from bon.registry.code import CODE, DUAL
from bon.registry.combinations import COMBINATIONS
from bon.registry.judges import JUDGE
from bon.registry.kinds import Kind, checked_options, known_options
from bon.registry.process import PROCESS
from bon.registry.remote import REMOTE
from bon.registry.reward import REWARD
from bon.registry.rules import RULES
from bon.registry.spec import Spec
from bon.registry.verifiers import VERIFIERS

if TYPE_CHECKING:
    from bon.registry.builder import Builder

__all__ = ["SCORERS"]


def _plain(name: str, scorer: Scorer) -> Kind:
    documentation = inspect.getdoc(scorer) or ""
    summary = documentation.partition("\n")[0].rstrip(".")

    def make(spec: Spec, builder: Builder) -> Scorer:  # noqa: ARG001
        known_options(spec)
        return scorer

    return Kind(usage=name, summary=summary, make=make, target=False, documentation=documentation)


def _recorded(spec: Spec, builder: Builder) -> Scorer:  # noqa: ARG001
    options = checked_options(spec, score.recorded, "judge")
    if not spec.target:
        raise SpecError(f"{spec.text!r} needs a file of verdicts: recorded:FILE")
    return score.recorded(Path(spec.target), **options)


def _selfcertainty(spec: Spec, builder: Builder) -> Scorer:  # noqa: ARG001
    options = known_options(spec, "kind")
    return score.SelfCertainty(**options) if options else score.selfcertainty


_RECORDED = inspect.getdoc(score.recorded) or ""

SCORERS: Mapping[str, Kind] = {
    **{name: _plain(name, scorer) for name, scorer in score.SCORERS.items()},
    "selfcertainty": Kind(
        usage="selfcertainty[?kind=exact|top|sampled]",
        summary="how sure the generator was of its own tokens (Kang et al. 2025); it must give logprobs",
        make=_selfcertainty,
        target=False,
        documentation=inspect.getdoc(score.SelfCertainty) or "",
    ),
    "recorded": Kind(
        usage="recorded:FILE[?judge=NAME]",
        summary="verdicts read from a file, of one judge if it holds several",
        make=_recorded,
        documentation=_RECORDED,
    ),
    **COMBINATIONS,
    **RULES,
    **VERIFIERS,
    "code": CODE,
    "dual": DUAL,
    "judge": JUDGE,
    "prm": PROCESS,
    "remote": REMOTE,
    "rm": REWARD,
}
"""Kind of scorer -> how it is written, what it is, how it is made."""
