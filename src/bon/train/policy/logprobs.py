"""Log-probabilities of responses under a causal model: of their own tokens alone, in one pass over many prompts."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bon.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "Batch",
    "collate",
    "full_kl",
    "kl_of",
    "log_probs_of",
    "sequence_log_probs",
    "spreads",
    "takes_positions",
    "token_log_probs",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Prompts padded at the left and responses padded at the right, so that all responses begin in one column."""

    inputs: Mapping[str, Any] = field(repr=False)
    """What a causal model is called with; it then gives logits of shape `(B, T + 1, V)`, the last of which predict
    what nobody asks for."""
    targets: Tensor = field(repr=False)
    """Shape `(B, T)`: the response's tokens; 0 where there is none."""
    mask: Tensor = field(repr=False)
    """Shape `(B, T)`, bool: where there is one. It follows from lengths, not from a padding token, which may well be
    the one that ends an answer."""


def collate(model: Any, prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]]) -> Batch:
    """The batch of B prompts with a response each, for `model`, on its device.

    Raises UsageError for an empty prompt, which leaves the first token of a response without a prediction.
    """
    import torch

    if not all(prompts):
        raise UsageError("a prompt has no tokens: there is nothing to go on from")
    device = next(model.parameters()).device
    before, after = max(map(len, prompts)), max(map(len, responses))
    rows = [
        [*[0] * (before - len(prompt)), *prompt, *response, *[0] * (after - len(response))]
        for prompt, response in zip(prompts, responses, strict=True)
    ]
    ids = torch.tensor(rows, device=device).reshape(len(rows), before + after)
    lengths = torch.tensor([len(response) for response in responses], device=device)
    mask = torch.arange(after, device=device) < lengths[:, None]
    starts = torch.tensor([before - len(prompt) for prompt in prompts], device=device)[:, None]
    columns = torch.arange(before + after, device=device)
    inputs = {
        "input_ids": ids,
        "attention_mask": (columns >= starts).long(),  # what is padded at the right is never attended to
        "use_cache": False,
        "logits_to_keep": after + 1,
    }
    if min(map(len, prompts)) < before and takes_positions(model):
        inputs["position_ids"] = (columns - starts).clamp(min=0)
    return Batch(inputs=inputs, targets=ids[:, before:] * mask, mask=mask)


def token_log_probs(
    model: Any, prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], *, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Log pi(token | prompt, tokens before it) of each token of B responses, `(logp, mask)`, both of shape `(B, T)`.

    `responses` are the tokens as they were drawn, the one that ended an answer included where one did: none is added.
    The logits are divided by `temperature`, as in sampling. Float32, and exactly 0 outside of the mask. Gradients
    flow, unless they are switched off around the call.
    """
    batch = collate(model, prompts, responses)
    logits = model(**batch.inputs).logits[:, :-1]
    return log_probs_of(logits, batch, temperature=temperature), batch.mask


def sequence_log_probs(
    model: Any, prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], *, temperature: float = 1.0
) -> Tensor:
    """Log pi(response | prompt), summed over tokens and not divided by their number: shape `(B,)`, float32."""
    found, _ = token_log_probs(model, prompts, responses, temperature=temperature)
    return found.sum(dim=-1)


def full_kl(
    model: Any,
    reference: Any,
    prompts: Sequence[Sequence[int]],
    responses: Sequence[Sequence[int]],
    *,
    temperature: float = 1.0,
) -> Tensor:
    """A Rao-Blackwell estimate of KL(model || reference) from responses that `model` drew, shape `(B,)`, in nats.

    At each token of a response the divergence over the whole vocabulary is computed, and these are summed: unbiased,
    never negative, and of less variance than the log ratio of the drawn tokens (Amini, Vieira and Cotterell 2025,
    "Better Estimation of the KL Divergence Between Language Models").
    """
    batch = collate(model, prompts, responses)
    ours = model(**batch.inputs).logits[:, :-1]
    theirs = reference(**batch.inputs).logits[:, :-1]
    return kl_of(ours, theirs, batch.mask, temperature=temperature)


def log_probs_of(logits: Tensor, batch: Batch, *, temperature: float) -> Tensor:
    """Of logits of shape `(B, T, V)`, the log-probability of each target: shape `(B, T)`, float32, 0 off the mask."""
    scaled = logits.float() / temperature
    chosen = scaled.gather(-1, batch.targets[..., None]).squeeze(-1)
    return (chosen - scaled.logsumexp(dim=-1)).where(batch.mask, 0.0)


def spreads(logits: Tensor, reference: Tensor, mask: Tensor, *, temperature: float) -> tuple[Tensor, Tensor]:
    """Of each next-token distribution its entropy and its KL to the reference's, over the whole vocabulary, in nats.

    Both of shape `(B, T)`, float32, 0 outside of the mask.
    """
    import torch

    log_p = torch.log_softmax(logits.float() / temperature, dim=-1)
    log_q = torch.log_softmax(reference.float() / temperature, dim=-1)
    p = log_p.exp()
    entropy, kl = -(p * log_p).sum(dim=-1), (p * (log_p - log_q)).sum(dim=-1)
    return entropy.where(mask, 0.0), kl.where(mask, 0.0)


def kl_of(logits: Tensor, reference: Tensor, mask: Tensor, *, temperature: float) -> Tensor:
    """The sum over positions in the mask of KL(softmax(logits) || softmax(reference)): shape `(B,)`, float64."""
    return spreads(logits, reference, mask, temperature=temperature)[1].double().sum(dim=-1)


def takes_positions(model: Any) -> bool:
    """Whether a model is told positions; those with ALiBi find them in the attention mask."""
    plain = getattr(model, "module", model)
    plain = plain.get_base_model() if hasattr(plain, "get_base_model") else plain
    return "position_ids" in inspect.signature(plain.forward).parameters
