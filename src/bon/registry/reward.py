"""The kind `rm`: which reward model a spec names, by its folder, its id or its short name, and how it is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bon.errors import MissingExtra, ModelError, SpecError
from bon.registry.kinds import Kind, checked_options, known_options
from bon.registry.spec import Spec
from bon.score.reward import FAMILIES, Options, RewardModel, alias_of, aliases
from bon.score.reward.families import checkpoint_of, family_of

if TYPE_CHECKING:
    from bon.registry.builder import Builder

__all__ = ["REWARD"]

_LOADING = tuple(field.name for field in fields(Options))
_OWN = ("family", "tokens")


def _make(spec: Spec, builder: Builder) -> RewardModel:  # noqa: ARG001
    if not spec.target:
        raise SpecError(
            f"{spec.text!r} names no reward model: rm:FOLDER, rm:OWNER/NAME, or one of "
            f"{', '.join(aliases('rm'))} (`bon list scorers`)"
        )
    given = known_options(spec, *_LOADING, *_OWN)

    def part(function: Callable[..., Any], *names: str) -> dict[str, Any]:
        chosen = replace(spec, options={name: given[name] for name in names if name in given})
        return checked_options(chosen, function, *names)

    options, own = part(Options, *_LOADING), part(RewardModel, *_OWN)
    if own.get("tokens", 1) < 1:
        raise SpecError(f"{spec.text!r}: tokens is how many are read at a time, 1 or more, not {own['tokens']!r}")
    try:
        return RewardModel(spec.target, name=spec.options.get("name", spec.name), options=Options(**options), **own)
    except ModelError as error:
        raise SpecError(f"{spec.text!r}: {error}") from error


def _members() -> Mapping[str, str]:
    return {name: alias.line for name, alias in aliases("rm").items()}


def _about(spec: Spec) -> str:
    known = alias_of("rm", spec.target)
    if known is None:
        return _about_folder(spec.target) if spec.target and Path(spec.target).expanduser().is_dir() else ""
    family = FAMILIES[known.family]
    longest = f"{known.max_length:,} tokens" if known.max_length else "not said on its card"
    return (
        f"{known.name}: {known.id}\n{known.purpose}\nsize: {known.size}\nlicence: {known.licence}\n"
        f"trained on: {', '.join(known.good_at)}\nlongest row it was trained on: {longest}\n"
        f"adapter: {family.name}, read from {family.source}"
    )


def _about_folder(folder: str) -> str:
    """Which adapter a folder will be read by, told from its files; or why none."""
    try:
        checkpoint = checkpoint_of(folder)
        family = family_of(checkpoint)
    except (ModelError, MissingExtra) as error:
        return str(error)
    return f"adapter: {family.name}, read from {family.source}"


REWARD = Kind(
    usage="rm:DIR_OR_ID[?dtype=...&device=...]",
    summary="a reward model on this machine: a folder, an id, or one of the names below",
    make=_make,
    members=_members,
    about=_about,
    documentation=(
        "Options: dtype=bfloat16, device=cuda (or auto: spread over all), revision=COMMIT, tokens=N (read at a time, "
        "which bounds the memory), max_length=N (tokens of a row), family=NAME (where the files do not tell; "
        f"one of {', '.join(FAMILIES)}), output=NAME (which of several outputs is the reward), template=FILE (a chat "
        "template), instruct=TEXT (what a reranker looks for). Nothing is loaded before the first score."
    ),
)
