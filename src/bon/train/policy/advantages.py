"""How much better than expected what was drawn is: leave-one-out baselines, GAE, whitening; pure, on tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["gae", "rloo", "whiten"]


def rloo(returns: Tensor, groups: Tensor, weights: Tensor | None = None) -> Tensor:
    """The return of each answer less the mean return of the others of its group, shape `(B,)`.

    `groups`, shape `(B,)`, numbers what is compared: answers to one prompt, or all of a step, where each prompt has one
    answer only. Answers are drawn independently of one another, so the baseline does not depend on the answer that it
    is taken from, and the gradient is unbiased either way; answers to one prompt vary less (Ahmadian et al. 2024,
    "Back to Basics", eq. 8; Kool et al. 2019). An answer whose weight is 0 counts nowhere. One that is left alone in
    its group is compared with all others of the step, which is unbiased for the same reason.
    """
    import torch

    counted = torch.ones_like(returns) if weights is None else weights.to(returns)
    worth = returns * counted
    size = int(groups.max()) + 1
    sums, counts = (returns.new_zeros(size).index_add(0, groups, of)[groups] for of in (worth, counted))
    alone = counts - counted < 1
    sums, counts = torch.where(alone, worth.sum(), sums), torch.where(alone, counted.sum(), counts)
    others = counts - counted
    baseline = torch.where(others > 0, (sums - worth) / others.clamp(min=1), 0.0)
    return (returns - baseline) * counted


def gae(rewards: Tensor, values: Tensor, mask: Tensor, *, gamma: float, lam: float) -> Tensor:
    """Generalised advantage estimates (Schulman et al. 2016, eq. 16) of each token, shape `(B, T)`, 0 off the mask.

    `mask` is True from the first token to the last one of each answer. Nothing follows the last token, whether it
    ended the answer or the answer was cut there: the horizon is `max_tokens`, the return of an answer is whole, and
    there is no value to go on from.
    """
    import torch

    advantages = torch.zeros_like(values)
    ahead, following = torch.zeros_like(values[:, 0]), torch.zeros_like(values[:, 0])
    for at in reversed(range(values.shape[1])):
        error = rewards[:, at] + gamma * following - values[:, at]
        ahead = torch.where(mask[:, at], error + gamma * lam * ahead, 0.0)
        following = torch.where(mask[:, at], values[:, at], 0.0)
        advantages[:, at] = ahead
    return advantages


def whiten(values: Tensor, mask: Tensor) -> Tensor:
    """Values brought to mean 0 and variance 1 over the mask, 0 outside of it; only centred where they are all equal."""
    kept = values[mask]
    if not kept.numel():
        return values.where(mask, 0.0)
    spread = kept.std(unbiased=False)
    return ((values - kept.mean()) / (spread if spread > 0 else 1.0)).where(mask, 0.0)
