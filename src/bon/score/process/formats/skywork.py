"""Skywork-o1-Open-PRM: BOS, the problem and the lines of the solution, with a value head read at the ends of lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bon.errors import ModelError
from bon.score.process.encoding import Piece, clean, joined, problem_of
from bon.score.process.formats.format import Critic, Format
from bon.score.reward.encoding import as_text
from bon.score.reward.family import Checkpoint, Options
from bon.score.reward.layers import chain, fitted, outputs_of, part_of, taken
from bon.score.reward.limits import limit_of
from bon.types import Message

if TYPE_CHECKING:
    import torch

    from bon.models.reading import Row

__all__ = ["SKYWORK"]

_ROOT = "v_head.summary"
_HEAD = frozenset({f"{_ROOT}.weight", f"{_ROOT}.bias"})


def _fits(checkpoint: Checkpoint) -> bool:
    return f"{_ROOT}.weight" in checkpoint.names


def _load(checkpoint: Checkpoint, options: Options) -> Critic:
    from bon.models.backbone import load_backbone

    head = taken(checkpoint.weights, _HEAD)
    if outputs_of(head, _ROOT) != 1:
        raise ModelError(f"{checkpoint.source!r} has a value head of {outputs_of(head, _ROOT)} outputs; it should be 1")
    unused = part_of(checkpoint.names, "lm_head")  # the language head that it was made from and does not use
    backbone = load_backbone(checkpoint.source, heads=_HEAD | unused, **options.loading)
    fitted(head, [_ROOT], size=backbone.width)
    tokenizer = backbone.tokenizer
    newline: int = tokenizer("\n", add_special_tokens=False)["input_ids"][-1]

    def encode(messages: Sequence[Message], steps: Sequence[str]) -> Row:
        return joined(_pieces(tokenizer, problem_of(messages), steps, newline))

    def judge(states: torch.Tensor) -> list[float]:
        import torch

        right: list[float] = torch.sigmoid(chain(head, _ROOT, states))[:, 0].tolist()
        return right

    return Critic(backbone=backbone, encode=encode, judge=judge, limit=limit_of(backbone, options), steps="newline")


def _pieces(tokenizer: Any, problem: str, steps: Sequence[str], newline: int) -> Iterator[Piece]:
    """Every line of the solution by itself, then its end, where it was read in training.

    Blank lines stay, as lines without tokens. A step is read at the end of its last line that is not blank, so there
    is one score a step, whatever it is cut by.
    """
    bos = tokenizer.bos_token_id
    yield Piece([*([] if bos is None else [bos]), *as_text(tokenizer, f"{problem}\n")])
    for step in steps:
        lines = clean(step).removesuffix("\n").split("\n")
        last = max((place for place, line in enumerate(lines) if line.strip()), default=len(lines) - 1)
        for place, line in enumerate(lines):
            yield Piece([*(as_text(tokenizer, line) if line else []), newline], read=place == last)


SKYWORK = Format(
    name="skywork",
    source=(
        "SkyworkAI/skywork-o1-prm-inference bd299c8b vllm_add_dummy_model/prm_model.py; its model_utils/io_utils.py "
        "and prm_model.py as kept in openreasoner/openr 0b5704ee"
    ),
    fits=_fits,
    load=_load,
)
"""`p = sigmoid(w h + b)` at each line's end."""
