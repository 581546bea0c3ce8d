"""From pools and what was measured of them to the page, small enough to be opened and sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from bon.evaluation.curves import Curves, Sheet
from bon.evaluation.curves.showing import advised, tables_of
from bon.evaluation.report.charts import charts_of, scripts
from bon.evaluation.report.page import packed, page
from bon.evaluation.report.prompts import row_of
from bon.types import Pool

__all__ = ["LARGEST", "report_of"]

LARGEST = 28_000_000
"""Characters that the prompts may take, packed: beyond, texts are cut, so that the page opens in a moment."""

_FIRST_CUT = 16_000
_SHORTEST = 250


def report_of(
    pools: Callable[[], Iterable[tuple[str, Pool]]],
    found: Curves,
    sheets: Sequence[Sheet],
    *,
    title: str,
    facts: Sequence[str] = (),
    largest: int = LARGEST,
) -> str:
    """The page. `pools` gives them anew each time, since where texts must be cut they are read again; each with the
    name of its file, "" where there is one file only.

    Raises MissingExtra without altair and vl-convert-python.
    """
    gold = sheets[0].gold if sheets else ""
    charts = charts_of(found, sheets)
    drawing = scripts()
    prompts, note = _fitting(pools, gold or None, largest)
    return page(
        title=title,
        facts=[*facts, *found.notes, *note],
        advice=advised(found) or ["No way of choosing could be measured."],
        tables=tables_of(found),
        charts=charts,
        scripts=drawing,
        prompts=prompts,
        gold=gold,
    )


def _fitting(pools: Callable[[], Iterable[tuple[str, Pool]]], gold: str | None, largest: int) -> tuple[str, list[str]]:
    """The prompts, packed, and what there is to say of texts that had to be cut."""
    for longest in _lengths():
        text = packed(_rows(pools(), gold, longest))
        if len(text) <= largest or longest == _SHORTEST:
            cut = (
                []
                if longest is None
                else [f"texts are shown up to {longest:,} characters, so that the page stays small"]
            )
            return text, cut
    raise AssertionError  # the last length always fits


def _lengths() -> Iterator[int | None]:
    yield None
    length = _FIRST_CUT
    while length > _SHORTEST:
        yield length
        length //= 4
    yield _SHORTEST


def _rows(pools: Iterable[tuple[str, Pool]], gold: str | None, longest: int | None) -> Iterator[dict[str, Any]]:
    for source, pool in pools:
        yield row_of(pool, gold=gold, longest=longest, source=source)
