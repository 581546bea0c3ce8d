"""Losses of reward models, one a row; tensors in, tensors out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["STEP_OUTPUTS", "StepLoss", "bradley_terry", "step_loss"]

StepLoss: TypeAlias = Literal["ce", "bce", "mse"]
STEP_OUTPUTS = {"ce": 2, "bce": 1, "mse": 1}
"""How many outputs a head has for each loss of steps."""


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


def step_loss(outputs: Tensor, labels: Tensor, loss: StepLoss) -> Tensor:
    """The loss of each step, shape `(steps,)`; outputs are `(steps, 2)` or `(steps, 1)`, labels in [0, 1] `(steps,)`.

    - "ce": cross-entropy of two outputs, wrong and right, as TRL's PRMTrainer has it for labels of 0 and 1;
    - "bce": the same with one output, whose logistic function is how likely the step is right;
    - "mse": the squared distance of one output from the label.

    A label between 0 and 1 is a teacher's probability (Wang et al. 2024, "Math-Shepherd", soft estimation), and is
    learned as it is: the cross-entropy with it is least at it.
    """
    from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax, mse_loss

    if loss == "ce":
        chances = log_softmax(outputs, dim=-1)
        return -(labels * chances[:, 1] + (1 - labels) * chances[:, 0])
    found: Tensor = (mse_loss if loss == "mse" else binary_cross_entropy_with_logits)(
        outputs[:, 0], labels, reduction="none"
    )
    return found
