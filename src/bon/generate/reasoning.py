"""Separates a model's thinking from its answer: a leading <think> block is reasoning, never text."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Split", "split_reasoning"]

_OPEN, _CLOSE = "<think>", "</think>"


class Split(NamedTuple):
    """An answer taken apart."""

    reasoning: str | None
    text: str
    closed: bool
    """False when the block was never closed: the answer itself has not begun."""


def split_reasoning(raw: str) -> Split:
    """Take a leading <think> block off an answer.

    A block without an end is all reasoning, and the text is empty. Some chat templates open the block themselves, so
    an answer may also begin inside it: a `</think>` without an opening tag ends the reasoning too.
    """
    body = raw.lstrip()
    opened = body.startswith(_OPEN)
    head, close, tail = (body[len(_OPEN) :] if opened else raw).partition(_CLOSE)
    if close and (opened or _OPEN not in head):
        return Split(head.strip(), tail.lstrip(), True)
    if opened:
        return Split(head.strip(), "", False)
    return Split(None, raw, True)
