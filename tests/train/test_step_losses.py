"""Losses of steps: against torch's own cross-entropy over whole rows of labels, and where a soft label is least."""

from __future__ import annotations

import numpy as np
import pytest

from bon.score.process.formats.own import likelihoods
from bon.train.losses import STEP_OUTPUTS, StepLoss, step_loss

torch = pytest.importorskip("torch")


def test_cross_entropy_is_that_of_a_token_classifier_whose_other_labels_are_ignored() -> None:
    """What TRL's PRMTrainer minimises: labels over the whole row, -100 wherever no step ends."""
    torch.manual_seed(0)
    logits = torch.randn(2, 9, 2)
    labels = torch.full((2, 9), -100)
    for row, at, label in ((0, 3, 1), (0, 7, 0), (1, 2, 0), (1, 4, 1), (1, 8, 1)):
        labels[row, at] = label
    theirs = torch.nn.functional.cross_entropy(logits.reshape(-1, 2), labels.reshape(-1), ignore_index=-100)
    here = labels >= 0
    ours = step_loss(logits[here], labels[here].float(), "ce")
    assert ours.shape == (5,)
    assert float(ours.mean()) == pytest.approx(float(theirs), abs=1e-6)


def test_one_output_is_two_of_which_the_first_is_zero() -> None:
    z, labels = torch.linspace(-6, 6, 13), torch.linspace(0, 1, 13)
    two = step_loss(torch.stack([torch.zeros_like(z), z], dim=1), labels, "ce")
    one = step_loss(z[:, None], labels, "bce")
    assert torch.allclose(one, two, atol=1e-6)


def test_squares_are_of_the_output_as_it_is() -> None:
    outputs, labels = torch.tensor([[0.2], [1.3]]), torch.tensor([0.7, 1.0])
    assert step_loss(outputs, labels, "mse").tolist() == pytest.approx([0.25, 0.09])


@pytest.mark.parametrize("loss", ["ce", "bce", "mse"])
@pytest.mark.parametrize("label", [0.0, 0.3, 0.85, 1.0])
def test_what_is_learned_of_a_soft_label_is_the_label(loss: StepLoss, label: float) -> None:
    """Not whether it is above a half: a label that is made an int would be learned as 0."""
    outputs = torch.zeros(1, STEP_OUTPUTS[loss], requires_grad=True)
    optimizer = torch.optim.Adam([outputs], lr=0.1)
    for _ in range(400):
        optimizer.zero_grad()
        step_loss(outputs, torch.tensor([label]), loss).sum().backward()
        optimizer.step()
    assert float(likelihoods(outputs.detach(), loss)[0]) == pytest.approx(label, abs=0.02)


def test_it_stays_finite_where_the_model_is_sure() -> None:
    for loss in ("ce", "bce"):
        outputs = torch.tensor([[0.0] * (STEP_OUTPUTS[loss] - 1) + [z] for z in (-300.0, 300.0)])
        found = step_loss(outputs, torch.tensor([1.0, 0.0]), loss)
        assert np.isfinite(found.numpy()).all(), loss
        assert found.tolist() == pytest.approx([300.0, 300.0])
