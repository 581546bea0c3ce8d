"""From text to token ids of which some are read: pieces are tokenised one by one and joined; runs no model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bon.errors import ModelError
from bon.models.transformers import encode_chat, render_chat
from bon.types import Message

__all__ = ["Encoded", "Piece", "as_text", "begun", "joined", "only_token"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """A solution as a model reads it."""

    ids: tuple[int, ...]
    at: tuple[int, ...]
    """Positions in `ids` at which the model says something of a step: one a step, rising."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some token ids, and whether the last of them is read."""

    ids: Sequence[int]
    read: bool = False


def joined(pieces: Iterable[Piece]) -> Encoded:
    """The ids of all pieces one after the other, up to the last position that is read.

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
    return Encoded(ids=tuple(ids[: at[-1] + 1] if at else ids), at=tuple(at))


def as_text(tokenizer: Any, text: str) -> list[int]:
    """The token ids of a text as it stands: none is added, and what spells a special token is text like any other.

    So no solution can write a step's end, or the end of a turn, that is not there. Lone surrogates become "?".
    """
    text = text.encode(errors="replace").decode()
    ids: list[int] = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return ids


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

    There is one BOS at most.
    """
    text = render_chat(tokenizer, messages)
    return encode_chat(tokenizer, text if tokenizer.chat_template else f"{text}\n\n")
