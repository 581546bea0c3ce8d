"""What came of training a process reward model, as frozen values; nothing here computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bon.train.losses import StepLoss
from bon.train.metrics import Figure
from bon.train.recipe import Done
from bon.train.step_probes import StepProbes

__all__ = ["StepReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """What came of training a process reward model; figures are of held-out solutions."""

    out: str
    source: str
    """Where the solutions came from; empty where nobody said."""
    base: str
    adapt: Literal["head", "lora", "full"]
    loss: StepLoss
    train: int
    """Solutions trained on."""
    steps: int
    """Labelled steps among them."""
    watched: int
    """Solutions that said when to stop, and which weights are best."""
    held_out: int
    """Solutions measured on. No two of the three share a prompt."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Why -> how many candidates were not used."""
    figures: Mapping[str, Figure]
    """Those of `step_metrics.figures_of_steps`."""
    before: Mapping[str, float]
    """The same before the first step."""
    probes: StepProbes
    done: Done
