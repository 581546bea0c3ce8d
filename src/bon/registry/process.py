"""The kind `prm`: which process reward model a spec names, how it is loaded, and what becomes of its step scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bon.errors import MissingExtra, ModelError, SpecError, UsageError
from bon.registry.kinds import Kind, attribute_of, checked_options, find_module, known_options
from bon.registry.spec import Spec, parse_spec
from bon.score.process import AGGREGATES, FORMATS, SPLITTERS, Marking, ProcessReward
from bon.score.process.formats import format_of
from bon.score.reward import Options, alias_of, aliases
from bon.score.reward.families import checkpoint_of

if TYPE_CHECKING:
    from bon.registry.builder import Builder

__all__ = ["PROCESS"]

_LOADING = ("dtype", "device", "revision", "max_length", "template")
_MARKING = tuple(field.name for field in fields(Marking))
_OWN = ("family", "tokens")


def _make(spec: Spec, builder: Builder) -> ProcessReward:  # noqa: ARG001
    if not spec.target:
        raise SpecError(
            f"{spec.text!r} names no process reward model: prm:FOLDER, prm:OWNER/NAME, or one of "
            f"{', '.join(aliases('prm'))} (`bon list scorers`)"
        )
    given = known_options(spec, *_LOADING, *_MARKING, *_OWN)

    def part(function: Callable[..., Any], *names: str) -> dict[str, Any]:
        chosen = replace(spec, options={name: given[name] for name in names if name in given})
        return checked_options(chosen, function, *names)

    options, marking, own = part(Options, *_LOADING), part(Marking, *_MARKING), part(ProcessReward, *_OWN)
    if own.get("tokens", 1) < 1:
        raise SpecError(f"{spec.text!r}: tokens is how many are read at a time, 1 or more, not {own['tokens']!r}")
    if ":" in str(marking.get("steps", "")):
        marking["steps"] = _function(spec, marking["steps"])
    try:
        return ProcessReward(
            spec.target,
            name=spec.options.get("name", spec.name),
            options=Options(**options),
            marking=Marking(**marking),
            **own,
        )
    except (ModelError, UsageError) as error:
        raise SpecError(f"{spec.text!r}: {error}") from error


def _function(spec: Spec, name: str) -> Callable[..., Any]:
    """A splitter of yours: `steps=module:function`. Raises SpecError."""
    named = parse_spec(name)
    module = find_module(named)
    if module is None:
        raise SpecError(f"{spec.text!r}: steps is {name!r}, and there is no module {named.kind!r} to be found")
    found = attribute_of(module, named)
    if not callable(found):
        raise SpecError(f"{spec.text!r}: steps is {name!r}, which is {found!r:.80} and no function of a text")
    return found  # type: ignore[no-any-return]


def _members() -> Mapping[str, str]:
    return {name: alias.line for name, alias in aliases("prm").items()}


def _about(spec: Spec) -> str:
    known = alias_of("prm", spec.target)
    if known is None:
        return _about_folder(spec.target) if spec.target and Path(spec.target).expanduser().is_dir() else ""
    used = FORMATS[known.family]
    longest = f"{known.max_length:,} tokens" if known.max_length else "not said on its card"
    return (
        f"{known.name}: {known.id}\n{known.purpose}\nsize: {known.size}\nlicence: {known.licence}\n"
        f"trained on: {', '.join(known.good_at)}\nlongest row it was trained on: {longest}\n"
        f"format: {used.name}, read from {used.source}"
    )


def _about_folder(folder: str) -> str:
    """Which format a folder will be read by, told from its files; or why none."""
    try:
        checkpoint = checkpoint_of(folder)
        used = format_of(checkpoint)
    except (ModelError, MissingExtra) as error:
        return str(error)
    return f"format: {used.name}, read from {used.source}"


PROCESS = Kind(
    usage="prm:DIR_OR_ID[?aggregate=min&steps=...&threshold=0.5]",
    summary="a model that scores every step, on this machine: a folder, an id, or one of the names below",
    make=_make,
    members=_members,
    about=_about,
    documentation=(
        f"Options: aggregate=NAME (what the value is of the steps: {', '.join(AGGREGATES)}; all of them are parts), "
        f"steps=NAME (how a text is cut: {', '.join(SPLITTERS)}, or module:function of yours; without it as the "
        "model's format has it), threshold=0.5 (a step below it is wrong: the part first_error), dtype=bfloat16, "
        "device=cuda (or auto: spread over all), revision=COMMIT, tokens=N (read at a time, bounds the memory), "
        "max_length=N (tokens of a row), template=FILE (a chat template), family=NAME (where files do not tell; one of "
        f"{', '.join(FORMATS)}). Nothing is loaded before the first score."
    ),
)
