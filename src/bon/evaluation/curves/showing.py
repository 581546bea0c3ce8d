"""Curves as Markdown, for people, and as plain data, for programs; it measures nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from bon.evaluation.curves.costs import CostRow
from bon.evaluation.curves.measuring import Curves
from bon.evaluation.curves.quality import Quality
from bon.evaluation.curves.rows import CurveRow
from bon.evaluation.tables import table

__all__ = ["markdown", "plain"]

_WAYS = 2
"""Ways of choosing of a sheet on which advice is shown; all of it is in the plain data."""


def markdown(found: Curves) -> str:
    """Tables in Markdown: a way of choosing a line and a k a column; then what it cost and what to do."""
    return "\n".join(_lines(found)) + "\n"


def plain(found: Curves) -> dict[str, Any]:
    """All of it as what JSON can hold."""
    return asdict(found)


def _lines(found: Curves) -> Iterator[str]:
    for pools, group in dict.fromkeys((row.pools, row.group) for row in found.rows):
        rows = [row for row in found.rows if (row.pools, row.group) == (pools, group)]
        yield f"## {pools}{f' ({group})' if group else ''}"
        yield ""
        yield f"{rows[0].n:,} prompts. {_SHARES if found.binary else _VALUES}"
        yield ""
        yield from _curves(rows)
        yield ""
        qualities = [row for row in found.qualities if (row.pools, row.group) == (pools, group)]
        if qualities:
            head = ["scorer", "AUC within a prompt", "AUC over all", "Spearman", "calibration error", "unscored"]
            yield from table(head, map(_quality, qualities))
            yield ""
        costs = [row for row in found.costs if (row.pools, row.group) == (pools, group)]
        yield from _costs(costs)
        said = [each.text for each in found.advice if (each.pools, each.group) == (pools, group)]
        yield from (f"- {text}" for text in said[:_WAYS])
        if said:
            yield ""
    if found.equal:
        yield from _equal(found)
    yield from (f"Note: {note}" for note in found.notes)


_SHARES = "Shares of prompts that are right, with 95 % intervals; k draws of each prompt, every choice of k counted."
_VALUES = "Mean worth of what is chosen, with 95 % intervals; k draws of each prompt, every choice of k counted."


def _curves(rows: Sequence[CurveRow]) -> Iterator[str]:
    sizes = sorted({row.k for row in rows})
    by: dict[tuple[str, str, str], dict[int, CurveRow]] = {}
    for row in rows:
        by.setdefault((row.selector, row.scorer, row.metric), {})[row.k] = row
    yield from table(
        ["chosen by", *(f"k={size}" for size in sizes)],
        (
            [_way(selector, scorer), *(_point(curve.get(size)) for size in sizes)]
            for (selector, scorer, _), curve in by.items()
        ),
    )


def _way(selector: str, scorer: str) -> str:
    return f"{selector} by {scorer}" if scorer else selector


def _point(row: CurveRow | None) -> str:
    if row is None:
        return ""
    interval = "" if row.low is None or row.high is None else f" [{row.low:.3f}, {row.high:.3f}]"
    return f"{row.value:.4f}{interval}"


def _quality(row: Quality) -> list[str]:
    figures = (row.within, row.pooled, row.spearman, row.calibration)
    return [row.scorer, *("–" if figure is None else f"{figure:.3f}" for figure in figures), f"{row.unscored:,}"]


def _costs(rows: Sequence[CostRow]) -> Iterator[str]:
    """What a prompt takes at the largest k, where anything is known of it."""
    last = max((row.k for row in rows), default=0)
    shown = [row for row in rows if row.k == last and row.selector != "all"]
    units = [unit for unit in ("tokens", "money", "seconds", "latency") if any(getattr(row, unit) for row in shown)]
    if not units:
        return
    titles = {"tokens": "tokens", "money": "USD", "seconds": "seconds in turn", "latency": "seconds at once"}
    yield from table(
        [f"a prompt at k={last}", *(titles[unit] for unit in units)],
        ([_way(row.selector, row.scorer), *(_amount(getattr(row, unit)) for unit in units)] for row in shown),
    )
    yield ""


def _equal(found: Curves) -> Iterator[str]:
    budgets = sorted({row.budget for row in found.equal})
    by: dict[tuple[str, str, str, str], dict[float, str]] = {}
    for row in found.equal:
        point = row.point
        key = (point.pools, point.group, point.selector, point.scorer)
        by.setdefault(key, {})[row.budget] = f"k={point.k}: {_point(point)}"
    yield f"## At equal cost, in {found.unit} a prompt"
    yield ""
    yield from table(
        ["pools", "chosen by", *map(_amount, budgets)],
        _named(by, budgets),
    )
    yield ""


def _named(by: dict[tuple[str, str, str, str], dict[float, str]], budgets: Sequence[float]) -> Iterable[list[str]]:
    for (pools, group, selector, scorer), cells in by.items():
        yield [
            f"{pools}{f' ({group})' if group else ''}",
            _way(selector, scorer),
            *(cells.get(budget, "") for budget in budgets),
        ]


def _amount(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
