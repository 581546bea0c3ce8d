"""Math-Shepherd: the problem and the steps, each ended by " ки", where the language model says + or -."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bon.errors import ModelError, ScoreError
from bon.score.process.encoding import clean, problem_of
from bon.score.process.formats.format import Critic, Format, named
from bon.score.process.formats.signs import plus_against_minus
from bon.score.reward.family import Checkpoint, Options
from bon.score.reward.layers import part_of
from bon.score.reward.limits import limit_of
from bon.types import Message

if TYPE_CHECKING:
    from bon.models.reading import Row

__all__ = ["MATH_SHEPHERD"]

_END = " ки"


def _fits(checkpoint: Checkpoint) -> bool:
    return named(checkpoint, r"shepherd")


def _load(checkpoint: Checkpoint, options: Options) -> Critic:
    from bon.models.backbone import load_backbone

    backbone = load_backbone(checkpoint.source, heads=part_of(checkpoint.names, "lm_head"), **options.loading)
    tokenizer = backbone.tokenizer
    end, plus, minus = _tokens(tokenizer, checkpoint.source)

    def encode(messages: Sequence[Message], steps: Sequence[str]) -> Row:
        row = _encoded(tokenizer, problem_of(messages), steps)
        if any(row.ids[at] != end for at in row.at):
            raise ScoreError("the tokenizer merges a step with its end: this is not the tokenizer of Math-Shepherd")
        return row

    judge = plus_against_minus(checkpoint, backbone, plus=plus, minus=minus)
    return Critic(backbone=backbone, encode=encode, judge=judge, limit=limit_of(backbone, options), steps="auto")


def _tokens(tokenizer: Any, source: str) -> tuple[int, int, int]:
    """The tokens of a step's end, of + and of -, as its card finds them: 12902, 648 and 387."""
    if not tokenizer.is_fast:
        raise ModelError(f"the tokenizer of {source!r} does not say which token is where; it needs its tokenizer.json")
    signs: list[int] = tokenizer("+ -", add_special_tokens=False)["input_ids"]
    end: int = tokenizer(_END.strip(), add_special_tokens=False)["input_ids"][-1]
    if len(signs) != 2 or tokenizer.unk_token_id in (*signs, end):
        raise ModelError(f"the tokenizer of {source!r} has not one token each for +, - and {_END.strip()!r}")
    return end, signs[0], signs[1]


def _encoded(tokenizer: Any, problem: str, steps: Sequence[str]) -> Row:
    """The ids of one text, as its card makes it: SentencePiece would begin each piece with a space of its own.

    So a step's end is found by where in the text it stands, and not by its token, which a step may hold, too.
    """
    from bon.models.reading import Row

    text, ends = f"{problem} ", list[int]()
    for step in steps:
        text += f"{clean(step.strip())}{_END}"
        ends.append(len(text))
        text += "\n"
    found = tokenizer(text, return_offsets_mapping=True, split_special_tokens=True)
    last = {stop: place for place, (start, stop) in enumerate(found["offset_mapping"]) if stop > start}
    try:
        at = tuple(last[end] for end in ends)
    except KeyError:
        raise ScoreError("the tokenizer merges a step's end with what follows it") from None
    return Row(ids=tuple(found["input_ids"][: at[-1] + 1]), at=at)


MATH_SHEPHERD = Format(
    name="math_shepherd",
    source="the card of peiyi9979/math-shepherd-mistral-7b-prm, usage; Wang et al. 2024, arXiv 2312.08935",
    fits=_fits,
    load=_load,
)
"""`p = softmax(logits of + and -)[+]` at each ки; its training data has steps that begin with "Step 1: "."""
