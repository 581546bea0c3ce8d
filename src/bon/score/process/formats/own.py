"""Our own format, which `bon train prm` writes: the chat, then each step and the separator, whose last token is read.

Training and inference encode by the same function. It is TRL's stepwise format (`prompt`, `completions`, a separator
after each completion, the label on its last token; trl/trainer/prm_trainer.py of trl 0.24) with the prompt as a chat.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bon.score.process.encoding import Encoded, Piece, as_text, begun, joined
from bon.types import Message

__all__ = ["SEPARATOR", "encode_own"]

SEPARATOR = "\n\n"
"""What ends a step where a model does not say otherwise."""


def encode_own(
    tokenizer: Any, messages: Sequence[Message], steps: Sequence[str], *, separator: str = SEPARATOR
) -> Encoded:
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
            yield Piece(as_text(tokenizer, step.strip()))
            yield Piece(end, read=True)

    return joined(pieces())
