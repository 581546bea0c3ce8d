"""What was measured of policies, best-of-N and their reference on test prompts, as values; nothing here computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bon.evaluation.frontier.gap import Gap
from bon.evaluation.frontier.pareto import Share

__all__ = ["Amount", "BestRow", "CostRow", "Frontier", "Measured", "MethodRow", "Reference", "RunRow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One policy on test prompts, drawn at one temperature; the figures are means over its draws of a prompt."""

    run: str
    """Its folder."""
    method: str
    """`vbon-eq5`, `ppo`, `sft` ..."""
    setting: str
    """What sets it apart from others of its method: `n=4`."""
    seed: int
    temperature: float
    ids: tuple[str, ...]
    """Of the prompts, shape `(P,)`."""
    kl: tuple[float, ...]
    """Shape `(P,)`: KL(policy || reference) in nats, of whole responses, over the whole vocabulary at each token."""
    reward: tuple[float, ...]
    """Shape `(P,)`: the mean reward."""
    win: tuple[float, ...]
    """Shape `(P,)`: the share of the reference's samples that a draw beats, those as good counted half."""
    draws: int
    """Of a prompt."""
    length: float
    """Mean tokens of a response, the one that ends it included."""
    ended: float
    """The share of draws that came to their own end, and were not cut off."""
    seconds: float | None = None
    """Of drawing one answer, many of them side by side."""
    missing: Mapping[str, int] = field(default_factory=dict)
    """Draws, or prompts, that are not among these, by reason."""
    cost: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """What its training took: part -> seconds, tokens, draws."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The reference's samples of test prompts, drawn at one temperature."""

    name: str
    temperature: float
    ids: tuple[str, ...]
    """Shape `(P,)`."""
    rewards: tuple[tuple[float, ...], ...]
    """Shape `(P, M)`, ragged: what is measured."""
    chosen: tuple[tuple[float, ...], ...] | None = None
    """The same of what best-of-N chooses by, where that is another scorer than the one that measures."""
    log_probs: tuple[tuple[float, ...], ...] | None = None
    """The same of log pi_ref of each sample, in nats, under the distribution it was drawn from; None: not known."""
    length: float | None = None
    """Mean tokens of a sample."""
    seconds: float | None = None
    """Of drawing one sample, many of them side by side; None: they were drawn elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """A mean over prompts, with the ends of its interval over them."""

    value: float
    low: float | None
    high: float | None
    why: str = ""
    """Why there are no ends, where there are none: `one prompt`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run at one temperature, as the frontier shows it."""

    run: str
    method: str
    setting: str
    seed: int
    temperature: float
    kl: Amount
    reward: Amount
    win: Amount
    length: float
    ended: float
    on_front: Mapping[str, bool] = field(default_factory=dict)
    """Of "win" and "reward": whether no other run is as near and as good; at the reference's temperature only."""
    gap: Mapping[str, Gap] = field(default_factory=dict)
    """Of "win" and "reward": what it lacks to best-of-N at its KL; at the reference's temperature only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BestRow:
    """Best-of-N at one N: as measured, and as theory has it."""

    n: int
    kl: Amount
    """An estimate, or the bound where log-probabilities are not known (`Frontier.kl_estimated`)."""
    reward: Amount
    win: Amount
    bound: float
    """log N - (N - 1) / N."""
    most: float
    """N / (N + 1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodRow:
    """All runs of a method together; "win" and "reward" are what the keys are."""

    method: str
    runs: int
    share: Mapping[str, Share]
    gap: Mapping[str, Gap]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    """What one answer takes, and what it took to get there: means over the runs of a method; None where not known."""

    method: str
    """Or `best of N`, which takes N draws of the reference for an answer, and no training."""
    draws: int
    """Of a model, for one answer."""
    tokens: float | None
    """Drawn for one answer."""
    seconds: float | None
    """Of drawing one answer, as this was measured."""
    optimisation_seconds: float | None = None
    """Of the whole training: rewards, log-probabilities, gradients; without drawing."""
    optimisation_tokens: float | None = None
    drawing_seconds: float | None = None
    """Of drawing from the policy while it was trained."""
    preprocessing_seconds: float | None = None
    """Of drawing and scoring the reference's samples, which are made once for all runs."""
    preprocessing_tokens: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontier:
    """What `bon frontier` found."""

    reference: str
    scorer: str
    prompts: int
    samples: int
    """Of the reference, for each prompt, at the least."""
    temperature: float
    """At which best-of-N and the front are measured: the reference's own."""
    runs: Sequence[RunRow]
    best: Sequence[BestRow]
    kl_estimated: bool
    methods: Sequence[MethodRow]
    costs: Sequence[CostRow]
    notes: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
