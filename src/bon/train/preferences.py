"""Preferences to learn from: pairs of answers to one prompt, made of labelled or scored pools; it trains nothing.

Any data set that becomes labelled pools is one of preferences (TRL's rows with an explicit or an implicit prompt,
chats, PandaLM, HelpSteer ...): `store.datasets.load` knows them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import Literal, TypeAlias

from bon.errors import UsageError
from bon.store.convert.labels import CORRECT
from bon.types import Candidate, Message, Pool

__all__ = [
    "Apart", "Pair", "Pairing", "Preferences", "hard_negatives", "paired", "pairs_of", "preferences", "ranked",
]  # fmt: skip

Pairing: TypeAlias = Literal["best-worst", "all", "adjacent"]
"""Which candidates of a pool are compared: the best with the worst, each with each, or each with the next by rank."""


Apart: TypeAlias = Literal["prompt", "text"]
"""How pairs are parted: no prompt on both sides of a split; or, where all have one prompt, no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two answers to one prompt, of which one is preferred."""

    messages: tuple[Message, ...]
    chosen: str
    rejected: str
    margin: float = 0.0
    """By how much the reward of the chosen one is wanted above the other's."""
    target: float = 1.0
    """The probability that the chosen one is better: 1 where somebody said so, a soft label where a teacher did."""
    group: str = ""
    """Pairs of one group are never parted by a split; their prompt, where nothing else is said."""
    hard: bool = False
    """Whether it was made of a wrong answer that scored high: such a pair trains, and measures nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """Pairs, and what of the data gave none."""

    pairs: tuple[Pair, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Why -> how many pools."""
    source: str = ""
    """Where they came from, for people."""
    apart: Apart = "prompt"
    """What pairs to train on and pairs held out may not share."""


def preferences(
    pools: Iterable[Pool], *, by: str | None = None, pairing: Pairing = "best-worst", margin: str | None = None
) -> Preferences:
    """The pairs of pools, by the scorer `by`: by default `correct`, else the only one there is.

    `margin` is where a pair's margin comes from: "gap" (how far apart the two values are), the name of a column of the
    metadata (a number), or None: the column `margin` where there is one, as in TRL's rows. Candidates without a value,
    of equal values, or of equal texts make no pair.

    Raises UsageError for a scorer that a pool does not have, and where not a single pair is found.
    """
    pairs: list[Pair] = []
    left_out: Counter[str] = Counter()
    for pool in pools:
        found = list(pairs_of(pool, by=_by(pool, by), pairing=pairing, margin=margin))
        pairs += found
        if not found:
            left_out[_why(pool, _by(pool, by))] += 1
    if not pairs:
        told = "; ".join(f"{count} pools: {why}" for why, count in left_out.items()) or "there are no pools"
        raise UsageError(f"there is no pair to learn from ({told}): give rows with chosen and rejected, or pools with "
                         "scores that differ, and by=SCORER")  # fmt: skip
    return Preferences(pairs=tuple(pairs), left_out=dict(left_out))


def pairs_of(pool: Pool, *, by: str, pairing: Pairing = "best-worst", margin: str | None = None) -> Iterator[Pair]:
    """The pairs of one pool, best first; equal values keep the order of the draws."""
    for (better, high), (worse, low) in paired(ranked(pool, by), pairing):
        if better.text != worse.text:
            yield Pair(
                messages=pool.prompt.messages,
                chosen=better.text,
                rejected=worse.text,
                margin=_margin(pool, margin, high - low),
                group=str(pool.prompt.metadata.get("group", "")),
            )


def hard_negatives(
    pools: Iterable[Pool], *, by: str | None = None, gold: str = CORRECT, most: int = 4
) -> tuple[Pair, ...]:
    """Pairs of the right answer that scored lowest and a wrong one that scored no lower: the highest `most` a prompt.

    `by` is the scorer that was fooled, by default the only other one of a pool; `gold` says what is right (above 0.5).
    A pool without right or without such wrong candidates gives none. Raises UsageError for a scorer that a pool does
    not have.
    """
    pairs: list[Pair] = []
    for pool in pools:
        others = [name for name in pool.scores if name != gold]
        scorer = by or (others[0] if len(others) == 1 else None)
        if scorer is None:
            raise UsageError(f"{pool.prompt.id!r} has the scorers {_names(pool)}: say by which an answer scored high")
        truth = {c.index: value for c, value in ranked(pool, gold)}
        known = [(c, value, truth[c.index]) for c, value in ranked(pool, scorer) if c.index in truth]
        right = [(c, value) for c, value, true in known if true > 0.5]
        wrong = [(c, value) for c, value, true in known if true <= 0.5]
        high = [c for c, value in wrong if right and value >= right[-1][1] and c.text != right[-1][0].text]
        pairs += [
            Pair(
                messages=pool.prompt.messages,
                chosen=right[-1][0].text,
                rejected=one.text,
                group=str(pool.prompt.metadata.get("group", "")),
                hard=True,
            )
            for one in high[:most]
        ]
    return tuple(pairs)


def ranked(pool: Pool, by: str) -> list[tuple[Candidate, float]]:
    """Candidates that have a value, the highest first; equal ones keep their order."""
    if by not in pool.scores:
        raise UsageError(f"{pool.prompt.id!r} has no scores {by!r}; it has {_names(pool)}: score it first (bon score)")
    valued = [(c, value) for c, value in zip(pool.candidates, pool.values(by), strict=True) if value is not None]
    return sorted(valued, key=lambda one: -one[1])


def paired(
    order: Sequence[tuple[Candidate, float]], pairing: Pairing
) -> Iterator[tuple[tuple[Candidate, float], tuple[Candidate, float]]]:
    """The (better, worse) pairs of candidates that `ranked` has put in order; equal values make none."""
    if pairing == "best-worst":
        couples = [(order[0], order[-1])] if order else []
    else:
        couples = list(combinations(order, 2) if pairing == "all" else pairwise(order))
    return (couple for couple in couples if couple[0][1] > couple[1][1])


def _margin(pool: Pool, margin: str | None, gap: float) -> float:
    if margin == "gap":
        return gap
    value = pool.prompt.metadata.get(margin or "margin")
    if value is None and margin is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(
            f"{pool.prompt.id!r}: the margin {margin or 'margin'!r} is {value!r}, where a number is wanted"
        )
    return float(value)


def _by(pool: Pool, by: str | None) -> str:
    if by is not None or CORRECT in pool.scores:
        return by or CORRECT
    if len(pool.scores) != 1:
        raise UsageError(
            f"{pool.prompt.id!r} has the scorers {_names(pool)}: say by which answers are better (by=NAME)"
        )
    return next(iter(pool.scores))


def _why(pool: Pool, by: str) -> str:
    values = [value for value in pool.values(by) if value is not None]
    if len(values) < 2:
        return f"fewer than two candidates have a value of {by}"
    return "all values are equal" if len(set(values)) == 1 else "the texts are the same"


def _names(pool: Pool) -> str:
    return ", ".join(map(repr, pool.scores)) or "none"
