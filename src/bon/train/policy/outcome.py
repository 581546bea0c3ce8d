"""What came of training a policy, as frozen values; nothing here computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Cost", "PolicyReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one part of the work took."""

    seconds: float = 0.0
    tokens: int = 0
    draws: int = 0
    """Answers that these are of."""

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            seconds=self.seconds + other.seconds,
            tokens=self.tokens + other.tokens,
            draws=self.draws + other.draws,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyReport:
    """What a training was and came to."""

    out: str
    """The folder; `hf:OUT` draws from it."""
    method: str
    """`vbon-eq5`, `vbon-l`, `vbon-l1`, `vbon-eq5-authors`, `vbon-l-authors`, `ppo`, `sft`, `dpo`, `bonbon`."""
    reference: str
    revision: str | None = None
    adapt: str
    settings: Mapping[str, Any]
    """All that the training was made with."""
    seed: int
    steps: int
    """Of the optimiser, or of the loop around it where each has several."""
    episodes: int
    """Answers that were learned from, each counted as often as it was met."""
    prompts: int
    first: Mapping[str, float] = field(default_factory=dict)
    """Figures of the first step."""
    last: Mapping[str, float] = field(default_factory=dict)
    """The same of the last."""
    cost: Mapping[str, Cost] = field(default_factory=dict)
    """`inference`: drawing answers from the policy; over its draws it is what one answer costs, of which best-of-N
    takes N. `optimisation`: rewards, log-probabilities and gradients. `preprocessing`: drawing and scoring the samples
    of the reference that are made once, as far as their pools say it."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Rows or answers that were not learned from, by reason."""
    notes: tuple[str, ...] = ()
    """What a reader must know: what was not checked, what was warned of."""
