"""Curves as tables, as Markdown of them for people, and as plain data for programs; it measures nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

from bon.evaluation.curves.costs import CostRow
from bon.evaluation.curves.measuring import Curves
from bon.evaluation.curves.quality import Quality
from bon.evaluation.curves.rows import CurveRow
from bon.evaluation.curves.stepping import Stepping
from bon.evaluation.tables import table

__all__ = ["Table", "advised", "markdown", "plain", "tables_of"]

Table: TypeAlias = tuple[str, Sequence[str], Sequence[Sequence[str]]]
"""What it is about, its head, its rows."""

_WAYS = 2
"""Ways of choosing of a file on which advice is shown; all of it is in the plain data."""
_SHARES = "shares of prompts that are right, with 95 % intervals"
_VALUES = "mean worth of what is chosen, with 95 % intervals"


def markdown(found: Curves) -> str:
    """The tables in Markdown, then what to do, then what was left out."""
    return "\n".join(_lines(found)) + "\n"


def plain(found: Curves) -> dict[str, Any]:
    """All of it as what JSON can hold."""
    return asdict(found)


def tables_of(found: Curves) -> list[Table]:
    """Of each file: ways of choosing at each k, how well scores follow the truth, costs; then all at equal cost."""
    return [*(each for of in _sources(found) for each in _of_source(found, of)), *_equal(found)]


def advised(found: Curves) -> list[str]:
    """What to do about the best ways of choosing of each file, and which file that is."""
    lines: list[str] = []
    for of in _sources(found):
        said = [each.text for each in found.advice if (each.pools, each.group) == of]
        lines += [f"{_source(*of)}: {text}" for text in said[:_WAYS]]
    return lines


def _lines(found: Curves) -> Iterator[str]:
    for caption, head, rows in tables_of(found):
        yield f"## {caption}"
        yield ""
        yield from table(head, rows)
        yield ""
    yield from (f"- {line}" for line in advised(found))
    yield from (f"- Note: {note}" for note in found.notes)


def _sources(found: Curves) -> list[tuple[str, str]]:
    return list(dict.fromkeys((row.pools, row.group) for row in found.rows))


def _source(pools: str, group: str) -> str:
    return f"{pools} ({group})" if group else pools


def _of_source(found: Curves, of: tuple[str, str]) -> Iterator[Table]:
    name = _source(*of)
    rows = [row for row in found.rows if (row.pools, row.group) == of]
    yield f"{name}: {rows[0].n:,} prompts, {_SHARES if found.binary else _VALUES}", *_curves(rows)
    yield from _enough(name, found, of)
    ahead = [row for row in found.predictions if (row.pools, row.group) == of]
    if ahead:
        shares = [f"{row.value:.4f} [{row.low:.3f}, {row.high:.3f}]" for row in ahead]
        yield (
            f"{name}: coverage to be expected of fresh draws",
            ["", *(f"k={row.k}" for row in ahead)],
            [["pass@k", *shares]],
        )
    qualities = [row for row in found.qualities if (row.pools, row.group) == of]
    if qualities:
        head = ["scorer", "AUC within a prompt", "AUC over all", "Spearman", "calibration error", "unscored"]
        yield f"{name}: how well scores follow the truth", head, [*map(_quality, qualities)]
    steppings = [row for row in found.steppings if (row.pools, row.group) == of]
    if steppings:
        head = ["scorer of steps", "wrong draws caught", "right draws suspected", "first error at step", "of the way"]
        others = list(dict.fromkeys(other for row in steppings for other, _ in row.agreement))
        rows_ = [_stepping(row, others) for row in steppings]
        yield f"{name}: what scorers of steps see", [*head, *(f"Spearman with {other}" for other in others)], rows_
    yield from _costs(name, [row for row in found.costs if (row.pools, row.group) == of])


def _curves(rows: Sequence[CurveRow]) -> tuple[list[str], list[list[str]]]:
    sizes = sorted({row.k for row in rows})
    by: dict[tuple[str, str, str], dict[int, CurveRow]] = {}
    for row in rows:
        by.setdefault((row.selector, row.scorer, row.metric), {})[row.k] = row
    return ["chosen by", *(f"k={size}" for size in sizes)], [
        [_way(selector, scorer), *(_point(curve.get(size)) for size in sizes)]
        for (selector, scorer, _), curve in by.items()
    ]


def _enough(name: str, found: Curves, of: tuple[str, str]) -> Iterator[Table]:
    """Where the gain of each way comes from and goes at the most draws, and how many are enough."""
    last = {(row.selector, row.scorer): row for row in found.gains if (row.pools, row.group) == of}  # the largest k
    knees = {(row.selector, row.scorer): row for row in found.knees if (row.pools, row.group) == of}
    head = [
        "chosen by",
        "one draw",
        "coverage",
        "not scored",
        "badly chosen",
        "worth",
        "best k",
        "nine tenths at",
        "more hurts",
    ]
    rows = []
    for key, knee in knees.items():
        gain = last[key]
        changes = (gain.coverage, -gain.abstention, -gain.selection)
        moved = [f"{change:+.4f}" if abs(change) >= 5e-5 else "0" for change in changes]
        hurts = "yes" if knee.hurts else "no"
        figures = [f"{gain.first:.4f}", *moved, f"{gain.chosen:.4f}"]
        rows.append([_way(*key), *figures, str(knee.best), str(knee.knee), hurts])
    if rows:
        yield f"{name}: where the gain comes from and goes, and how many draws are enough", head, rows


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


def _stepping(row: Stepping, others: Sequence[str]) -> list[str]:
    figures = (row.caught, row.alarmed, row.first, row.through, *(dict(row.agreement).get(other) for other in others))
    return [row.scorer, *("–" if figure is None else f"{figure:.3f}" for figure in figures)]


def _costs(name: str, rows: Sequence[CostRow]) -> Iterator[Table]:
    """What a prompt takes at the largest k, where anything is known of it."""
    last = max((row.k for row in rows), default=0)
    shown = [row for row in rows if row.k == last and row.selector != "all"]
    titles = {"tokens": "tokens", "money": "USD", "seconds": "seconds in turn", "latency": "seconds at once"}
    units = [unit for unit in titles if any(getattr(row, unit) for row in shown)]
    if units:
        yield (
            f"{name}: what a prompt takes at k={last}",
            ["chosen by", *(titles[unit] for unit in units)],
            [[_way(row.selector, row.scorer), *(_amount(getattr(row, unit)) for unit in units)] for row in shown],
        )


def _equal(found: Curves) -> Iterator[Table]:
    budgets = sorted({row.budget for row in found.equal})
    by: dict[tuple[str, str, str, str], dict[float, str]] = {}
    for row in found.equal:
        point = row.point
        key = (point.pools, point.group, point.selector, point.scorer)
        by.setdefault(key, {})[row.budget] = f"k={point.k}: {_point(point)}"
    if by:
        head = ["pools", "chosen by", *map(_amount, budgets)]
        yield f"At equal cost, in {found.unit} a prompt", head, [*_named(by, budgets)]


def _named(by: dict[tuple[str, str, str, str], dict[float, str]], budgets: Sequence[float]) -> Iterable[list[str]]:
    for (pools, group, selector, scorer), cells in by.items():
        yield [_source(pools, group), _way(selector, scorer), *(cells.get(budget, "") for budget in budgets)]


def _amount(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
