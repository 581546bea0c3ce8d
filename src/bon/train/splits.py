"""Which rows train and which are held out: rows that share a prompt, a group or a text are never parted; pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from bon.errors import UsageError
from bon.store.sampling import draw, thresholds
from bon.types import Message, text_of

__all__ = ["components", "normalised", "prompt_key", "split_rows"]

R = TypeVar("R")

_BREAKS = re.compile(r"[\W_]+")


def normalised(text: str) -> str:
    """A text by which copies of it are known: letters and digits alone, in small letters, one space between words.

    A text without letters or digits stands for itself.
    """
    flat = unicodedata.normalize("NFKC", text).casefold()
    return _BREAKS.sub(" ", flat).strip() or flat


def prompt_key(messages: Sequence[Message]) -> str:
    """What the prompts of two rows have in common where they are the same: roles and normalised texts."""
    return "\n".join(f"{message.get('role')}: {normalised(text_of(message))}" for message in messages)


def components(keys: Sequence[Iterable[str]]) -> list[str]:
    """For each row the name of its part: rows that share a key, directly or through others, have the same.

    A part's name is the smallest of its keys, so it does not depend on the order of rows.
    """
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    first: list[str] = []
    for row in keys:
        own = list(row)
        if not own:
            raise ValueError("a row without keys belongs nowhere")
        for key in own:
            parent.setdefault(key, key)
            one, other = sorted((root(own[0]), root(key)))
            parent[other] = one
        first.append(own[0])
    return [root(key) for key in first]


def split_rows(
    rows: Sequence[R], keys: Callable[[R], Iterable[str]], *, fraction: float, seed: int = 0
) -> tuple[list[R], list[R]]:
    """Rows to train on, and about `fraction` of their parts, held out; both in the order they came in.

    `keys` are what a row must not share with one on the other side. Which part goes where follows from its name and the
    seed. Raises UsageError for a fraction that is none, and where either side would be empty.
    """
    if not 0 < fraction < 1:
        raise UsageError(f"the share held out is {fraction!r}: give one between 0 and 1 (0.1 is a tenth)")
    parts = components([list(keys(row)) for row in rows])
    border = thresholds((("", draw(part, seed, "held out")) for part in sorted(set(parts))), fraction).get("", 0.0)
    held = [draw(part, seed, "held out") < border for part in parts]
    train = [row for row, out in zip(rows, held, strict=True) if not out]
    rest = [row for row, out in zip(rows, held, strict=True) if out]
    if not train or not rest:
        raise UsageError(
            f"{len(rows)} rows of {len(set(parts))} prompts cannot be split: {len(train)} would train and {len(rest)} "
            "be held out; give more data, another share, or held-out data of its own"
        )
    return train, rest
