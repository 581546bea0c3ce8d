"""QRM: Llama 3 or Gemma 2 with quantiles of objectives and ArmoRM's gate; the reward is the gated mean of quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bon.errors import ModelError
from bon.score.reward.encoding import answered
from bon.score.reward.family import Checkpoint, Family, Judge, Options, Verdict
from bon.score.reward.gating import HELPSTEER, gate_of, gate_position, objectives_of
from bon.score.reward.layers import fitted, linear, part_of, taken
from bon.score.reward.limits import limit_of, tokenizer_of
from bon.types import Message

if TYPE_CHECKING:
    import torch

    from bon.models.reading import Row

__all__ = ["QRM"]

_TRANSFORM = "reward_transform_matrix"
"""Of the first models only, which have ArmoRM's 19 objectives and gate; the later have HelpSteer's and their own."""


def _fits(checkpoint: Checkpoint) -> bool:
    return "gating.layers.2.running_mean" in checkpoint.names


def _load(checkpoint: Checkpoint, options: Options) -> Judge:
    from bon.models.backbone import load_backbone
    from bon.models.reading import Row

    config = checkpoint.config
    names = part_of(checkpoint.names, "regression_layer", "gating", _TRANSFORM)
    head = taken(checkpoint.weights, names | {"regression_layer.weight"})
    first = _TRANSFORM in names
    count = int(head[_TRANSFORM].shape[0]) if first else int(config.get("num_objectives", len(HELPSTEER)))
    outputs = int(head["regression_layer.weight"].shape[0])
    if outputs % count:
        raise ModelError(
            f"{checkpoint.source!r}: {outputs} outputs are no whole number of quantiles of {count} objectives"
        )
    backbone = load_backbone(checkpoint.source, heads=names, **options.loading)
    fitted(head, ["regression_layer"], size=backbone.width)
    tokenizer = tokenizer_of(backbone, options)
    objectives = objectives_of(count)
    temperature = float(config.get("gating_temperature", 10 if first else 1))
    gate = gate_of(head, size=backbone.width, count=count, temperature=temperature)

    def encode(messages: Sequence[Message], answers: Sequence[str]) -> Row:
        ids = answered(tokenizer, messages, answers[0])
        return Row(ids=ids, at=(gate_position(tokenizer, ids), len(ids) - 1))

    def judge(states: torch.Tensor) -> Verdict:
        prompt, answer = states
        rewards = linear(head, "regression_layer", answer).reshape(count, outputs // count).mean(dim=1)
        if first:
            rewards = rewards @ head[_TRANSFORM]
        value = float((gate(prompt) * rewards).sum())
        return Verdict(value=value, parts=dict(zip(objectives, rewards.tolist(), strict=True)))

    return Judge(backbone=backbone, encode=encode, judge=judge, limit=limit_of(backbone, options))


QRM = Family(
    name="qrm",
    source=(
        "allenai/reward-bench 05a9005e rewardbench/models/qrm.py (nicolinho/QRM-Llama3-8B, QRM-Llama3.1-8B); for "
        "QRM-Gemma-2-27B its model.safetensors.index.json and modeling_custom.py as others describe them"
    ),
    fits=_fits,
    load=_load,
)
"""`r = sum_k g_k (T' m)_k`, m the mean of each objective's quantiles at the last token; the parts are `T' m`.

Later models have no T.
"""
