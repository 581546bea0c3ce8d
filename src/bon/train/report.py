"""What came of training a reward model, as frozen values; nothing here computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bon.train.metrics import Figure
from bon.train.probes import Probes
from bon.train.recipe import Done

__all__ = ["Report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of training a reward model; figures are of held-out pairs."""

    out: str
    source: str
    """Where the preferences came from; empty where nobody said."""
    base: str
    adapt: Literal["head", "lora", "full"]
    train: int
    """Pairs trained on."""
    watched: int
    """Pairs that said when to stop, and which weights are best."""
    held_out: int
    """Pairs measured on. No two of the three share a prompt."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Why -> how many rows or pairs were not used."""
    figures: Mapping[str, Figure]
    """`accuracy`, `auc`, `loss`, `calibration`, `gap`."""
    before: Mapping[str, float]
    """The same before the first step."""
    probes: Probes
    done: Done
