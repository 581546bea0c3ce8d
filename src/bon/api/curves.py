"""What best-of-N bought, from pools that are there: `bon.curves`. Nothing is drawn or scored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from inspect import signature
from pathlib import Path

from bon.api.resume import reread_answers
from bon.errors import UsageError
from bon.evaluation.curves import PLAIN, Curves, Gatherer, Rule, measure
from bon.protocols import Selector
from bon.registry import Builder
from bon.registry.extractors import extractor
from bon.store.pools import read_pools
from bon.types import Pool

__all__ = ["curves", "gathered"]


def curves(
    *pools: str | Path | Iterable[Pool],
    gold: str | None = None,
    by: str | Sequence[str] | None = None,
    select: Sequence[str] | None = None,
    k: Sequence[int] | None = None,
    makers: bool = False,
    equal: str | None = None,
    extract: str | None = None,
) -> Curves:
    """What choosing among k draws is worth, exactly, for every way of choosing and each k, with 95 % intervals.

    `pools` are files or pools at hand, measured side by side. `gold` names the scorer that is the truth (by default
    `correct`, then `math`), `by` the scorers to measure (by default all others), `select` the ways of choosing: specs
    of selectors, and "all" for pass^k (by default every one with a closed form). `k` defaults to powers of two. With
    `makers` each generator has its own curves; `equal` ("tokens", "money", "seconds") compares at equal cost. `extract`
    names an extractor that reads the answers anew.

    Raises `UsageError` for pools without the truth, names that are not there, and a k beyond all draws.
    """
    if not pools:
        raise UsageError("there is nothing to measure: give files of pools, or pools")
    names = (by,) if isinstance(by, str) else by
    return measure(
        [
            sheet
            for place, each in enumerate(pools)
            for sheet in gathered(
                each, place, gold=gold, by=names, select=select, k=k, makers=makers, extract=extract
            ).sheets()
        ],
        k=k,
        selectors=None if select is None else [*select, *(rule.name for rule in _rules(select))],
        equal=equal,
    )


def gathered(
    pools: str | Path | Iterable[Pool],
    place: int,
    *,
    gold: str | None,
    by: Sequence[str] | None,
    select: Sequence[str] | None,
    k: Sequence[int] | None,
    makers: bool,
    extract: str | None,
) -> Gatherer:
    """What is kept of one source; `place` is its place among several, which names pools that come from no file."""
    gatherer = Gatherer(
        str(pools) if isinstance(pools, str | Path) else f"pools {place + 1}",
        gold=gold,
        by=by,
        makers=makers,
        rules=_rules(select or ()),
        sizes=k,
    )
    read = extractor(extract) if extract else None
    for pool in read_pools(pools) if isinstance(pools, str | Path) else pools:
        gatherer.add(pool if read is None else reread_answers(pool, read))
    return gatherer


def _rules(select: Sequence[str]) -> list[Rule]:
    """The rules among selectors that must be tried out, since no closed form is known for them."""
    builder = Builder()
    return [_rule(spec, builder) for spec in select if spec not in (*PLAIN, "all")]


def _rule(spec: str, builder: Builder) -> Rule:
    built = builder.selector(spec)
    scored = isinstance(built.thing, partial) and "by" in signature(built.thing.func).parameters

    def make(scorer: str) -> Selector:
        return builder.selector(spec, by=scorer).thing if scored else built.thing

    return Rule(name=built.name, make=make, scored=scored)
