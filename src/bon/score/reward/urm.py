"""URM: Llama 3.1 with a normal distribution for each of five objectives, and weights for them from the same state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bon.errors import ModelError
from bon.score.reward.encoding import answered
from bon.score.reward.family import Checkpoint, Family, Judge, Options, Verdict
from bon.score.reward.gating import objectives_of
from bon.score.reward.layers import chain, fitted, layers_of, linear, part_of, taken
from bon.score.reward.limits import limit_of, tokenizer_of
from bon.types import Message

if TYPE_CHECKING:
    import torch

    from bon.models.reading import Row

__all__ = ["URM"]

_GATE = "weights.fc"


def _fits(checkpoint: Checkpoint) -> bool:
    return bool(part_of(checkpoint.names, _GATE)) and "score.weight" in checkpoint.names


def _load(checkpoint: Checkpoint, options: Options) -> Judge:
    from torch.nn import functional

    from bon.models.backbone import load_backbone
    from bon.models.reading import Row

    names = part_of(checkpoint.names, "score", "weights")
    head = taken(checkpoint.weights, names | {"score.weight"})
    backbone = load_backbone(checkpoint.source, heads=names, **options.loading)
    gate = layers_of(head, _GATE)
    fitted(head, ["score"], size=backbone.width)
    fitted(head, gate, size=backbone.width)
    count, outputs = (int(head[f"{layer}.weight"].shape[0]) for layer in (gate[-1], "score"))
    if outputs != 2 * count:
        raise ModelError(
            f"{checkpoint.source!r} weighs {count} objectives and has {outputs} outputs: a URM has two for each, a "
            "mean and a spread"
        )
    tokenizer = tokenizer_of(backbone, options)
    objectives = objectives_of(count)

    def encode(messages: Sequence[Message], answers: Sequence[str]) -> Row:
        ids = answered(tokenizer, messages, answers[0])
        return Row(ids=ids, at=(len(ids) - 1,))

    def judge(states: torch.Tensor) -> Verdict:
        means = linear(head, "score", states[0]).reshape(count, 2)[:, 0]
        value = float((chain(head, _GATE, states[0], between=functional.selu) * means).sum())
        return Verdict(value=value, parts=dict(zip(objectives, means.tolist(), strict=True)))

    return Judge(backbone=backbone, encode=encode, judge=judge, limit=limit_of(backbone, options))


URM = Family(
    name="urm",
    source=(
        "sgl-project/sglang 71bcc5fb python/sglang/srt/models/llama_reward.py "
        "(LlamaForSequenceClassificationWithNormal_Weights); the card of LxzGordon/URM-LLaMa-3.1-8B"
    ),
    fits=_fits,
    load=_load,
)
"""`r = sum_k w_k m_k`, `w = W3 selu(W2 selu(W1 h))`, m the means among the head's pairs (mean, spread), at the last
token (Lou et al. 2024, "Uncertainty-aware Reward Model"); the parts are the means."""
