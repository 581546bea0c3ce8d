"""PRMs that TRL's PRMTrainer wrote: the prompt, then each step and a newline, where a token classifier is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bon.errors import ModelError
from bon.score.process.encoding import Piece, joined, problem_of, step_ids
from bon.score.process.formats.format import Critic, Format
from bon.score.reward.family import Checkpoint, Options
from bon.score.reward.layers import chain, fitted, outputs_of, taken
from bon.score.reward.limits import limit_of
from bon.types import Message

if TYPE_CHECKING:
    import torch

    from bon.models.reading import Row

__all__ = ["TRL"]

_HEAD = frozenset({"score.weight", "score.bias"})


def _fits(checkpoint: Checkpoint) -> bool:
    return checkpoint.architecture.endswith("ForTokenClassification") and "score.weight" in checkpoint.names


def _load(checkpoint: Checkpoint, options: Options) -> Critic:
    from bon.models.backbone import load_backbone

    head = taken(checkpoint.weights, _HEAD)
    if outputs_of(head, "score") != 2:
        raise ModelError(
            f"{checkpoint.source!r} tells {outputs_of(head, 'score')} labels; a PRM tells 2, wrong and right"
        )
    backbone = load_backbone(checkpoint.source, heads=_HEAD, **options.loading)
    fitted(head, ["score"], size=backbone.width)
    tokenizer = backbone.tokenizer
    end: list[int] = tokenizer("\n", add_special_tokens=False)["input_ids"]
    bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]

    def encode(messages: Sequence[Message], steps: Sequence[str]) -> Row:
        def pieces() -> Iterator[Piece]:
            yield Piece([*bos, *step_ids(tokenizer, problem_of(messages))])
            for step in steps:
                yield Piece(step_ids(tokenizer, step))
                yield Piece(end, read=True)

        return joined(pieces())

    def judge(states: torch.Tensor) -> list[float]:
        import torch

        right: list[float] = torch.softmax(chain(head, "score", states), dim=-1)[:, 1].tolist()
        return right

    return Critic(backbone=backbone, encode=encode, judge=judge, limit=limit_of(backbone, options), steps="auto")


TRL = Format(
    name="trl",
    source="huggingface/trl 0161f79b trl/experimental/prm/prm_trainer.py (PRMTrainer.tokenize_row)",
    fits=_fits,
    load=_load,
)
"""`p = softmax(W h + b)[1]` at each newline."""
