"""Losses of reward models, one a row; tensors in, tensors out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["bradley_terry"]


def bradley_terry(chosen: Tensor, rejected: Tensor, *, margin: Tensor, target: Tensor, centre: float = 0.0) -> Tensor:
    """The loss of each pair, all of shape `(rows,)`: -[p log s(d) + (1 - p) log s(-d)] + c (chosen + rejected)^2.

    d is chosen - rejected - margin, s the logistic function, p the `target`, c `centre`. With p = 1 it is the negative
    log-likelihood of Bradley and Terry (1952), with the margin of Touvron et al. 2023 ("Llama 2", section 3.2.2) and
    the centring of Eisenstein et al. 2023 ("Helping or Herding?"), which keeps rewards about 0: what is learned from
    pairs is otherwise free by a constant a prompt. A soft target is the cross-entropy with a teacher's probability.
    """
    from torch.nn.functional import logsigmoid

    difference = chosen - rejected - margin
    likelihood = target * logsigmoid(difference) + (1 - target) * logsigmoid(-difference)
    return centre * (chosen + rejected) ** 2 - likelihood
