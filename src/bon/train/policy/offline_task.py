"""What is learned from pools and by which loss, as a task of the loop that trains everything; it trains nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from bon.errors import UsageError
from bon.train.order import passes
from bon.train.policy.choices import Choosing, Kind
from bon.train.policy.offline import balance, bonbon, dpo, nll, target_gap
from bon.train.policy.referred import Referred, spoken
from bon.train.recipe import Task

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Loss", "Offline", "loss_of", "task_of"]

Judged: TypeAlias = "Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Mapping[str, Tensor]]]"
"""(log pi(chosen), log pi(rejected), log pi_ref(chosen) - log pi_ref(rejected)) -> losses and figures, `(rows,)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offline:
    """What is learned from pools, and by which loss."""

    kind: Kind
    choosing: Choosing = field(default_factory=Choosing)
    beta: float = 0.1
    """How strongly DPO holds the policy to the reference; it says nothing to the others."""
    alpha: float | None = None
    """BoNBoN's weight of the likelihood of the best; None: that which makes both terms equal before the first step."""
    temperature: float | None = None
    """By which logits are divided in log-probabilities, as they were when the pools were drawn; None: as those say."""
    held_out: float = 0.0
    """A share of the prompts that is measured on and not trained on; the best weights by it are kept. 0: none, and the
    weights are those of the last step."""
    max_length: int | None = None
    """Most tokens of a prompt and its answer; longer ones are left out. None: what the model has positions for."""

    def __post_init__(self) -> None:
        for name in ("beta", "temperature"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"{name} is {value!r}: give a number above 0")
        if self.alpha is not None and not 0 <= self.alpha <= 1:
            raise UsageError(f"alpha is {self.alpha!r}: give a number from 0 to 1")
        if self.max_length is not None and self.max_length < 2:
            raise UsageError(f"max_length is {self.max_length!r}: give a whole number from 2")
        if not 0 <= self.held_out < 1:
            raise UsageError(f"the share held out is {self.held_out!r}: give one from 0 to below 1 (0.1 is a tenth)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What is minimised on rows."""

    judged: Judged
    numbers: Mapping[str, float] = field(default_factory=dict)
    """Those in its formula, by name."""
    weight: float = 1.0
    """What a row's loss is divided by: for `sft` the tokens that responses have on average, so that learning rates and
    gradients are of the usual size. The same for every row: long responses count with all of their tokens."""


def loss_of(offline: Offline, n: int | None, rows: Sequence[Referred]) -> Loss:
    """The loss for these rows; `n` is BoNBoN's N. Raises UsageError where that is not known."""
    if offline.kind == "sft":
        return Loss(judged=_likelihood, weight=math.fsum(len(row.example.chosen) for row in rows) / len(rows))
    if offline.kind == "dpo":
        return Loss(judged=_against(partial(dpo, beta=offline.beta)), numbers={"beta": offline.beta})
    if n is None:
        raise UsageError("BoNBoN's loss has one N: say which (n=8)")
    gap = target_gap(n)
    mean = -math.fsum(row.chosen for row in rows) / len(rows)
    alpha = balance(mean, gap) if offline.alpha is None else offline.alpha
    return Loss(judged=_against(partial(bonbon, alpha=alpha, gap=gap)), numbers={"alpha": alpha, "target_gap": gap})


def task_of(
    loss: Loss, rows: Sequence[Referred], held: Sequence[Referred], *, temperature: float, tokens: int | None
) -> Task[Referred]:
    """The task for `fit`: rows, losses a row, and figures on rows held out, if there are any."""

    def objective(model: Any, some: Sequence[Referred]) -> tuple[Tensor, Mapping[str, Tensor]]:
        import torch

        chosen, rejected = spoken(model, [row.example for row in some], temperature=temperature)
        gaps = torch.tensor([row.chosen - row.rejected for row in some], device=chosen.device, dtype=chosen.dtype)
        return loss.judged(chosen, rejected, gaps)

    def held_out(model: Any) -> Mapping[str, float]:
        sums: dict[str, float] = {}
        for cut in passes([row.example.tokens for row in held], tokens):
            losses, figures = objective(model, [held[place] for place in cut])
            for name, values in {"loss": losses / loss.weight, **figures}.items():
                sums[name] = sums.get(name, 0.0) + float(values.double().sum())
        return {name: total / len(held) for name, total in sums.items()}

    return Task(
        rows=rows,
        objective=objective,
        length=lambda row: row.example.tokens,
        weight=lambda _: loss.weight,
        held_out=held_out if held else None,
    )


def _likelihood(chosen: Tensor, _: Tensor, __: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
    found = nll(chosen)
    return found, {"nll": found}


def _against(loss: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Judged:
    """A loss of pairs, with how far they have come apart since the reference."""

    def judged(chosen: Tensor, rejected: Tensor, reference_gap: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        gap = chosen - rejected - reference_gap
        return loss(chosen, rejected, reference_gap), {"nll": nll(chosen), "gap": gap, "accuracy": (gap > 0).float()}

    return judged
