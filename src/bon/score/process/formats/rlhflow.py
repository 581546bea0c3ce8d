"""RLHFlow's PRMs on Llama 3.1: a chat in which every turn of the user is a step, and the assistant answers + or -."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bon.errors import ModelError, ScoreError
from bon.models.transformers import render_chat
from bon.score.process.encoding import Piece, clean, joined, problem_of
from bon.score.process.formats.format import Critic, Format, named
from bon.score.process.formats.signs import plus_against_minus
from bon.score.reward.encoding import as_text, spells_special
from bon.score.reward.family import Checkpoint, Options
from bon.score.reward.layers import part_of
from bon.score.reward.limits import limit_of, tokenizer_of
from bon.types import Message

if TYPE_CHECKING:
    from bon.models.reading import Row

__all__ = ["RLHFLOW"]


def _fits(checkpoint: Checkpoint) -> bool:
    return named(checkpoint, r"prm[-_](?:mistral|deepseek)[-_]data")


def _load(checkpoint: Checkpoint, options: Options) -> Critic:
    from bon.models.backbone import load_backbone

    backbone = load_backbone(checkpoint.source, heads=part_of(checkpoint.names, "lm_head"), **options.loading)
    tokenizer = tokenizer_of(backbone, options)
    if not tokenizer.chat_template:
        raise ModelError(f"the tokenizer of {checkpoint.source!r} has no chat template; name one with template=FILE")
    plus, minus = (tokenizer(sign, add_special_tokens=False)["input_ids"][-1] for sign in "+-")

    def encode(messages: Sequence[Message], steps: Sequence[str]) -> Row:
        return joined(_pieces(tokenizer, problem_of(messages), steps, plus))

    judge = plus_against_minus(checkpoint, backbone, plus=plus, minus=minus)
    return Critic(backbone=backbone, encode=encode, judge=judge, limit=limit_of(backbone, options), steps="auto")


def _pieces(tokenizer: Any, problem: str, steps: Sequence[str], plus: int) -> Iterator[Piece]:
    """The chat in pieces, each up to the token before the + of a step, and that +.

    Every step is answered with a +, whatever its score, as its authors do: all scores come of one reading.
    """
    chat, before = list[Message](), ""
    for step in steps:
        content = f"{problem} {clean(step.strip())}" if not chat else clean(step.strip())
        chat.append({"role": "user", "content": content})
        text = f"{render_chat(tokenizer, chat)}+"
        if not text.startswith(before):
            raise ScoreError("the chat template rewrites earlier turns, so not all steps can be read at once")
        ids = _ids(tokenizer, text[len(before) :], content)
        if ids[-1] != plus:
            raise ScoreError("the tokenizer merges the + with what stands before it: it is another model's")
        yield Piece(ids[:-1], read=True)
        yield Piece([plus])
        chat.append({"role": "assistant", "content": "+"})
        before = text


def _ids(tokenizer: Any, text: str, content: str) -> list[int]:
    """The ids of a piece of a rendered chat; what a step holds is text, also where it spells a special token."""
    if not spells_special(tokenizer, content):
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids
    head, found, tail = text.rpartition(content.strip())
    if not found:
        raise ScoreError("a step spells special tokens of the model, and its chat template rewrites it")
    return [
        *tokenizer(head, add_special_tokens=False)["input_ids"],
        *as_text(tokenizer, found),
        *tokenizer(tail, add_special_tokens=False)["input_ids"],
    ]


RLHFLOW = Format(
    name="rlhflow",
    source="RLHFlow/RLHF-Reward-Modeling 002679ae math-rm/prm_evaluate.py and README.md",
    fits=_fits,
    load=_load,
    reads=("template",),
)
"""`p = softmax(logits of + and -)[+]` at the token before each +; problem and first step are one turn."""
