"""Measuring scorers on labelled data: `bon.evaluate`, and scoring a stream of pools blind, within a ledger's caps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from bon.api import blocking
from bon.api.job import build_scorers
from bon.api.shared import shared_builder
from bon.engine import lacking, run_many, scoring
from bon.errors import CapReached, DataError, UsageError
from bon.evaluation.blind import blind
from bon.evaluation.evaluating import Collector, Evaluation
from bon.ledger import Ledger, charged
from bon.protocols import Extractor, Generator, Scorer
from bon.registry import Builder
from bon.score import ScorerLike
from bon.store.badrows import BadRows
from bon.store.datasets import Dataset, load
from bon.store.sources import Source
from bon.types import Pool

__all__ = ["aevaluate", "evaluate", "measured", "scored"]

_TURN = 100
"""Pools that instant scorers score before others have their turn."""


def evaluate(
    data: Source | Dataset,
    scorers: str | ScorerLike | Sequence[str | ScorerLike],
    *,
    format: str | None = None,  # noqa: A002  # what it is called everywhere else
    limit: int | None = None,
    shuffle: int | None = None,
    concurrency: int = 8,
    judge: str | Generator | None = None,
    **options: Any,
) -> Evaluation:
    """How good scorers are on labelled data, with 95 % intervals and paired tests; blocks, also inside a running loop.

    `data` is a file, a folder, a data set of the hub, a list of rows, or a `Dataset`; `format` is told by its columns
    where it is not given (`bon list converters`). Of it the first `limit` items are scored, in the order of the seed
    `shuffle` if there is one. `scorers` are specs or functions, `judge` the model behind `judge:NAME`. `options` are
    those of `store.datasets.load`: `split`, `config`, and the format's own.

    A benchmark is put together as its authors do (`bon bench --list`). Rows that cannot be used are counted, and the
    next ones go on. Raises `UsageError` for data without labels, a source that is not there, and two scorers of one
    name; `CapReached` where the ledger that is charged has no room left.
    """
    return blocking.run(
        aevaluate(
            data,
            scorers,
            format=format,
            limit=limit,
            shuffle=shuffle,
            concurrency=concurrency,
            judge=judge,
            **options,
        )
    )


async def aevaluate(
    data: Source | Dataset,
    scorers: str | ScorerLike | Sequence[str | ScorerLike],
    *,
    format: str | None = None,  # noqa: A002
    limit: int | None = None,
    shuffle: int | None = None,
    concurrency: int = 8,
    judge: str | Generator | None = None,
    **options: Any,
) -> Evaluation:
    """`evaluate` for async code: the same arguments, the same result."""
    bad = BadRows()
    known = data if isinstance(data, Dataset) else load(data, format=format, on_bad=bad, **options)
    pools = known if shuffle is None else known.shuffle(shuffle)
    builder = shared_builder() if judge is None else Builder(judge=judge)
    built = build_scorers(builder, scorers)
    try:
        collector = Collector(list(built), name=known.name)
        chosen = pools if limit is None else pools.limit(limit)
        async with aclosing(scored(chosen, built, concurrency=concurrency)) as done:
            async for pool in done:
                collector.add(pool)
        return measured(collector, bad)
    finally:
        if judge is not None:  # what has been built for this call alone; what was given is the caller's to close
            given = [scorers] if isinstance(scorers, str) or not isinstance(scorers, Sequence) else scorers
            for scorer in built.values():
                if scorer.spec and not any(scorer is one for one in given):
                    scorer.close()


async def scored(
    pools: Iterable[Pool],
    scorers: Mapping[str, Scorer],
    *,
    concurrency: int = 8,
    extract: Extractor | None = None,
    ledger: Ledger | None = None,
) -> AsyncGenerator[Pool, None]:
    """Pools with the scores of blind scorers, as they are done; one that a cap left undone is not among them.

    Raises `CapReached` at the end if a cap of the ledger was reached.
    """
    if extract is None and all(_is_instant(scorer) for scorer in scorers.values()):
        async for pool in _at_once(pools, scorers):
            yield pool
        return
    account = ledger or charged()
    plan = replace(scoring(blind(scorers), extract=extract), ledger=account)

    def wanted() -> Iterator[Pool]:
        for pool in pools:
            if account is not None and account.reached:
                return
            yield pool

    async with aclosing(run_many(wanted(), plan, concurrency=concurrency)) as done:
        async for pool in done:
            if not any(failure.error == CapReached.__name__ for failure in pool.failures):
                yield pool
    if account is not None and account.reached:
        raise account.reached


def _is_instant(scorer: Scorer) -> bool:
    """Whether a scorer looks at one candidate alone and never waits: nothing is won by a task for it."""
    return bool(getattr(scorer, "pointwise", False) and getattr(scorer, "instant", False))


async def _at_once(pools: Iterable[Pool], scorers: Mapping[str, Scorer]) -> AsyncGenerator[Pool, None]:
    for count, pool in enumerate(pools):
        done = pool
        for name, scorer in scorers.items():
            if lacking(done, name):
                done = done.with_scores(name, await scorer(pool))
        yield done
        if count % _TURN == 0:
            await asyncio.sleep(0)  # whatever else there is to do


def measured(collector: Collector, bad: BadRows) -> Evaluation:
    """What the pools of a collector come to.

    Raises `DataError` where not a single row could be used, `UsageError` where what there is has no labels.
    """
    if not collector.count:
        first = f"; the first, {bad.first[0].line}: {bad.first[0].message}" if bad.first else ""
        raise DataError(f"{collector.name}: no row can be used ({bad.count} cannot){first}")
    found = collector.evaluation(bad=bad.count, problems=tuple(bad.first))
    if not found.rows:
        raise UsageError(
            f"{collector.name}: nothing to measure: its {found.items} items have no labels, neither the scorer "
            "`correct` nor grades (`bon convert` makes labelled pools)"
        )
    return found
