"""What `--show` prints of a training: every value as it will be used and who says so, and the trainings of a sweep."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import click

from bon.train.policy.presets import Setting

__all__ = ["ASIDE", "shown"]

ASIDE = frozenset({"preset", "show", "sweep", "as_json", "out"})
"""Options that are no settings of a training."""
_DEFAULT = re.compile(r"\[default: (.+)\]\s*$")
"""How the help of an option ends that says in words what is taken where it is not given."""


def shown(
    command: click.Command,
    settings: Mapping[str, Setting],
    points: Mapping[str, Mapping[str, Any]],
    *,
    as_json: bool,
) -> str:
    """Every setting with its source, in lines or as JSON.

    `points` are the trainings of a sweep, by their folders; empty without one. What is not set is told as the option's
    own help has it.
    """
    said = {each.name: _default(each) for each in command.params}
    told: dict[str, Setting] = {}
    for name, setting in settings.items():
        if name not in ASIDE:
            unset = setting.value is None and setting.source == "default"
            told[name] = Setting(value=said[name], source="default") if unset else setting
    if as_json:
        table: dict[str, Any] = {
            name: {"value": setting.value, "source": setting.source} for name, setting in told.items()
        }
        if points:
            table["sweep"] = {"value": points, "source": settings["sweep"].source}
        return json.dumps(table, default=str) + "\n"
    values = {name: _told(setting.value) for name, setting in told.items()}
    width, wide = max(map(len, values)), max(map(len, values.values()))
    lines = [f"{name:<{width}}  {values[name]:<{wide}}  {setting.source}" for name, setting in told.items()]
    if points:
        lines += ["", f"{len(points)} trainings, each in a folder of its own:", *(f"  {folder}" for folder in points)]
    return "\n".join(lines) + "\n"


def _default(parameter: click.Parameter) -> str | None:
    """What the help of an option says is taken where it is not given; None where it says nothing."""
    found = _DEFAULT.search(getattr(parameter, "help", None) or "")
    return found[1] if found else None


def _told(value: Any) -> str:
    """A value as people read it."""
    if value is None or value == ():
        return "not set"
    return ", ".join(str(getattr(each, "number", each)) for each in value) if isinstance(value, tuple) else str(value)
