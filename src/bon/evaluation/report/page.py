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

__all__ = ["packed", "page"]

_PARTS = ("page.html", "style.css", "browser.js")


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
    template, style, browser = (resources.files(__package__).joinpath(name).read_text("utf-8") for name in _PARTS)
    parts = {
        "title": html.escape(title),
        "style": style,
        "facts": _items(facts),
        "advice": _items(advice),
        "tables": "".join(_table(*table) for table in tables),
        "charts": "".join(_figure(chart) for chart in charts),
        "specs": _json({chart.id: chart.spec for chart in charts}),
        "gold": html.escape(gold, quote=True),
        "scripts": scripts.replace("</script", "<\\/script").replace("<!--", "<\\!--"),
        "prompts": prompts,
        "browser": browser,
    }
    return "".join(_filled(template, parts))


def packed(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as JSON, compressed (deflate) and in base64: a browser unpacks it in a moment."""
    squeeze = zlib.compressobj(9)
    pieces: list[bytes] = []
    for place, row in enumerate(rows):
        text = ("[" if place == 0 else ",") + json.dumps(row, ensure_ascii=False, separators=(",", ":"))
        pieces.append(squeeze.compress(text.encode("utf-8", errors="replace")))
    pieces.append(squeeze.compress(b"]" if pieces else b"[]"))
    return base64.b64encode(b"".join(pieces) + squeeze.flush()).decode("ascii")


def _filled(template: str, parts: Mapping[str, str]) -> Iterable[str]:
    """The template with each `{{name}}` replaced once; what is put in is not looked at again."""
    for piece in template.split("{{"):
        name, closed, rest = piece.partition("}}")
        yield parts[name] + rest if closed and name in parts else piece


def _json(value: Any) -> str:
    """JSON that can stand in a script element: no text in it can end the element."""
    return json.dumps(value, ensure_ascii=True).replace("<", "\\u003c").replace(">", "\\u003e")


def _items(lines: Sequence[str]) -> str:
    return "".join(f"<li>{html.escape(line)}</li>" for line in lines)


def _table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = "".join(f"<th scope=col>{html.escape(cell)}</th>" for cell in head)
    body = "".join(
        f"<tr><th scope=row>{html.escape(row[0])}</th>"
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f"<div class=scroll><table><caption>{html.escape(caption)}</caption><thead><tr>{cells}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _figure(chart: Chart) -> str:
    return (
        f'<figure id="figure-{html.escape(chart.id, quote=True)}"><h3>{html.escape(chart.title)}</h3>'
        f'<div class="chart scroll" data-chart="{html.escape(chart.id, quote=True)}"></div>'
        f"<figcaption>{html.escape(chart.says)}</figcaption></figure>"
    )
