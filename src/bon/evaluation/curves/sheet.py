"""What is kept of pools to measure what best-of-N bought: arrays of truths, scores, votes and costs, no texts; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["UNITS", "Costs", "Floats", "Ints", "Sheet", "Steps", "part_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

UNITS = ("tokens", "money", "seconds")
"""What costs are counted in."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Costs:
    """What draws, or one scorer's scores, took; each of shape `(m, n)`, 0 where it is not known."""

    tokens: Floats
    money: Floats
    """US dollars."""
    seconds: Floats
    known: frozenset[str]
    """Of "tokens", "money" and "seconds" those that are known of every draw, so that their sums are whole."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Steps:
    """What one process scorer saw in each draw; each of shape `(m, n)`."""

    first: Ints
    """The first step that it thinks wrong, from 0; -1 where it thinks none is."""
    count: Ints
    """How many steps it scored; 0 where it scored none."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sheet:
    """The draws of `m` prompts from one maker in one file of pools; rows are padded to `n`, the most draws of any.

    What stands beyond a row's draws means nothing.
    """

    pools: str
    """Where they come from."""
    group: str
    """The generator that made them, where pools are told apart by that; else ""."""
    gold: str
    """The scorer that is the truth."""
    ids: tuple[str, ...]
    """Of the prompts, shape `(m,)`."""
    clusters: Ints
    """Shape `(m,)`: prompts of one cluster ask the same, and are resampled together."""
    drawn: Ints
    """Shape `(m,)`: how many draws each prompt has, at least 1."""
    truth: Floats
    """Shape `(m, n)`: the gold score of each draw."""
    answers: Ints
    """Shape `(m, n)`: equal numbers for equal answers of a prompt, -1 for a draw that does not vote."""
    scores: Mapping[str, Floats]
    """By scorer: shape `(m, n)`, -inf where a draw has no score."""
    costs: Costs
    """Of drawing."""
    scoring: Mapping[str, Costs]
    """By scorer, of scoring."""
    sampled: Mapping[tuple[str, str], Mapping[int, Floats]] = field(default_factory=dict)
    """By scorer and selector, for those that have no closed form: k -> expected gold, shape `(m,)`."""
    steps: Mapping[str, Steps] = field(default_factory=dict)
    """By scorer, of those that score steps."""
    unknown: int = 0
    """Prompts left out because the truth of a draw is not known."""
    empty: int = 0
    """Prompts left out because they have no draws."""
    failed: int = 0
    """Draws that ended in a failure; they are no draws here."""

    @property
    def binary(self) -> bool:
        """Whether the truth is right or wrong."""
        known = self.truth[np.arange(self.truth.shape[1]) < self.drawn[:, None]]
        return bool(np.isin(known, (0.0, 1.0)).all())

    @property
    def votes(self) -> bool:
        """Whether any draw has an answer to vote for."""
        return bool((self.answers >= 0).any())

    @property
    def width(self) -> int:
        """The most draws of a prompt; 0 without prompts."""
        return int(self.drawn.max(initial=0))


def part_of(sheet: Sheet, rows: Ints, n: int) -> Sheet:
    """Some rows of a sheet, and of these the first `n` draws."""

    def costs(found: Costs) -> Costs:
        return Costs(
            tokens=found.tokens[rows, :n],
            money=found.money[rows, :n],
            seconds=found.seconds[rows, :n],
            known=found.known,
        )

    return Sheet(
        pools=sheet.pools,
        group=sheet.group,
        gold=sheet.gold,
        ids=tuple(sheet.ids[row] for row in rows.tolist()),
        clusters=sheet.clusters[rows],
        drawn=np.minimum(sheet.drawn[rows], n),
        truth=sheet.truth[rows, :n],
        answers=sheet.answers[rows, :n],
        scores={name: values[rows, :n] for name, values in sheet.scores.items()},
        costs=costs(sheet.costs),
        scoring={name: costs(found) for name, found in sheet.scoring.items()},
        steps={
            name: Steps(first=seen.first[rows, :n], count=seen.count[rows, :n]) for name, seen in sheet.steps.items()
        },
        sampled={key: {k: values[rows] for k, values in by_k.items()} for key, by_k in sheet.sampled.items()},
    )
