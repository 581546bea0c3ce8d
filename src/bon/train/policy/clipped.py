"""The clipped losses of PPO, one a token or an answer; pure, on tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["policy_losses", "value_losses"]


def policy_losses(new: Tensor, old: Tensor, advantages: Tensor, *, clip: float) -> tuple[Tensor, Tensor]:
    """-min(ratio A, clip(ratio, 1 - clip, 1 + clip) A) and where it is clipped (1, else 0): shapes as given.

    ratio = exp(new - old), log-probabilities of tokens or of whole answers; `old` and the advantages hold no gradient.
    Where new is old the gradient is that of REINFORCE, -A grad log pi (Schulman et al. 2017, eq. 7).
    """
    import torch

    ratio = (new - old).exp()
    plain, bounded = -advantages * ratio, -advantages * ratio.clamp(1 - clip, 1 + clip)
    return torch.maximum(plain, bounded), (bounded > plain).to(new.dtype)


def value_losses(new: Tensor, old: Tensor, targets: Tensor, *, clip: float) -> Tensor:
    """Half the squared error of values, the larger of that of `new` and of `new` kept within `clip` of `old`."""
    import torch

    near = old + (new - old).clamp(-clip, clip)
    return 0.5 * torch.maximum((new - targets) ** 2, (near - targets) ** 2)
