"""Losses of trainings from scored pools: NLL, DPO and BoNBoN, on summed log-probabilities; tensors in, tensors out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bon.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["balance", "bonbon", "dpo", "nll", "target_gap"]


def nll(chosen: Tensor) -> Tensor:
    """-log pi(y) of each response, shape `(rows,)`: what BoN-SFT minimises on the best of N draws.

    Its mean over such draws is KL(pi_bon || pi) up to a constant, so log-probabilities are summed over tokens and never
    divided by their number: a mean a response would learn another law.
    """
    return -chosen


def dpo(chosen: Tensor, rejected: Tensor, reference_gap: Tensor, *, beta: float) -> Tensor:
    """-log s(beta [(log pi(w) - log pi(l)) - (log pi_ref(w) - log pi_ref(l))]) of each pair, all of shape `(rows,)`.

    Rafailov et al. 2023, "Direct Preference Optimization", Eq. 7; s is the logistic function, w and l are the chosen
    and the rejected response, and `reference_gap` is log pi_ref(w) - log pi_ref(l).
    """
    from torch.nn.functional import logsigmoid

    return -logsigmoid(beta * (chosen - rejected - reference_gap))


def bonbon(chosen: Tensor, rejected: Tensor, reference_gap: Tensor, *, alpha: float, gap: float) -> Tensor:
    """`alpha` (-log pi(best)) + (1 - alpha) [(log ratio of the best) - (log ratio of the worst) - gap]^2, of each row.

    Gui et al. 2024, "BoNBoN Alignment for Large Language Models and the Sweetness of Best-of-n Sampling": all of shape
    `(rows,)`, `reference_gap` as for `dpo`, `gap` (their 1 / (2 beta)) as `target_gap` has it. Unlike IPO as TRL has
    it, nothing is divided by a number of tokens: the gap is one between whole responses.
    """
    return alpha * -chosen + (1 - alpha) * (chosen - rejected - reference_gap - gap) ** 2


def target_gap(n: int) -> float:
    """By how much more best-of-n raises the log-probability of its best draw than that of its worst: (n - 1) H_(n-1).

    With rewards that do not tie log pi_bon - log pi_ref is log n + (n - 1) log F. The best of n has E[log F] = -1 / n,
    and the worst -(1 + 1/2 + ... + 1/n); 18.15 nats apart at n = 8. Raises UsageError for n below 1.
    """
    if n < 1:
        raise UsageError(f"n is {n!r}: give a whole number from 1")
    return (n - 1) * math.fsum(1 / k for k in range(1, n))


def balance(likelihood: float, gap: float) -> float:
    """The alpha with which both terms of `bonbon` are equal before the first step; it stays what it is from then on.

    `likelihood` is the mean of -log pi_ref(best), in nats; the other term is then `gap` squared, as both log ratios are
    still 0. Nothing is left of the first term where the gap is 0 (n = 1): the reference stays as it is.
    """
    return gap**2 / (likelihood + gap**2) if gap else 0.0
