"""From scored pools, one at a time, to what is known of their scorers: metrics, paired tests, and what scoring cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bon.errors import UsageError
from bon.evaluation.benchmarks import family_of
from bon.evaluation.items import Item, item_of
from bon.evaluation.measures import OVERALL, Measure, Row, outcomes, row_of
from bon.stats import mcnemar, paired_bootstrap
from bon.store.diagnosis import BadLine
from bon.types import Pool, Usage

__all__ = ["Collector", "Comparison", "Cost", "Evaluation", "Unscored", "compared"]

_DRAWS = 1_000
"""Resamples behind an interval: its ends then wobble by less than a tenth of its width."""

_REASONS_KEPT, _REASONS_TOLD = 100, 3
"""Different reasons of a scorer for no score: that are counted, and that are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A scorer against the first one, on the items that both were measured on."""

    scorer: str
    than: str
    difference: float
    """Of the mean credit: `scorer` minus `than`, in [-1, 1]."""
    low: float
    high: float
    """The ends of its 95 % interval, by the paired bootstrap over clusters."""
    p: float
    """Two-sided."""
    test: str
    """"mcnemar", exact, where items are right or wrong and independent; else "paired bootstrap"."""
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a scorer's scores took; those out of the response cache cost nothing and count in `cached` alone."""

    scorer: str
    scores: int = 0
    cached: int = 0
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    """Summed over scores, which are made side by side: more than the clock showed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unscored:
    """Why a scorer left answers without a score."""

    scorer: str
    reason: str
    count: int
    """Answers, of all items."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What was measured: of every scorer on every subset and over all."""

    data: str
    """Where the items come from, for people."""
    benchmarks: tuple[str, ...] = ()
    items: int = 0
    rows: tuple[Row, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    costs: tuple[Cost, ...] = ()
    unscored: tuple[Unscored, ...] = ()
    """The most frequent reasons of each scorer, the first of them first."""
    bad: int = 0
    """Rows of the data that could not be used."""
    problems: tuple[BadLine, ...] = field(default=(), repr=False)
    """The first of them, each with its number."""

    def row(self, metric: str = "accuracy", *, subset: str = OVERALL, scorer: str | None = None) -> Row:
        """The only row of a metric, a subset and a scorer. Raises UsageError where there is none, or several."""
        named = [row for row in self.rows if row.metric == metric and row.subset == subset]
        found = [row for row in named if scorer in (None, row.scorer)]
        if len(found) == 1:
            return found[0]
        there = sorted({(row.subset, row.metric, row.scorer) for row in (named or self.rows)})
        raise UsageError(f"{len(found)} rows of {metric!r} on {subset!r} by {scorer!r}; there are {there}")


class Collector:
    """Takes scored pools, keeps what measuring needs (no texts), and measures."""

    def __init__(self, scorers: Sequence[str], *, name: str = "data") -> None:
        self.scorers = tuple(scorers)
        self.name = name
        self._items: dict[str, list[Item]] = {}
        self._costs = {scorer: Cost(scorer=scorer) for scorer in scorers}
        self._reasons: dict[str, Counter[str]] = {scorer: Counter() for scorer in scorers}

    def add(self, pool: Pool) -> None:
        """Take one more pool."""
        benchmark = str(pool.prompt.metadata.get("benchmark", ""))
        self._items.setdefault(benchmark, []).append(item_of(pool, self.scorers))
        for scorer in self.scorers:
            self._costs[scorer] = _more(self._costs[scorer], pool, scorer)
            reasons = self._reasons[scorer]
            for score in pool.scores.get(scorer, ()):
                if score.value is None and (score.reason in reasons or len(reasons) < _REASONS_KEPT):
                    reasons[score.reason] += 1

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(map(len, self._items.values()))

    def evaluation(self, *, draws: int = _DRAWS, seed: int = 0, **more: Any) -> Evaluation:
        """What all pools so far come to; `more` are other fields of it. The same pools and seed, the same numbers."""
        several = len(self._items) > 1
        rows: list[Row] = []
        comparisons: list[Comparison] = []
        for benchmark, items in self._items.items():
            items.sort(key=lambda item: item.id)  # whatever order they were done in
            found = [row for scorer in self.scorers for row in _rows(benchmark, items, scorer, draws=draws, seed=seed)]
            rows += (
                [replace(row, subset=f"{benchmark or 'others'}/{row.subset}") for row in found] if several else found
            )
            if not several:
                comparisons += compared(benchmark, items, self.scorers, draws=draws, seed=seed)
        return Evaluation(
            data=self.name,
            benchmarks=tuple(name for name in self._items if name),
            items=self.count,
            rows=tuple(dict.fromkeys(rows)),
            comparisons=tuple(comparisons),
            costs=tuple(self._costs.values()),
            unscored=tuple(
                Unscored(scorer=scorer, reason=reason, count=count)
                for scorer, reasons in self._reasons.items()
                for reason, count in sorted(reasons.items(), key=lambda one: (-one[1], one[0]))[:_REASONS_TOLD]
            ),
            **more,
        )


def compared(
    benchmark: str, items: Sequence[Item], scorers: Sequence[str], *, draws: int = _DRAWS, seed: int = 0
) -> Iterator[Comparison]:
    """Every scorer against the first, item by item; one that scored nothing at all is compared with none."""
    of = family_of(benchmark).outcome
    said = {name: outcomes(items, name, of) for name in scorers}
    told = {name for name, found in said.items() if not all(outcome.unscored for _, outcome in found)}
    earned = {name: {item.id: (item, outcome.credit) for item, outcome in found} for name, found in said.items()}
    for name in scorers[1:]:
        if not {name, scorers[0]} <= told:
            continue
        first = earned[scorers[0]]
        both = [(first[id_][1], credit, item.cluster) for id_, (item, credit) in earned[name].items() if id_ in first]
        if len({cluster for *_, cluster in both}) < 2:
            continue  # one prompt tells nothing of others
        right, left, clusters = (np.array(column) for column in zip(*both, strict=True))
        found = paired_bootstrap(left, right, clusters=clusters, draws=draws, rng=np.random.default_rng(seed))
        exact = len({*clusters.tolist()}) == len(clusters) and {*left.tolist(), *right.tolist()} <= {0.0, 1.0}
        p = mcnemar(int(((left - right) > 0).sum()), int(((right - left) > 0).sum())) if exact else found.p
        yield Comparison(
            scorer=name,
            than=scorers[0],
            difference=found.mean,
            low=found.low,
            high=found.high,
            p=p,
            test="mcnemar" if exact else "paired bootstrap",
            n=len(both),
        )


def _rows(benchmark: str, items: Sequence[Item], scorer: str, *, draws: int, seed: int) -> Iterator[Row]:
    for found in family_of(benchmark).measures(items, scorer):
        yield row_of(found, scorer, draws=draws, seed=seed) if isinstance(found, Measure) else found


def _more(cost: Cost, pool: Pool, scorer: str) -> Cost:
    """A cost with that of one more pool."""
    scores = pool.scores.get(scorer, ())
    paid = [score for score in scores if not score.cached]
    usages = [score.usage for score in paid if score.usage is not None]
    return replace(
        cost,
        scores=cost.scores + len(scores),
        cached=cost.cached + len(scores) - len(paid),
        usage=sum(usages, cost.usage) if usages else cost.usage,
        seconds=cost.seconds + sum(score.seconds or 0.0 for score in paid),
    )
