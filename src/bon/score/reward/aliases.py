"""Short names of published reward models and process reward models, and what is known of each; no model is loaded."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Literal

__all__ = ["Alias", "Domain", "alias_of", "aliases"]

Domain = Literal["chat", "maths", "code"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """A published model under a short name."""

    name: str
    id: str
    """Where it is published: `OWNER/NAME`."""
    family: str
    """Which adapter reads it."""
    size: str
    """Parameters, as its card says."""
    licence: str
    purpose: str
    """What it was trained to judge, in a line."""
    max_length: int | None = None
    """The longest row it was trained on, in tokens; None where its card does not say."""
    revision: str | None = None
    """Where its safetensors lie, where that is not its main branch."""
    good_at: tuple[Domain, ...] = ()
    """What its training data holds; empty where that is not known."""

    @property
    def line(self) -> str:
        """What it is, in a line."""
        longest = f", at most {self.max_length:,} tokens" if self.max_length else ""
        return f"{self.id}, {self.size}: {self.purpose} (licence: {self.licence}{longest})"


@cache
def aliases(kind: Literal["rm", "prm"]) -> Mapping[str, Alias]:
    """The models of a kind by their short names."""
    tables = tomllib.loads(files("bon.score.reward").joinpath("aliases.toml").read_text(encoding="utf-8"))[kind]
    found = {
        name: Alias(name=name, **{**table, "good_at": tuple(table.get("good_at", ()))})
        for name, table in tables.items()
    }
    return MappingProxyType(found)


def alias_of(kind: Literal["rm", "prm"], target: str) -> Alias | None:
    """What is known of a model that is named by its short name, or by where it is published; else None."""
    known = aliases(kind)
    return known.get(target) or next((alias for alias in known.values() if alias.id == target), None)
