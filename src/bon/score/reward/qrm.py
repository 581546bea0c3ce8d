"""QRM: Llama 3 with quantiles of 19 objectives and ArmoRM's gate; the reward is the gated mean of the quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bon.errors import ModelError
from bon.score.reward.encoding import answered
from bon.score.reward.family import Checkpoint, Family, Judge, Options, Verdict
from bon.score.reward.gating import gate, gate_position, objectives_of
from bon.score.reward.layers import linear, part_of, taken
from bon.score.reward.limits import limit_of, tokenizer_of
from bon.types import Message

if TYPE_CHECKING:
    import torch

    from bon.models.reading import Row

__all__ = ["QRM"]


def _fits(checkpoint: Checkpoint) -> bool:
    return "gating.layers.2.running_mean" in checkpoint.names


def _load(checkpoint: Checkpoint, options: Options) -> Judge:
    from bon.models.backbone import load_backbone
    from bon.models.reading import Row

    names = part_of(checkpoint.names, "regression_layer", "gating", "reward_transform_matrix")
    head = taken(checkpoint.weights, names | {"regression_layer.weight", "reward_transform_matrix"})
    count = int(head["reward_transform_matrix"].shape[0])
    outputs = int(head["regression_layer.weight"].shape[0])
    if outputs % count:
        raise ModelError(
            f"{checkpoint.source!r}: {outputs} outputs are no whole number of quantiles of {count} objectives"
        )
    backbone = load_backbone(checkpoint.source, heads=names, **options.loading)
    tokenizer = tokenizer_of(backbone, options)
    temperature = float(checkpoint.config.get("gating_temperature", 10))
    objectives = objectives_of(count)
    gating = {name: tensor for name, tensor in head.items() if name.startswith("gating.")}

    def encode(messages: Sequence[Message], answers: Sequence[str]) -> Row:
        ids = answered(tokenizer, messages, answers[0])
        return Row(ids=ids, at=(gate_position(tokenizer, ids), len(ids) - 1))

    def judge(states: torch.Tensor) -> Verdict:
        prompt, answer = states
        quantiles = linear(head, "regression_layer", answer).reshape(count, outputs // count)
        rewards = quantiles.mean(dim=1) @ head["reward_transform_matrix"]
        weights = gate(gating, prompt, temperature=temperature, normalised=True)
        return Verdict(
            value=float((weights * rewards).sum()), parts=dict(zip(objectives, rewards.tolist(), strict=True))
        )

    return Judge(backbone=backbone, encode=encode, judge=judge, limit=limit_of(backbone, options))


QRM = Family(
    name="qrm",
    source="allenai/reward-bench 05a9005e rewardbench/models/qrm.py (nicolinho/QRM-Llama3-8B, QRM-Llama3.1-8B)",
    fits=_fits,
    load=_load,
)
"""`r = sum_k g_k (T' m)_k`, m the mean of each objective's quantiles at the last token; the parts are `T' m`."""
