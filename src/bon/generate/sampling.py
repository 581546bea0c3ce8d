"""How the next token is chosen from logits, and what the model said of it: pure; randomness is an argument."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bon.errors import UsageError

if TYPE_CHECKING:
    import torch

__all__ = ["Sampling", "certainty", "log_probabilities", "next_tokens", "truncated"]

_HEADS = (256, 4096)
"""How many likely tokens `top_p` looks at before all: sorting a whole vocabulary costs more than a small model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are sampled. The fields apply in this order, each to what the ones before it left."""

    temperature: float = 1.0
    """0 takes the most likely token, always."""
    top_k: int = 0
    """How many of the most likely tokens may be drawn; 0 for all."""
    top_p: float = 1.0
    """The most likely tokens whose probabilities first reach this may be drawn (Holtzman et al. 2020)."""
    min_p: float = 0.0
    """Tokens less likely than this times the most likely one may not be drawn."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise UsageError(f"temperature is 0 or more, not {self.temperature!r}")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top_p is in (0, 1], not {self.top_p!r}")
        if self.top_k < 0:
            raise UsageError(f"top_k is 0 (all tokens) or more, not {self.top_k!r}")
        if not 0 <= self.min_p <= 1:
            raise UsageError(f"min_p is in [0, 1], not {self.min_p!r}")

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> Sampling:
        """The sampling that a request asks for; what it does not mention leaves the distribution as it is."""
        read = {"temperature": float, "top_k": int, "top_p": float, "min_p": float}
        try:
            return cls(**{name: kind(request[name]) for name, kind in read.items() if name in request})
        except (TypeError, ValueError) as error:
            raise UsageError(f"cannot sample as the request says: {error}") from error


def log_probabilities(logits: torch.Tensor) -> torch.Tensor:
    """The model's own distribution: log-softmax of the raw logits, at temperature 1 and before any truncation."""
    import torch

    return torch.log_softmax(logits.float(), dim=-1)


def certainty(logprobs: torch.Tensor) -> torch.Tensor:
    """Self-certainty KL(uniform || p) of each row, in nats: `-(1/V) sum_j log(V p_j)`, shape `(n, V)` to `(n,)`.

    Kang et al. 2025, "Scalable Best-of-N Selection for Large Language Models via Self-Certainty". `V` is the length of
    the logits, padding rows of the output matrix included.
    """
    return -logprobs.mean(dim=-1) - math.log(logprobs.shape[-1])


def truncated(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """The probabilities tokens are drawn with, up to a factor a row: 0 for what is cut off; shape `(n, V)`, float32.

    Tokens exactly as likely as the last one kept are kept too, so the set never depends on how a sort breaks ties.
    """
    import torch

    probs = torch.softmax(logits.float() / sampling.temperature, dim=-1)
    if 0 < sampling.top_k < probs.shape[-1]:
        least = probs.topk(sampling.top_k, dim=-1).values[:, -1:]
        probs = torch.where(probs >= least, probs, 0.0)
    if sampling.top_p < 1:
        probs = torch.where(probs >= _nucleus_edge(probs, sampling.top_p), probs, 0.0)
    if sampling.min_p > 0:
        probs = torch.where(probs >= sampling.min_p * probs.amax(dim=-1, keepdim=True), probs, 0.0)
    return probs


def next_tokens(logits: torch.Tensor, sampling: Sampling, uniforms: torch.Tensor) -> torch.Tensor:
    """One token a row: shape `(n, V)` to `(n,)`; `uniforms`, shape `(n,)`, in [0, 1), decide.

    The inverse of the distribution function over the vocabulary's own order, so that two tokens which swap their
    ranks by a rounding do not change a draw.
    """
    import torch

    if sampling.temperature == 0:
        return logits.argmax(dim=-1)
    if logits.device.type == "mps":
        logits = logits.cpu()  # Metal has no float64, and a sum over a vocabulary needs it
    mass = truncated(logits, sampling).cumsum(dim=-1, dtype=torch.float64)
    aim = uniforms.to(mass.device, torch.float64)[:, None] * mass[:, -1:]
    return torch.searchsorted(mass, aim, right=True).squeeze(-1).clamp(max=logits.shape[-1] - 1)


def _nucleus_edge(probs: torch.Tensor, top_p: float) -> torch.Tensor:
    """The least probability in each row's nucleus, shape `(n, 1)`."""
    aim = top_p * probs.sum(dim=-1, keepdim=True)
    for size in (*_HEADS, probs.shape[-1]):
        head = probs.topk(min(size, probs.shape[-1]), dim=-1).values
        if bool((head.sum(dim=-1, keepdim=True) >= aim).all()):
            break
    before = head.cumsum(dim=-1) - head
    kept = (before < aim).sum(dim=-1, keepdim=True)
    return head.gather(-1, (kept - 1).clamp(min=0))  # a row of NaN keeps none
