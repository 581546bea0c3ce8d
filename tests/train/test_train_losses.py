"""The loss of a reward model, against TRL and by hand."""

from __future__ import annotations

import math
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest

from bon.train.losses import bradley_terry

torch = pytest.importorskip("torch")


def test_it_is_the_log_likelihood_of_bradley_and_terry() -> None:
    one = torch.tensor([1.0])
    loss = bradley_terry(one * 2, one * 0.5, margin=one * 0, target=one)
    assert float(loss) == pytest.approx(math.log(1 + math.exp(-1.5)))


@pytest.mark.parametrize("target", [0.0, 0.3, 0.5, 0.9])
def test_soft_targets_are_probabilities_and_stay_what_they_are(target: float) -> None:
    zero = torch.zeros(1)
    difference = torch.zeros(1, requires_grad=True)
    loss = bradley_terry(difference + 0.7, zero, margin=zero, target=torch.tensor([target]))
    loss.sum().backward()
    assert float(difference.grad) == pytest.approx(1 / (1 + math.exp(-0.7)) - target, abs=1e-6)


def test_the_least_loss_is_where_the_model_says_what_the_teacher_does() -> None:
    target, zero = torch.tensor([0.8]), torch.zeros(1)
    best = math.log(0.8 / 0.2)
    losses = [
        float(bradley_terry(torch.tensor([d]), zero, margin=zero, target=target))
        for d in (best - 0.1, best, best + 0.1)
    ]
    assert losses[1] < min(losses[0], losses[2])


class _Linear(torch.nn.Module):  # type: ignore[misc]
    """What TRL's trainer takes for a sequence classifier: a reward a row, of the ids themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(0.3))

    def forward(self, input_ids: Any, **_: Any) -> Any:
        class Out:
            logits = (input_ids.float().sum(1) * self.scale)[:, None]

        return Out()


@pytest.mark.parametrize("margin", [None, [0.5, -0.25, 0.0]])
@pytest.mark.parametrize("centre", [None, 0.01, 0.5])
def test_it_is_that_of_trl(margin: list[float] | None, centre: float | None) -> None:
    trl = pytest.importorskip("trl")
    model = _Linear()
    ids = torch.tensor([[3], [1], [-4], [2], [2], [-5]])  # three chosen, then three rejected
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if margin is not None:
        inputs["margin"] = torch.tensor(margin)
    # The trainer's own method, with what it reads of a trainer and no more.
    accelerator = SimpleNamespace(gather_for_metrics=lambda one: one, gather=lambda one: one)
    trainer = SimpleNamespace(
        model=model,
        args=SimpleNamespace(center_rewards_coefficient=centre),
        accelerator=accelerator,
        _total_train_tokens=0,
        _tp_size=1,
        _metrics={"train": defaultdict(list), "eval": defaultdict(list)},
    )
    theirs = trl.RewardTrainer.compute_loss(trainer, model, inputs)
    rewards = ids.float().sum(1) * model.scale
    wanted = torch.tensor(margin or [0.0] * 3)
    ours = bradley_terry(rewards[:3], rewards[3:], margin=wanted, target=torch.ones(3), centre=centre or 0.0)
    assert ours.mean().item() == pytest.approx(theirs.item(), rel=1e-6)
