"""A pool as an HTML table, candidates side by side, for notebooks; reads the five nouns and imports none of them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bon.types import Candidate, Pool

__all__ = ["pool_html"]

_SHOWN = 600
_TABLE = "border-collapse:collapse;font:13px/1.45 system-ui,sans-serif;text-align:left"
_CELL = "padding:6px 10px;border:1px solid rgba(128,128,128,.35);vertical-align:top;text-align:left"
_PROSE = "white-space:pre-wrap;min-width:14em;max-width:32em"
_CHOSEN = ";background:rgba(46,160,67,.14)"


def pool_html(pool: Pool, *, weights: Sequence[float] | None = None, chosen: int | None = None) -> str:
    """One column a candidate: its scores with their reasons, tokens, seconds and text; all text is escaped.

    `weights`, shape `(n,)`, adds a row; `chosen` is the position of the candidate to mark.
    """
    rows = [_row("", [_heading(candidate, i == chosen) for i, candidate in enumerate(pool.candidates)], chosen)]
    if weights is not None:
        rows.append(_row("weight", [f"{weight:.3g}" for weight in weights], chosen))
    for name, scores in pool.scores.items():
        cells = [
            f'<span title="{escape(score.reason)}">{"–" if score.value is None else f"{score.value:.4g}"}</span>'
            for score in scores
        ]
        rows.append(_row(name, cells, chosen))
    if any(candidate.answer is not None for candidate in pool.candidates):
        rows.append(_row("answer", [escape(candidate.answer or "–") for candidate in pool.candidates], chosen))
    rows.append(_row("text", [_text(candidate) for candidate in pool.candidates], chosen))
    failures = "".join(
        f"<li>{escape(failure.stage)}{'' if failure.index is None else f' #{failure.index}'}: "
        f"{escape(failure.error)}: {escape(failure.message)}</li>"
        for failure in pool.failures
    )
    return (
        f'<div style="overflow-x:auto"><p style="{_TABLE}"><b>{escape(_short(pool.prompt.text))}</b></p>'
        f'<table style="{_TABLE}"><tbody>{"".join(rows)}</tbody></table>'
        + (f'<ul style="{_TABLE}">{failures}</ul>' if failures else "")
        + "</div>"
    )


def _row(label: str, cells: Sequence[str], chosen: int | None) -> str:
    columns = "".join(
        f'<td style="{_CELL}{_CHOSEN if i == chosen else ""}">{cell}</td>' for i, cell in enumerate(cells)
    )
    return f'<tr><th style="{_CELL}">{escape(label)}</th>{columns}</tr>'


def _heading(candidate: Candidate, chosen: bool) -> str:
    facts = [
        f"#{candidate.index}",
        f"{candidate.usage.completion_tokens} tokens" if candidate.usage else "",
        f"{candidate.seconds.total:.2f} s" if candidate.seconds else "",
        "cut at max_tokens" if candidate.finish_reason == "length" else "",
        escape(candidate.variation or ""),
    ]
    star = "★ " if chosen else ""
    return f"<b>{star}{' · '.join(filter(None, facts))}</b><br><small>{escape(candidate.generator)}</small>"


def _text(candidate: Candidate) -> str:
    folded = ""
    if candidate.reasoning:
        folded = f"<details><summary>reasoning</summary>{escape(candidate.reasoning)}</details>"
    return f'{folded}<div style="{_PROSE}">{escape(_short(candidate.text))}</div>'


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + " …"
