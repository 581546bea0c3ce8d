"""ArmoRM: Llama with an output for each of 19 objectives, and a gate that weighs them by the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bon.score.reward.encoding import answered
from bon.score.reward.family import Checkpoint, Family, Judge, Options, Verdict
from bon.score.reward.gating import gate_of, gate_position, objectives_of
from bon.score.reward.layers import fitted, linear, part_of, taken
from bon.score.reward.limits import limit_of, tokenizer_of
from bon.types import Message

if TYPE_CHECKING:
    import torch

    from bon.models.reading import Row

__all__ = ["ARMO"]


def _fits(checkpoint: Checkpoint) -> bool:
    names = checkpoint.names
    return "gating.logit_scale" in names and "gating.layers.2.running_mean" not in names


def _load(checkpoint: Checkpoint, options: Options) -> Judge:
    from bon.models.backbone import load_backbone
    from bon.models.reading import Row

    names = part_of(checkpoint.names, "regression_layer", "gating", "reward_transform_matrix")
    head = taken(checkpoint.weights, names | {"regression_layer.weight", "reward_transform_matrix"})
    backbone = load_backbone(checkpoint.source, heads=names, **options.loading)
    tokenizer = tokenizer_of(backbone, options)
    fitted(head, ["regression_layer"], size=backbone.width)
    objectives = objectives_of(int(head["regression_layer.weight"].shape[0]))
    temperature = float(checkpoint.config.get("gating_temperature", 10))
    gate = gate_of(head, size=backbone.width, count=len(objectives), temperature=temperature)

    def encode(messages: Sequence[Message], answers: Sequence[str]) -> Row:
        ids = answered(tokenizer, messages, answers[0])
        return Row(ids=ids, at=(gate_position(tokenizer, ids), len(ids) - 1))

    def judge(states: torch.Tensor) -> Verdict:
        prompt, answer = states
        rewards = linear(head, "regression_layer", answer)
        weights = gate(prompt)
        value = (weights * (rewards @ head["reward_transform_matrix"])).sum()
        return Verdict(value=float(value), parts=dict(zip(objectives, rewards.tolist(), strict=True)))

    return Judge(backbone=backbone, encode=encode, judge=judge, limit=limit_of(backbone, options))


ARMO = Family(
    name="armo",
    source=(
        "modeling_custom.py of RLHFlow/ArmoRM-Llama3-8B-v0.1 (class LlamaForRewardModelWithGating); "
        "RLHFlow/RLHF-Reward-Modeling fc39179f armo-rm/stage-2_train.py; allenai/reward-bench 05a9005e armorm.py"
    ),
    fits=_fits,
    load=_load,
)
"""`r = sum_k g_k (T' R h_last)_k`, g from the state of the prompt's last token; the parts are `R h_last`."""
