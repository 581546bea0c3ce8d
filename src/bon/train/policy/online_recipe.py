"""What a policy is trained towards on its own draws, and how, as frozen values; nothing here computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from bon.errors import UsageError
from bon.stats.subsets import Floats
from bon.train.policy.objectives import Aim
from bon.train.policy.outcome import Cost
from bon.types import Candidate, Prompt

__all__ = ["OnlineRecipe", "OnlineTask", "Reward"]

Reward: TypeAlias = "Callable[[Sequence[tuple[Prompt, Sequence[Candidate]]]], Sequence[Sequence[float | None]]]"
"""Prompts, each with its answers -> a reward an answer; None where there is none. Called once a step.

Answers are candidates as `hf:` makes them, so that a reward may look at more than their text: at `reasoning`, at
`usage`, and at `finish_reason`, which is "length" where one was cut."""


_RANGES: tuple[tuple[tuple[str, ...], Callable[[float], bool], str], ...] = (
    (("lr", "adam_eps", "clip", "value_clip", "temperature", "max_grad_norm"), lambda value: value > 0, "above 0"),
    (("gamma", "lam"), lambda value: 0 <= value <= 1, "from 0 to 1"),
    (("warmup",), lambda value: 0 <= value < 1, "from 0 to below 1, a share of the steps"),
    (("weight_decay", "value_coef"), lambda value: value >= 0, "from 0"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineTask:
    """What a policy learns from what it draws itself."""

    prompts: Sequence[Prompt]
    aim: Aim
    reward: Reward
    samples: Mapping[str, Floats] = field(default_factory=dict)
    """By the id of its prompt, the rewards of the reference's samples in increasing order, shape `(M,)`: for aims that
    rank, and for the share of them that is beaten, which is only looked at."""
    identity: Mapping[str, Any] = field(default_factory=dict)
    """What makes it the same training beside prompts, samples, aim, setup and recipe: the scorer, above all."""
    preprocessing: Cost = field(default_factory=Cost)
    """What the samples took."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """What of the data is not trained on, by reason."""
    notes: tuple[str, ...] = ()
    """What a reader of the report must know of the data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineRecipe:
    """How a policy is optimised on its own draws: AdamW (Loshchilov and Hutter 2019), RLOO or PPO.

    The defaults of PPO are those of Huang et al. 2024, "The N+ Implementation Details of RLHF with PPO".
    """

    algorithm: Literal["rloo", "ppo"] = "rloo"
    """REINFORCE with a leave-one-out baseline (Ahmadian et al. 2024), or PPO (Schulman et al. 2017) with a value head
    and GAE."""
    episodes: int = 3200
    """Answers drawn in all; rounded up to whole steps."""
    rollouts: int = 64
    """Answers drawn a step."""
    draws: int = 1
    """Of them, answers to one prompt."""
    epochs: int | None = None
    """How often a step's answers are learned from; None: once by RLOO, four times by PPO."""
    minibatch: int | None = None
    """Answers an update; None: all of a step."""
    lr: float = 1e-5
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the rate falls to 0 over all steps, after the warm-up."""
    warmup: float = 0.0
    """Share of the steps in which the rate rises from 0."""
    adam_eps: float = 1e-5
    weight_decay: float = 0.0
    max_grad_norm: float | None = 1.0
    """Gradients of a larger norm are scaled down to it; None: never."""
    clip: float = 0.2
    """How far the ratio of new to old probability counts: of a token (PPO), of an answer (RLOO)."""
    value_clip: float = 0.2
    """How far a value may go from the old one before its loss stops falling."""
    value_coef: float = 0.2
    gamma: float = 1.0
    lam: float = 0.95
    whiten: bool | None = None
    """Whether advantages are brought to mean 0 and variance 1 over a step's tokens (PPO) or answers (RLOO); None: by
    PPO only. It takes the scale of the objective out, which no exact result of RLOO allows."""
    temperature: float = 1.0
    """Divides the logits in drawing and in every log-probability, of the policy and of the reference."""
    max_tokens: int = 64
    """Tokens of an answer, the one that ends it included, at the most."""
    tokens: int | None = None
    """Tokens a pass, padding included, at the most; None: one pass an update."""
    seed: int = 0
    save_seconds: float = field(default=300.0, compare=False)
    """Seconds after which a checkpoint is due."""

    def __post_init__(self) -> None:
        for name in ("episodes", "rollouts", "draws", "epochs", "minibatch", "max_tokens", "tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value!r}: give a whole number from 1")
        for names, allowed, wanted in _RANGES:
            for name in names:
                value = getattr(self, name)
                if value is not None and not (math.isfinite(value) and allowed(value)):
                    raise UsageError(f"{name} is {value!r}: give a number {wanted}")
        if self.algorithm not in ("rloo", "ppo"):
            raise UsageError(f"there is no algorithm {self.algorithm!r}: there are 'rloo' and 'ppo'")
        if self.rollouts % self.draws:
            raise UsageError(f"{self.rollouts} rollouts a step are no whole number of prompts with {self.draws} draws")
        if self.minibatch is not None and self.minibatch > self.rollouts:
            raise UsageError(
                f"a minibatch of {self.minibatch} answers is more than the {self.rollouts} rollouts of a step: give "
                f"minibatch={self.rollouts} or less, or leave it out, which takes all of a step"
            )
        if self.rollouts == 1 and self.algorithm == "rloo":
            raise UsageError("RLOO compares an answer with others of its step: give rollouts=2 or more")

    @property
    def passes(self) -> int:
        """How often a step's answers are learned from."""
        return self.epochs if self.epochs is not None else 4 if self.algorithm == "ppo" else 1

    @property
    def whitens(self) -> bool:
        """Whether advantages are whitened."""
        return self.algorithm == "ppo" if self.whiten is None else self.whiten

    @property
    def steps(self) -> int:
        """Steps in all."""
        return math.ceil(self.episodes / self.rollouts)
