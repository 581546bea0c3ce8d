"""LDL-Reward: Gemma 2 with a distribution over ten levels for each of 22 objectives, and weights for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bon.errors import ModelError
from bon.score.reward.encoding import answered
from bon.score.reward.family import Checkpoint, Family, Judge, Options, Verdict
from bon.score.reward.layers import chain, fitted, layers_of, part_of
from bon.score.reward.limits import limit_of, tokenizer_of
from bon.types import Message

if TYPE_CHECKING:
    import torch

    from bon.models.reading import Row

__all__ = ["LDL"]

_HEADS = ("regression_layer", "gating_layer")
_LEVELS = 10


def _fits(checkpoint: Checkpoint) -> bool:
    if checkpoint.architecture.startswith("LDLReward"):
        return True
    return all(
        any((checkpoint.folder / f"{name}{end}").is_file() for end in (".pt", ".safetensors")) for name in _HEADS
    )


def _load(checkpoint: Checkpoint, options: Options) -> Judge:
    import torch
    from torch.nn import functional

    from bon.models.backbone import load_backbone
    from bon.models.reading import Row

    head = {name: tensor for root in _HEADS for name, tensor in _head(checkpoint.folder, root).items()}
    names = part_of(checkpoint.names, *_HEADS)
    backbone = load_backbone(checkpoint.source, heads=names, **options.loading)
    for root in _HEADS:
        fitted(head, layers_of(head, f"{root}.network"), size=backbone.width)
    tokenizer = tokenizer_of(backbone, options)
    temperature = float(checkpoint.config.get("temperature", 1.0))
    softmax = bool(checkpoint.config.get("softmax", False))
    levels = torch.linspace(0, 1, _LEVELS)

    def encode(messages: Sequence[Message], answers: Sequence[str]) -> Row:
        ids = answered(tokenizer, messages, answers[0])
        return Row(ids=ids, at=(len(ids) - 1,))

    def judge(states: torch.Tensor) -> Verdict:
        logits = chain(head, "regression_layer.network", states[0], between=functional.leaky_relu)
        levelled = torch.softmax(logits.reshape(-1, _LEVELS), dim=-1) @ levels
        weights = chain(head, "gating_layer.network", states[0], between=functional.leaky_relu)
        if softmax:
            weights = torch.softmax(weights / temperature, dim=-1)
        parts = {f"objective-{i}": value for i, value in enumerate(levelled.tolist())}
        return Verdict(value=float(weights @ levelled), parts=parts)

    return Judge(backbone=backbone, encode=encode, judge=judge, limit=limit_of(backbone, options))


def _head(folder: Path, root: str) -> dict[str, torch.Tensor]:
    """One of the two heads, which lie in files of their own. Raises ModelError where it is only there as a pickle."""
    from safetensors.torch import load_file

    path = folder / f"{root}.safetensors"
    if not path.is_file():
        raise ModelError(
            f"{str(folder)!r} has its {root} as a pickle, which can run code when it is read: convert it somewhere you "
            f"trust it, with safetensors.torch.save_file(torch.load('{root}.pt', weights_only=True), '{path.name}')"
        )
    return {f"{root}.{name}": tensor.float() for name, tensor in load_file(path).items()}


LDL = Family(
    name="ldl",
    source="allenai/reward-bench 05a9005e rewardbench/models/ldlreward.py (ShikaiChen/LDL-Reward-Gemma-2-27B-v0.1)",
    fits=_fits,
    load=_load,
)
"""`r = sum_k w_k E_k`, E_k the mean level (0 to 1) of objective k, w from the same state; the parts are the E_k."""
