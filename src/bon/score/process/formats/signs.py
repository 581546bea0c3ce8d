"""Process reward models that are language models: a step is as right as + is likelier than - at one position."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bon.score.reward.layers import vocabulary_rows

if TYPE_CHECKING:
    import torch

    from bon.models.backbone import Backbone
    from bon.score.reward.family import Checkpoint

__all__ = ["plus_against_minus"]


def plus_against_minus(
    checkpoint: Checkpoint, backbone: Backbone, *, plus: int, minus: int
) -> Callable[[torch.Tensor], list[float]]:
    """`p(+) / (p(+) + p(-))` from hidden states of shape `(steps, H)`; of the language head only two rows are used."""
    rows = vocabulary_rows(checkpoint, backbone, [plus, minus])

    def judge(states: torch.Tensor) -> list[float]:
        import torch

        probabilities: list[float] = torch.softmax(states @ rows.T, dim=-1)[:, 0].tolist()
        return probabilities

    return judge
