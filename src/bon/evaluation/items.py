"""What is kept of a scored pool to measure its scorers: labels and values, not texts; pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from bon.store.convert.helpsteer import ATTRIBUTES
from bon.types import Pool, Score, text_of

__all__ = [
    "CORRECT",
    "GRADES",
    "UNNAMED",
    "UNSCORED",
    "Item",
    "Outcome",
    "Said",
    "chosen",
    "cluster_of",
    "item_of",
    "preferred",
]

CORRECT = "correct"
"""The scorer that holds the labels: 1 right, 0 wrong, None neither."""

GRADES = (*ATTRIBUTES, "preference", "score")
"""The scorers that hold graded labels; what else a file of pools holds are scores like those that are measured."""

UNNAMED = "all"
"""The subset of items that name none."""

Values: TypeAlias = tuple[float | None, ...]

_FACTS = (
    "section", "goal", "domain", "tie", "group", "label", "annotators", "first_error", "error_steps",
)  # fmt: skip
"""What aggregations read of the metadata."""

_ORDER = "order "


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one scorer said of a pool with `n` candidates."""

    values: Values
    """Shape `(n,)`."""
    orders: Mapping[str, Values] = field(default_factory=dict)
    """By the order in which the candidates were shown ("1,0"), where that is known: values of shape `(n,)`."""
    steps: tuple[float, ...] | None = None
    """Of the first candidate: a score a step."""
    first_error: float | None = None
    """Of the first candidate: the part `first_error`, from 0, -1 for none; of critics that say where the error is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A pool, as far as measuring needs it."""

    id: str
    subset: str
    cluster: int
    """Items of one cluster (one prompt, one group) are not independent: they are resampled together."""
    correct: Values
    """Shape `(n,)`: empty where the pool has no labels."""
    grades: Mapping[str, Values]
    """Graded labels by name, each of shape `(n,)`."""
    facts: Mapping[str, Any]
    count: int
    """Steps of the solution, where the benchmark has steps."""
    said: Mapping[str, Said]
    """By scorer."""


class Outcome(NamedTuple):
    """How a scorer did on one item."""

    credit: float
    """1 right, 0 wrong; between them only where the benchmark says so."""
    tie: bool = False
    unscored: bool = False


UNSCORED = Outcome(0.0, unscored=True)


def item_of(pool: Pool, scorers: Sequence[str]) -> Item:
    """What is kept of a pool that `scorers` have scored."""
    metadata = pool.prompt.metadata
    return Item(
        id=pool.prompt.id,
        subset=str(metadata.get("subset") or UNNAMED),
        cluster=cluster_of(pool),
        correct=pool.values(CORRECT) if CORRECT in pool.scores else (),
        grades={name: pool.values(name) for name in GRADES if name in pool.scores and name not in scorers},
        facts={name: metadata[name] for name in _FACTS if name in metadata},
        count=len(metadata.get("steps") or ()),
        said={name: _said(pool.scores[name]) for name in scorers if name in pool.scores},
    )


def preferred(correct: Values, values: Values, *, together: bool = False) -> Outcome | None:
    """Whether a right candidate is above all wrong ones; `together`: whether all right ones are.

    As high as the best wrong one is a tie, which is not right. Unscored unless every labelled candidate has a value.
    None where there is nothing to tell apart: no right one, or no wrong one.
    """
    if len(correct) == len(values) == 2 and not together and None not in correct and None not in values:
        right, wrong = values if correct[0] else values[::-1]
        return None if correct[0] == correct[1] else Outcome(float(right > wrong), right == wrong)  # type: ignore[operator]
    rights = [value for truth, value in zip(correct, values, strict=False) if truth == 1]
    wrongs = [value for truth, value in zip(correct, values, strict=False) if truth == 0]
    if not rights or not wrongs:
        return None
    if None in rights or None in wrongs:
        return UNSCORED
    right = min(rights) if together else max(rights)  # type: ignore[type-var]  # there is no None among them
    wrong = max(wrongs)  # type: ignore[type-var]
    return Outcome(float(right > wrong), right == wrong)  # type: ignore[operator]


def chosen(item: Item, said: Said) -> Outcome | None:
    """Best of n: whether a right candidate has the highest value."""
    return preferred(item.correct, said.values)


def _said(scores: Sequence[Score]) -> Said:
    first = scores[0] if scores else None
    orders: Mapping[str, Values] = {}
    if first is not None and first.parts:
        names = [name for name in first.parts if name.startswith(_ORDER)]
        orders = {name.removeprefix(_ORDER): tuple(one.parts.get(name) for one in scores) for name in names}
    return Said(
        values=tuple(score.value for score in scores),
        orders=orders,
        steps=None if first is None else first.steps,
        first_error=None if first is None else first.parts.get("first_error"),
    )


def cluster_of(pool: Pool) -> int:
    """A number below 2**63 that is equal for pools of one group; without a group, for pools that ask the same."""
    group = pool.prompt.metadata.get("group")
    texts = [str(group)] if group is not None else [text_of(message) for message in pool.prompt.messages]
    digest = hashlib.blake2b("\0".join(texts).encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
