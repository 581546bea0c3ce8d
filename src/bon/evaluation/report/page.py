"""One self-contained page of HTML from charts, tables and prompts: nothing in it is fetched, every text is escaped."""

from __future__ import annotations

import base64
import html
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

from bon.evaluation.report.charts import Chart
from bon.evaluation.report.parts import as_json, figure, filled, inside_script, items, table

__all__ = ["packed", "page"]

_PARTS = ("page.html", "style.css", "charts.js", "browser.js")


def page(
    *,
    title: str,
    facts: Sequence[str],
    advice: Sequence[str],
    tables: Sequence[tuple[str, Sequence[str], Iterable[Sequence[str]]]],
    charts: Sequence[Chart],
    scripts: str,
    prompts: str,
    gold: str,
) -> str:
    """The page. `prompts` is what `packed` made, `tables` a caption, a head and rows each, `scripts` draws charts."""
    files = resources.files(__package__)
    template, style, drawing, browser = (files.joinpath(name).read_text("utf-8") for name in _PARTS)
    parts = {
        "title": html.escape(title),
        "style": style,
        "facts": items(facts),
        "advice": items(advice),
        "tables": "".join(table(*each) for each in tables),
        "charts": "".join(figure(chart) for chart in charts),
        "specs": as_json({chart.id: chart.spec for chart in charts}),
        "gold": html.escape(gold, quote=True),
        "scripts": inside_script(scripts),
        "prompts": prompts,
        "drawing": drawing,
        "browser": browser,
    }
    return "".join(filled(template, parts))


def packed(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as JSON, compressed (deflate) and in base64: a browser unpacks it in a moment."""
    squeeze = zlib.compressobj(9)
    pieces: list[bytes] = []
    for place, row in enumerate(rows):
        text = ("[" if place == 0 else ",") + json.dumps(row, ensure_ascii=False, separators=(",", ":"))
        pieces.append(squeeze.compress(text.encode("utf-8", errors="replace")))
    pieces.append(squeeze.compress(b"]" if pieces else b"[]"))
    return base64.b64encode(b"".join(pieces) + squeeze.flush()).decode("ascii")
