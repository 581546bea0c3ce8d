"""The kind `prm`: which process reward model a spec names, how it is loaded, and what becomes of its step scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from bon.errors import ModelError, SpecError, UsageError
from bon.registry.kinds import Kind, attribute_of, find_module, known_options
from bon.registry.models import OWN, about, members, named, part, scorer_options
from bon.registry.spec import Spec, parse_spec
from bon.score.process import AGGREGATES, FORMATS, SPLITTERS, Marking, ProcessReward
from bon.score.process.formats import format_of
from bon.score.reward import Options

if TYPE_CHECKING:
    from bon.registry.builder import Builder

__all__ = ["PROCESS"]

_LOADING = ("dtype", "device", "revision", "max_length", "template")
_MARKING = tuple(field.name for field in fields(Marking))


def _make(spec: Spec, builder: Builder) -> ProcessReward:  # noqa: ARG001
    source = named(spec, "prm", "process reward model")
    given = known_options(spec, *_LOADING, *_MARKING, *OWN)
    options, marking = part(spec, given, Options, *_LOADING), part(spec, given, Marking, *_MARKING)
    own = scorer_options(spec, given, ProcessReward)
    if ":" in str(marking.get("steps", "")):
        marking["steps"] = _function(spec, marking["steps"])
    try:
        return ProcessReward(source, options=Options(**options), marking=Marking(**marking), **own)
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


PROCESS = Kind(
    usage="prm:DIR_OR_ID[?aggregate=min&steps=...&threshold=0.5]",
    summary="a model that scores every step, on this machine: a folder, an id, or one of the names below",
    make=_make,
    members=lambda: members("prm"),
    about=lambda spec: about(spec, "prm", word="format", known=FORMATS, told=format_of),
    documentation=(
        f"Options: aggregate=NAME (what the value is of the steps: {', '.join(AGGREGATES)}; all of them are parts), "
        f"steps=NAME (how a text is cut: {', '.join(SPLITTERS)}, or module:function of yours; without it as the "
        "model's format has it), threshold=0.5 (a step below it is wrong: the part first_error), dtype=bfloat16, "
        "device=cuda (or auto: spread over all), revision=COMMIT, tokens=N (read at a time, bounds the memory), "
        "max_length=N (tokens of a row), template=FILE (a chat template), family=NAME (where files do not tell; one of "
        f"{', '.join(FORMATS)}). Nothing is loaded before the first score."
    ),
)
