"""Rows of a training by what they are for: to learn from, to stop by, to measure on; pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Generic, Protocol, TypeVar

from bon.store.plain import canonical
from bon.train.splits import prompt_key, split_rows
from bon.types import Message

__all__ = ["Example", "Parts", "digest", "of_prompt", "parted"]

_WATCHED = 0.1
"""Share of the prompts that are left to train on, by whose rows it is stopped: what chooses weights does not measure
them."""


class Example(Protocol):
    """What any row has that a reward model learns from."""

    @property
    def messages(self) -> tuple[Message, ...]: ...

    @property
    def group(self) -> str:
        """Rows of one group are never parted."""
        ...

    @property
    def hard(self) -> bool:
        """Whether it was chosen because a model was wrong about it: such a row trains, and measures nothing."""
        ...


E = TypeVar("E", bound=Example)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts(Generic[E]):
    """Rows by what they are for; no two parts share a prompt."""

    train: Sequence[E]
    watched: Sequence[E]
    held: Sequence[E]
    left_out: Mapping[str, int]


def of_prompt(row: Example) -> list[str]:
    """What rows on two sides of a split must not share: their prompt, and their group where they have one."""
    return [f"prompt {prompt_key(row.messages)}", *([f"group {row.group}"] if row.group else [])]


def parted(
    rows: Sequence[E],
    held_out: float | Sequence[E],
    *,
    left_out: Mapping[str, int],
    seed: int = 0,
    keys: Callable[[E], Sequence[str]] = of_prompt,
) -> Parts[E]:
    """`held_out`, what is measured on, is a share of the prompts, or rows of their own, whose prompts then train none.

    Of the other prompts a tenth says when to stop. `keys` says what rows must share to belong together, where that is
    not their prompt. Raises UsageError where a part would be empty.
    """
    reasons = dict(left_out)
    if isinstance(held_out, int | float):
        rest, held = split_rows(rows, keys, fraction=held_out, seed=seed)
    else:
        held = list(held_out)
        there = {key for row in held for key in keys(row)}
        rest = [row for row in rows if there.isdisjoint(keys(row))]
        if len(rest) < len(rows):
            reasons["it shares its prompt, or a text, with what is held out"] = len(rows) - len(rest)
    train, watched = split_rows(rest, keys, fraction=_WATCHED, seed=seed)
    return Parts(
        train=train,
        watched=[row for row in watched if not row.hard],
        held=[row for row in held if not row.hard],
        left_out=reasons,
    )


def digest(rows: Sequence[Any]) -> str:
    """What tells rows (frozen dataclasses) from others, whatever group they were said to be of."""
    known = hashlib.sha256()
    for row in rows:
        known.update(canonical({**asdict(row), "group": ""}))
    return known.hexdigest()
