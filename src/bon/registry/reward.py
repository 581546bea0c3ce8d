"""The kind `rm`: which reward model a spec names, by its folder, its id or its short name, and how it is loaded."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from bon.errors import ModelError, SpecError
from bon.registry.kinds import Kind, known_options
from bon.registry.models import OWN, about, members, named, part, scorer_options
from bon.registry.spec import Spec
from bon.score.reward import FAMILIES, Options, RewardModel
from bon.score.reward.families import family_of

if TYPE_CHECKING:
    from bon.registry.builder import Builder

__all__ = ["REWARD"]

_LOADING = tuple(field.name for field in fields(Options))


def _make(spec: Spec, builder: Builder) -> RewardModel:  # noqa: ARG001
    source = named(spec, "rm", "reward model")
    given = known_options(spec, *_LOADING, *OWN)
    options, own = part(spec, given, Options, *_LOADING), scorer_options(spec, given, RewardModel)
    try:
        return RewardModel(source, options=Options(**options), **own)
    except ModelError as error:
        raise SpecError(f"{spec.text!r}: {error}") from error


REWARD = Kind(
    usage="rm:DIR_OR_ID[?dtype=...&device=...]",
    summary="a reward model on this machine: a folder, an id, or one of the names below",
    make=_make,
    members=lambda: members("rm"),
    about=lambda spec: about(spec, "rm", word="adapter", known=FAMILIES, told=family_of),
    documentation=(
        "Options: dtype=bfloat16, device=cuda (or auto: spread over all), revision=COMMIT, tokens=N (read at a time, "
        "which bounds the memory), max_length=N (tokens of a row), family=NAME (where the files do not tell; "
        f"one of {', '.join(FAMILIES)}), output=NAME (which of several outputs is the reward), template=FILE (a chat "
        "template), instruct=TEXT (what a reranker looks for). Nothing is loaded before the first score."
    ),
)
