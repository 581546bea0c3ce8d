"""Whether all the models of a run fit into this machine's memory together, asked before one of them is loaded."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from bon.errors import MissingExtra, SpecError
from bon.registry import Built, Spec, parse_spec

if TYPE_CHECKING:
    from bon.models.memory import Need

__all__ = ["check_memory", "need_of_spec"]

_KINDS = frozenset(("local", "gguf", "hf", "rm", "prm"))
"""What runs on this machine."""
_TOKENS = 4096
"""Tokens that a generator's rows are counted with: it says no bound of its own."""

_checked: WeakSet[Built[Any]] = WeakSet()
"""What was asked about before: it may be loaded by now, and be part of what is taken."""


def check_memory(things: Iterable[Built[Any]]) -> None:
    """Refuse a run whose models, on this machine, do not fit together; say on stderr what several will take.

    Looked at are folders and files that are here: of what has to be fetched first, each is asked about when it is.
    Raises ModelError that says what each needs, what is there and what would fit.
    """
    new = {thing: parse_spec(thing.spec) for thing in things if thing.spec and thing not in _checked}
    models = {thing: spec for thing, spec in new.items() if spec.kind in _KINDS}
    _checked.update(models)
    if len(models) < 2:  # one alone is asked about where it is loaded
        return
    from bon.models.memory import planned, there

    found: dict[str, list[Need]] = defaultdict(list)
    for thing, spec in models.items():
        if (known := need_of_spec(spec, name=thing.name)) is not None:
            found[known[0]].append(known[1])
    for device, needs in found.items():
        line = planned(needs, there(device), device=device)
        if len(needs) > 1:
            sys.stderr.write(f"bon: {line}\n")


def need_of_spec(spec: Spec, *, name: str) -> tuple[str, Need] | None:
    """The device that a spec's model will be on, and what it needs there; None where there is none, or it is not here.

    A GGUF file is counted with its size: its engine keeps it as it is, and what it needs beyond is little.
    """
    from bon.models.memory import Need

    try:
        if spec.kind == "local":
            from bon.models.pull import pull

            return "cpu", Need(name=name, weights=_bytes(pull()))
        path = Path(spec.target).expanduser()
        if not spec.target or not path.exists():
            return None
        if spec.kind == "gguf":
            return "cpu", Need(name=name, weights=_bytes(path))
        return _of_folder(spec, name) if spec.kind in _KINDS else None
    except (MissingExtra, SpecError):  # said where it is loaded
        return None


def _of_folder(spec: Spec, name: str) -> tuple[str, Need]:
    from bon.score.reward.families import checkpoint_of
    from bon.score.reward.family import Options
    from bon.score.reward.memory import need_on

    options: Mapping[str, Any] = spec.options
    tokens = _TOKENS if spec.kind == "hf" else options.get("tokens")
    chosen = Options(dtype=options.get("dtype"), device=options.get("device"))
    return need_on(checkpoint_of(spec.target), chosen, name=name, tokens=tokens)


def _bytes(path: Path) -> int:
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)
