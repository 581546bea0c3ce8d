"""Qwen2.5-Math-PRM: a chat whose answer is the steps, each ended by `<extra_0>`, where a head of two layers reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bon.errors import ModelError
from bon.score.process.encoding import Piece, begun, joined, only_token, step_ids
from bon.score.process.formats.format import Critic, Format
from bon.score.reward.family import Checkpoint, Options
from bon.score.reward.layers import chain, fitted, layers_of, outputs_of, part_of, taken
from bon.score.reward.limits import limit_of, tokenizer_of
from bon.types import Message

if TYPE_CHECKING:
    import torch

    from bon.models.reading import Row

__all__ = ["QWEN"]

_SYSTEM = r"Please reason step by step, and put your final answer within \boxed{}."
_END = "<extra_0>"
_HEAD = frozenset({"score.0.weight", "score.0.bias", "score.2.weight", "score.2.bias"})


def _fits(checkpoint: Checkpoint) -> bool:
    return checkpoint.architecture == "Qwen2ForProcessRewardModel"


def _load(checkpoint: Checkpoint, options: Options) -> Critic:
    from bon.models.backbone import load_backbone

    head = taken(checkpoint.weights, _HEAD)
    if outputs_of(head, "score") != 2:
        raise ModelError(
            f"{checkpoint.source!r} has a head of {outputs_of(head, 'score')} outputs; a PRM of Qwen has 2"
        )
    unused = part_of(checkpoint.names, "lm_head")  # the language head that it was made from and does not use
    backbone = load_backbone(checkpoint.source, heads=_HEAD | unused, **options.loading)
    fitted(head, layers_of(head, "score"), size=backbone.width)
    tokenizer = tokenizer_of(backbone, options)
    end = only_token(tokenizer, _END, what="a step's end")

    def encode(messages: Sequence[Message], steps: Sequence[str]) -> Row:
        chat = [message for message in messages if message.get("role") != "system"]

        def pieces() -> Iterator[Piece]:
            yield Piece(begun(tokenizer, [{"role": "system", "content": _SYSTEM}, *chat]))
            for step in steps:
                yield Piece(step_ids(tokenizer, step))
                yield Piece([end], read=True)

        return joined(pieces())

    def judge(states: torch.Tensor) -> list[float]:
        import torch

        right: list[float] = torch.softmax(chain(head, "score", states), dim=-1)[:, 1].tolist()
        return right

    return Critic(backbone=backbone, encode=encode, judge=judge, limit=limit_of(backbone, options), steps="blank")


QWEN = Format(
    name="qwen",
    source=(
        "the card of Qwen/Qwen2.5-Math-PRM-7B (0610740), transformers usage; vllm-project/vllm 002b4cf8 "
        "vllm/model_executor/models/qwen2_rm.py (Qwen2ForProcessRewardModel)"
    ),
    fits=_fits,
    load=_load,
    reads=("template",),
)
r"""`p = softmax(W2 relu(W1 h + b1) + b2)[1]` at each `<extra_0>`.

The system message is always the one it was trained with, in place of the chat's own; the steps stand one after the
other, without the blank lines between them.
"""
