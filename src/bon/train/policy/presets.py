"""Settings by name (the paper's, its authors', ours) and grids of settings, with where each value comes from."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any, Literal, TypeAlias

from bon.errors import UsageError

__all__ = ["METHODS", "Method", "Point", "Setting", "grid", "preset", "preset_names", "sweep"]

Method: TypeAlias = Literal["vbon", "ppo", "sft", "dpo", "bonbon", "frontier"]

METHODS: Mapping[str, str] = {
    "vbon": "online",
    "ppo": "online",
    "sft": "offline",
    "dpo": "offline",
    "bonbon": "offline",
}
"""What trains a policy -> whether it draws while it trains, which is the scope of settings that it shares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One value, and who says so."""

    value: Any
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One training of a sweep."""

    name: str
    """Of its folder: `n4-seed0`."""
    values: Mapping[str, Any]


def preset_names() -> tuple[str, ...]:
    """The names of all presets."""
    return tuple(_presets())


def preset(name: str, method: Method) -> dict[str, Setting]:
    """The settings of a preset for one method, by the names of options; what it does not speak of is not there.

    Raises UsageError for a name that is no preset.
    """
    table = _table(name)
    found = preset(table["like"], method) if "like" in table else {}
    scopes = ("all", METHODS[method], method) if method in METHODS else (method,)
    ours = "our choice, where its source is silent" if "stated" in table else table["about"]
    for kind, about in (("chosen", ours), ("stated", table["about"])):
        for scope in scopes:
            for option, value in table.get(kind, {}).get(scope, {}).items():
                found[option] = Setting(value=value, source=f"{name}: {about}")
    return found


def sweep(source: str | Path, method: Method, *, objective: str | None = None) -> list[Point]:
    """The points of a grid: of a preset of that name, or of a TOML file of lists.

    `objective` picks the grid of a variant, where a preset has one (`vbon-L`). Raises UsageError where there is no
    such grid, or it is none.
    """
    if str(source) in _presets():
        grids = _table(str(source)).get("sweep", {})
        chosen = grids.get(f"{method}-{objective}", grids.get(method))
        if chosen is None:
            raise UsageError(
                f"the preset {str(source)!r} has no sweep of {method}: it has {', '.join(grids) or 'none'}; write one "
                "as a TOML file of lists (n = [2, 4, 8])"
            )
        return grid(chosen)
    try:
        table = tomllib.loads(Path(source).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"a sweep is a TOML file of lists, or one of the presets {', '.join(_swept())}; {str(source)!r} is neither "
            f"({error})"
        ) from error
    return grid(table)


def grid(table: Mapping[str, Any]) -> list[Point]:
    """Every combination of the values of a table of lists, the last name changing fastest.

    Raises UsageError for what is no list, an empty one, a value twice, and values that cannot name a folder.
    """
    for name, values in table.items():
        if not isinstance(values, Sequence) or isinstance(values, str) or not values:
            raise UsageError(f"a sweep is a table of lists, but {name} is {values!r}: write {name} = [{values!r}, ...]")
        if not all(isinstance(value, str | int | float) for value in values) or len(set(map(_told, values))) < len(
            values
        ):
            raise UsageError(f"{name} = {values!r} of a sweep: wanted are numbers or words, each once")
    if not table:
        raise UsageError("a sweep without a list is none: write n = [2, 4, 8], say")
    return [
        Point(
            name="-".join(f"{name}{_told(value)}" for name, value in zip(table, values, strict=True)),
            values=dict(zip(table, values, strict=True)),
        )
        for values in product(*table.values())
    ]


def _told(value: str | float) -> str:
    """A value as part of a folder's name."""
    said = f"{value:.10g}" if isinstance(value, float) else str(value)
    if not said or any(letter in said for letter in "/\\\0"):
        raise UsageError(f"{value!r} cannot be part of a folder's name: leave it out of the sweep")
    return said


def _table(name: str) -> Mapping[str, Any]:
    presets = _presets()
    if name not in presets:
        raise UsageError(f"there is no preset {name!r}: there are {', '.join(presets)}")
    table: Mapping[str, Any] = presets[name]
    return table


def _swept() -> list[str]:
    return [name for name, table in _presets().items() if "sweep" in table]


@cache
def _presets() -> Mapping[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath("presets.toml").read_text("utf-8"))
