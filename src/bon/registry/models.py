"""What the kinds `rm` and `prm` share: what a spec says of a model on this machine, and what is shown of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Protocol

from bon.errors import MissingExtra, ModelError, SpecError
from bon.registry.kinds import checked_options
from bon.registry.spec import Spec
from bon.score.reward import alias_of, aliases
from bon.score.reward.families import checkpoint_of
from bon.score.reward.family import Checkpoint

__all__ = ["OWN", "about", "members", "named", "part", "scorer_options"]

OWN = ("family", "tokens")
"""Options of the scorer itself, beside those of loading."""


class Readable(Protocol):
    """A family of reward models, or a format of process reward models."""

    @property
    def name(self) -> str: ...
    @property
    def source(self) -> str: ...


def named(spec: Spec, kind: Literal["rm", "prm"], what: str) -> str:
    """The folder, id or short name of a spec. Raises SpecError where it has none."""
    if not spec.target:
        raise SpecError(
            f"{spec.text!r} names no {what}: {kind}:FOLDER, {kind}:OWNER/NAME, or one of "
            f"{', '.join(aliases(kind))} (`bon list scorers`)"
        )
    return spec.target


def part(spec: Spec, given: Mapping[str, Any], function: Callable[..., Any], *names: str) -> dict[str, Any]:
    """Those of the given options that are of a function, as its keyword arguments. Raises SpecError."""
    return checked_options(replace(spec, options={n: given[n] for n in names if n in given}), function, *names)


def scorer_options(spec: Spec, given: Mapping[str, Any], function: Callable[..., Any]) -> dict[str, Any]:
    """The options `OWN`, and the name, of a scorer. Raises SpecError."""
    own = part(spec, given, function, *OWN)
    if own.get("tokens", 1) < 1:
        raise SpecError(f"{spec.text!r}: tokens is how many are read at a time, 1 or more, not {own['tokens']!r}")
    return {"name": spec.options.get("name", spec.name), **own}


def members(kind: Literal["rm", "prm"]) -> Mapping[str, str]:
    """The short names, and a line on each."""
    return {name: alias.line for name, alias in aliases(kind).items()}


def about(
    spec: Spec,
    kind: Literal["rm", "prm"],
    *,
    word: str,
    known: Mapping[str, Readable],
    told: Callable[[Checkpoint], Readable],
) -> str:
    """What is known of the model that a spec names; of a folder, how it will be read, or why not."""
    alias = alias_of(kind, spec.target)
    if alias is None:
        return _about_folder(spec.target, word, told) if spec.target and Path(spec.target).expanduser().is_dir() else ""
    longest = f"{alias.max_length:,} tokens" if alias.max_length else "not said on its card"
    trained_on = ", ".join(alias.good_at) or "not said on its card"
    return (
        f"{alias.name}: {alias.id}\n{alias.purpose}\nsize: {alias.size}\nlicence: {alias.licence}\n"
        f"trained on: {trained_on}\nlongest row it was trained on: {longest}\n{_read_by(known[alias.family], word)}"
    )


def _about_folder(folder: str, word: str, told: Callable[[Checkpoint], Readable]) -> str:
    try:
        return _read_by(told(checkpoint_of(folder)), word)
    except (ModelError, MissingExtra) as error:
        return str(error)


def _read_by(used: Readable, word: str) -> str:
    return f"{word}: {used.name}, read from {used.source}"
