"""Our own format, which `bon train prm` writes: the chat, then each step and the separator, whose last token is read.

Training and inference encode by the same function. It is TRL's stepwise format (`prompt`, `completions`, a separator
after each completion, the label on its last token: huggingface/trl 0161f79b, trl/experimental/prm/prm_trainer.py) with
the prompt as a chat.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bon.errors import ModelError
from bon.models.own import read_manifest
from bon.score.process.encoding import Piece, begun, joined, step_ids
from bon.score.process.formats.format import Critic, Format
from bon.score.reward.family import Checkpoint, Options
from bon.score.reward.limits import limit_of, tokenizer_of
from bon.types import Message

if TYPE_CHECKING:
    import torch

    from bon.models.reading import Row

__all__ = ["OWN", "SEPARATOR", "encode_own", "likelihoods"]

SEPARATOR = "\n\n"
"""What ends a step where a model does not say otherwise."""
_OUTPUTS = {"ce": 2, "bce": 1, "mse": 1}


def encode_own(tokenizer: Any, messages: Sequence[Message], steps: Sequence[str], *, separator: str = SEPARATOR) -> Row:
    r"""Token ids of a chat and of the steps of its answer; `at` are the last tokens of the separators, one a step.

    The steps are tokenised one by one, without the white space around them, and the separator by itself: whatever a
    tokenizer would merge across their border (".\n\n" is one token of many), a step's end is as it was in training.
    A separator may be a special token (`<extra_0>`); a step that spells one is text. Raises `UsageError` for a chat
    that the template refuses, `ModelError` for a separator without tokens.
    """
    end = tokenizer(separator, add_special_tokens=False)["input_ids"]

    def pieces() -> Iterator[Piece]:
        yield Piece(begun(tokenizer, messages))
        for step in steps:
            yield Piece(step_ids(tokenizer, step))
            yield Piece(end, read=True)

    return joined(pieces())


def likelihoods(outputs: torch.Tensor, loss: str) -> torch.Tensor:
    """How likely steps are right, shape `(...)`, from a head's outputs, shape `(..., 1)` or `(..., 2)`.

    By the loss it was trained with: "ce" softmax of two outputs, the second is right; "bce" sigmoid of one; "mse" one
    as it is, which may lie a little outside of [0, 1]. Raises `ModelError` for another loss or number of outputs.
    """
    if _OUTPUTS.get(loss) != outputs.shape[-1]:
        raise ModelError(f"a head of {outputs.shape[-1]} outputs trained by {loss!r} is none of {_OUTPUTS!r}")
    if loss == "ce":
        return outputs.softmax(dim=-1)[..., 1]
    return outputs[..., 0].sigmoid() if loss == "bce" else outputs[..., 0]


def _fits(checkpoint: Checkpoint) -> bool:
    return checkpoint.reward is not None and checkpoint.reward.get("kind") == "prm"


def _load(checkpoint: Checkpoint, options: Options) -> Critic:
    from bon.models.heads import load_head
    from bon.models.own import load_base

    manifest = read_manifest(checkpoint.folder)
    head = load_head(checkpoint.folder)
    backbone = load_base(checkpoint.folder, manifest, dtype=options.dtype, device=options.device)
    tokenizer = tokenizer_of(backbone, options)
    separator = SEPARATOR if manifest.separator is None else manifest.separator

    def encode(messages: Sequence[Message], steps: Sequence[str]) -> Row:
        return encode_own(tokenizer, messages, steps, separator=separator)

    def judge(states: torch.Tensor) -> list[float]:
        import torch

        with torch.inference_mode():
            right: list[float] = likelihoods(head(states), manifest.loss).tolist()
        return right

    limit = limit_of(backbone, options, default=manifest.max_length)
    return Critic(backbone=backbone, encode=encode, judge=judge, limit=limit, steps=manifest.steps or "auto")


OWN = Format(
    name="own", source="bon/models/own.py and bon/models/heads.py", fits=_fits, load=_load, reads=("template",)
)
"""`p` by the loss of the training, at the last token of each separator."""
