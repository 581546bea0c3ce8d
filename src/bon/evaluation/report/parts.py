"""Pieces of a page of HTML, every text in them escaped: templates, lists, tables, charts and what draws them."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bon.evaluation.report.charts import Chart

__all__ = ["as_json", "figure", "filled", "inside_script", "items", "table"]


def filled(template: str, parts: Mapping[str, str]) -> Iterable[str]:
    """The template with each `{{name}}` replaced once; what is put in is not looked at again."""
    for piece in template.split("{{"):
        name, closed, rest = piece.partition("}}")
        yield parts[name] + rest if closed and name in parts else piece


def as_json(value: Any) -> str:
    """JSON that can stand in a script element: no text in it can end the element."""
    return json.dumps(value, ensure_ascii=True).replace("<", "\\u003c").replace(">", "\\u003e")


def items(lines: Sequence[str]) -> str:
    """What stands in a list."""
    return "".join(f"<li>{html.escape(line)}</li>" for line in lines)


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the first cell of a row names it."""
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


def figure(chart: Chart) -> str:
    """The place of a chart, which `charts.js` draws, with its title and its caption."""
    return (
        f'<figure id="figure-{html.escape(chart.id, quote=True)}"><h3>{html.escape(chart.title)}</h3>'
        f'<div class="chart scroll" data-chart="{html.escape(chart.id, quote=True)}"></div>'
        f"<figcaption>{html.escape(chart.says)}</figcaption></figure>"
    )


def inside_script(text: str) -> str:
    """A script as it can stand in a script element: nothing in it can end the element."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")
