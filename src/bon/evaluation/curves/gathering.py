"""From pools, one at a time, to sheets: which scorer is the truth, who voted for what, and what it took."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from bon.errors import UsageError
from bon.evaluation.curves.rows import powers
from bon.evaluation.curves.sheet import UNITS, Costs, Floats, Sheet, Steps
from bon.evaluation.curves.subsampling import Rule, subsampled
from bon.evaluation.items import cluster_of
from bon.score.process.aggregate import first_error
from bon.select import gold_of, voters
from bon.types import Candidate, Pool, Score, Usage

__all__ = ["Gatherer"]


_Cost: TypeAlias = tuple[float | None, float | None, float | None]
"""Tokens, dollars and seconds; None where it is not known."""


@dataclass(slots=True)
class _Row:
    """One prompt of a sheet."""

    id: str
    cluster: int
    truth: list[float]
    answers: list[int]
    scores: dict[str, list[float]]
    costs: list[_Cost]
    scoring: dict[str, list[_Cost]]
    steps: dict[str, list[tuple[int, int]]]
    """By scorer of steps: the first wrong one, from 0, -1 for none; and how many there are."""
    sampled: dict[tuple[str, str], dict[int, float]]


@dataclass(slots=True)
class _Rows:
    """A sheet as it grows."""

    rows: list[_Row] = field(default_factory=list)
    unknown: int = 0
    empty: int = 0
    failed: int = 0


class Gatherer:
    """Takes the pools of one file, and keeps what measuring needs.

    `gold` names the scorer that is the truth (by default `correct` where there is one, then `math`), `by` the scorers
    to measure (by default all others). With `makers` the candidates of each generator are a sheet of their own. `rules`
    are selectors without a closed form: they are tried here, on subsets of each size in `sizes`, while texts are there.

    Raises `UsageError` for pools without a gold scorer, and for scorers that no pool has.
    """

    def __init__(
        self,
        name: str,
        *,
        gold: str | None = None,
        by: Sequence[str] | None = None,
        makers: bool = False,
        rules: Sequence[Rule] = (),
        sizes: Sequence[int] | None = None,
    ) -> None:
        self.name = name
        self.gold = gold
        self.by = by
        self.makers = makers
        self.rules = tuple(rules)
        self.sizes = sizes
        self.count = 0
        self._seen: dict[str, None] = {}
        """The scorers met so far, in the order of meeting."""
        self._sheets: dict[str, _Rows] = {}

    def add(self, pool: Pool) -> None:
        """Take one more pool."""
        self.count += 1
        if not self._seen and pool.scores:
            self.gold = gold_of(pool, self.gold)
        self._seen.update(dict.fromkeys(pool.scores))
        for group, part in _by_maker(pool).items() if self.makers else [("", pool)]:
            self._take(self._sheets.setdefault(group, _Rows()), part)

    def sheets(self) -> list[Sheet]:
        """What there is, a sheet a maker. Raises `UsageError` where nothing can be measured."""
        if not self.count:
            raise UsageError(f"{self.name}: there are no pools in it")
        if not self._seen:
            raise UsageError(f"{self.name}: none of its {self.count} pools has scores; make some with bon score")
        wanted = self._wanted(tuple(self._seen))
        for name in self.by or ():
            if name not in self._seen:
                raise UsageError(f"{self.name} has no scorer {name!r}; it has {', '.join(self._seen) or 'none'}")
        return [self._sheet(group, rows, wanted) for group, rows in sorted(self._sheets.items())]

    def _wanted(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(self.by) if self.by is not None else tuple(name for name in names if name != self.gold)

    def _take(self, sheet: _Rows, pool: Pool) -> None:
        sheet.failed += len({failure.index for failure in pool.failures if failure.stage == "generate"})
        if not pool.candidates:
            sheet.empty += 1
            return
        known = [score.value for score in pool.scores.get(self.gold or "", ()) if score.value is not None]
        if len(known) < len(pool):
            sheet.unknown += 1
            return
        wanted = [name for name in self._wanted(tuple(pool.scores)) if name in pool.scores]
        sheet.rows.append(
            _Row(
                id=pool.prompt.id,
                cluster=cluster_of(pool),
                truth=known,
                answers=_numbered(pool),
                scores={name: [_number(score.value) for score in pool.scores[name]] for name in wanted},
                costs=[_cost_of_draw(candidate) for candidate in pool.candidates],
                scoring={name: [_cost_of_score(score) for score in pool.scores[name]] for name in wanted},
                steps={
                    name: [_seen(score) for score in pool.scores[name]]
                    for name in wanted
                    if any(score.steps for score in pool.scores[name])
                },
                sampled=subsampled(pool, self.rules, known, wanted, self.sizes or powers(len(pool)))
                if self.rules
                else {},
            )
        )

    def _sheet(self, group: str, found: _Rows, wanted: Sequence[str]) -> Sheet:
        rows = found.rows
        drawn = np.array([len(row.truth) for row in rows], dtype=np.int64)
        shape = (len(rows), int(drawn.max(initial=0)))

        def laid(of: Callable[[_Row], Sequence[float]], fill: float = 0.0) -> Floats:
            table = np.full(shape, fill)
            for row, values in zip(table, map(of, rows), strict=True):
                row[: len(values)] = values
            return table

        def costs(of: Callable[[_Row], Sequence[_Cost]]) -> Costs:
            tables = {
                unit: laid(lambda row, place=place: [cost[place] or 0.0 for cost in of(row)])  # type: ignore[misc]
                for place, unit in enumerate(UNITS)
            }
            known = {
                unit
                for place, unit in enumerate(UNITS)
                if all(cost[place] is not None for row in rows for cost in of(row))
            }
            return Costs(**tables, known=frozenset(known))

        keys = sorted({key for row in rows for key in row.sampled})
        return Sheet(
            pools=self.name,
            group=group,
            gold=self.gold or "",
            ids=tuple(row.id for row in rows),
            clusters=np.array([row.cluster for row in rows], dtype=np.int64),
            drawn=drawn,
            truth=laid(lambda row: row.truth),
            answers=laid(lambda row: row.answers, -1).astype(np.int64),
            scores={name: laid(_scores_of(name), -np.inf) for name in wanted},
            costs=costs(lambda row: row.costs),
            scoring={name: costs(_scoring_of(name)) for name in wanted},
            steps={
                name: Steps(
                    first=laid(_steps_of(name, 0), -1).astype(np.int64), count=laid(_steps_of(name, 1)).astype(np.int64)
                )
                for name in wanted
                if any(name in row.steps for row in rows)
            },
            sampled={
                key: {
                    k: np.array([row.sampled.get(key, {}).get(k, 0.0) for row in rows])
                    for k in sorted({k for row in rows for k in row.sampled.get(key, {})})
                }
                for key in keys
            },
            unknown=found.unknown,
            empty=found.empty,
            failed=found.failed,
        )


def _scores_of(name: str) -> Callable[[_Row], Sequence[float]]:
    return lambda row: row.scores.get(name, ())


def _scoring_of(name: str) -> Callable[[_Row], Sequence[_Cost]]:
    return lambda row: row.scoring.get(name, ())


def _steps_of(name: str, place: int) -> Callable[[_Row], Sequence[float]]:
    return lambda row: [seen[place] for seen in row.steps.get(name, ())]


def _seen(score: Score) -> tuple[int, int]:
    """The first error as the scorer itself has it, which knows its threshold; else by the usual one."""
    if not score.steps:
        return -1, 0
    told = score.parts.get("first_error")
    return (first_error(score.steps) if told is None else int(told)), len(score.steps)


def _by_maker(pool: Pool) -> dict[str, Pool]:
    """The pool of each generator: its candidates, with their scores, and its failures."""
    makers = dict.fromkeys(candidate.generator for candidate in pool.candidates)
    return {maker: _of_maker(pool, maker) for maker in makers}


def _of_maker(pool: Pool, maker: str) -> Pool:
    places = [place for place, candidate in enumerate(pool.candidates) if candidate.generator == maker]
    return replace(pool.only(places), failures=tuple(failure for failure in pool.failures if failure.by == maker))


def _number(value: float | None) -> float:
    return -math.inf if value is None else value


def _numbered(pool: Pool) -> list[int]:
    """A number for each distinct answer, in the order of the candidates; -1 for who does not vote."""
    numbers: dict[str, int] = {}
    return [
        numbers.setdefault(candidate.answer or "", len(numbers)) if votes else -1
        for candidate, votes in zip(pool.candidates, voters(pool).tolist(), strict=True)
    ]


def _cost_of_draw(candidate: Candidate) -> _Cost:
    """What came out of a cache counts as it did when it was drawn."""
    usage = candidate.usage
    seconds = candidate.seconds.total if candidate.seconds else None
    return (usage.total_tokens, usage.money, seconds) if usage else (None, None, seconds)


def _cost_of_score(score: Score) -> _Cost:
    """A score without a usage called no model: it costs nothing but its time, and none where that was not taken."""
    usage = score.usage or Usage(money=0.0)
    return usage.total_tokens, usage.money, score.seconds or 0.0
