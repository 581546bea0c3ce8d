"""From text to token ids of which some are read: pieces are tokenised one by one and joined; runs no model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bon.errors import ModelError
from bon.models.reading import Row
from bon.models.transformers import encode_chat, render_chat
from bon.score.reward.encoding import as_text
from bon.types import Message, text_of

__all__ = ["Piece", "begun", "clean", "joined", "only_token", "problem_of", "step_ids"]


@dataclass(frozen=True, slots=True)
class Piece:
    """Some token ids, and whether the last of them is read."""

    ids: Sequence[int]
    read: bool = False


def joined(pieces: Iterable[Piece]) -> Row:
    """The ids of all pieces one after the other, up to the last position that is read; `at` are those positions.

    What comes after it cannot change what a causal model says there. Raises `ModelError` where a piece that is read
    has no tokens: a step would be lost.
    """
    ids, at = list[int](), list[int]()
    for piece in pieces:
        ids.extend(piece.ids)
        if piece.read:
            if not piece.ids:
                raise ModelError("the tokenizer makes no token of a step's end: give another separator")
            at.append(len(ids) - 1)
    return Row(ids=tuple(ids[: at[-1] + 1] if at else ids), at=tuple(at))


def clean(text: str) -> str:
    """A text of the same length without halves of surrogate pairs, which no tokenizer takes: they become "?"."""
    return text.encode(errors="replace").decode()


def step_ids(tokenizer: Any, step: str) -> list[int]:
    """The token ids of a step by itself, without the white space around it.

    What spells a special token is text like any other, so no solution can write a step's end, or the end of a turn,
    that is not there.
    """
    return as_text(tokenizer, clean(step.strip()))


def only_token(tokenizer: Any, text: str, *, what: str) -> int:
    """The one token that a text is. Raises `ModelError` where it is more: the tokenizer is another model's."""
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    if len(ids) != 1 or ids[0] == tokenizer.unk_token_id:
        raise ModelError(
            f"{what} is the token {text!r}, which this tokenizer reads as {tokenizer.convert_ids_to_tokens(ids)!r}: "
            "use the tokenizer that was published with the model"
        )
    return ids[0]


def begun(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """The ids of a chat up to where the answer begins, by its template; contents and a blank line where there is none.

    There is one BOS at most. Raises `UsageError` for a chat that the template refuses.
    """
    text = clean(render_chat(tokenizer, messages))
    return encode_chat(tokenizer, text if tokenizer.chat_template else f"{text}\n\n")


def problem_of(messages: Sequence[Message]) -> str:
    """What is asked, for models that were trained on a bare problem: the contents of all but system messages."""
    return clean("\n\n".join(text_of(message) for message in messages if message.get("role") != "system"))
