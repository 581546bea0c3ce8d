"""Curves as charts: altair's specifications, which the page draws; colours and fonts are the page's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bon.errors import MissingExtra
from bon.evaluation.curves import Curves, Sheet
from bon.evaluation.report.chart_rows import cost_rows, curve_rows, gain_rows, proxy_rows, score_rows

__all__ = ["Chart", "charts_of", "scripts"]

_WIDTH, _HEIGHT = "container", 280
_GREY, _GREEN, _RED, _AMBER = "#8b95a3", "#2e9e63", "#d05a4e", "#c98a1b"
"""To be told apart on a light page and on a dark one."""

_WORDS: Mapping[str, tuple[str, str]] = {
    "curves": (
        "What k draws are worth",
        (
            "Each line is a way of choosing one of k draws, its band the 95 % interval; oracle is the best draw by the "
            "truth, which no way of choosing can beat."
        ),
    ),
    "gains": (
        "Coverage against selection",
        (
            "What the best of k draws is above one draw, and where it goes: gained by choosing, lost by choosing a "
            "worse draw than there was, lost by draws without a score or a vote."
        ),
    ),
    "scores": (
        "Scores of right and wrong draws",
        "A scorer that can choose has its right draws to the right of its wrong ones.",
    ),
    "overoptimisation": (
        "Over-optimisation",
        (
            "What the scorer thinks of its choice (z-score, dashed) and what the choice is worth, as best-of-k moves "
            "away from the model; where the truth falls while the score rises, more draws hurt."
        ),
    ),
    "costs": ("Worth against cost", "Each point is a k; of two ways at the same cost the higher one is better."),
}
"""Of each chart: its title, and how to read it."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One chart of the report."""

    id: str
    title: str
    says: str
    """How to read it, in a sentence."""
    spec: Mapping[str, Any]
    """Vega-Lite, as altair writes it."""


def scripts() -> str:
    """What draws the charts in a browser: Vega, Vega-Lite and Vega-Embed in one piece. Raises MissingExtra."""
    try:
        import vl_convert
    except ImportError as error:
        raise MissingExtra("vl-convert-python", extra="report", needed_for="a report") from error
    bundle: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub forgets the default
    return bundle


def charts_of(found: Curves, sheets: Sequence[Sheet]) -> list[Chart]:
    """All charts that the pools have something to say to. Raises MissingExtra without altair."""
    try:
        import altair as alt
    except ImportError as error:
        raise MissingExtra("altair", extra="report", needed_for="a report") from error
    with alt.data_transformers.enable("default", max_rows=None):
        return [
            Chart(id=id_, title=_WORDS[id_][0], says=_WORDS[id_][1], spec=chart.to_dict())
            for id_, chart in _charts(alt, found, sheets)
        ]


def _charts(alt: Any, found: Curves, sheets: Sequence[Sheet]) -> Iterator[tuple[str, Any]]:
    """By id, those for which there are rows."""
    unit = "share of prompts that are right" if found.binary else "worth of what is chosen"
    yield "curves", _curves(alt, curve_rows(found, sheets), unit)
    if rows := gain_rows(found, sheets):
        yield "gains", _gains(alt, rows)
    if rows := score_rows(sheets):
        yield "scores", _scores(alt, rows)
    if rows := proxy_rows(sheets):
        yield "overoptimisation", _overoptimisation(alt, rows, unit)
    if rows := cost_rows(found, sheets):
        yield "costs", _costs(alt, rows, unit)


def _curves(alt: Any, rows: Sequence[Mapping[str, Any]], unit: str) -> Any:
    base = alt.Chart(alt.Data(values=list(rows))).encode(
        x=alt.X("k:Q", scale=alt.Scale(type="log", base=2), title="draws (k)", axis=alt.Axis(format="d")),
        color=alt.Color("chosen by:N", title=None),
    )
    band = base.mark_area(opacity=0.15).encode(y=alt.Y("low:Q", title=unit, scale=alt.Scale(zero=False)), y2="high:Q")
    line = base.mark_line(point=True).encode(
        y=alt.Y("value:Q", title=unit, scale=alt.Scale(zero=False)),
        tooltip=["chosen by:N", "k:Q", *(alt.Tooltip(f"{name}:Q", format=".4f") for name in ("value", "low", "high"))],
    )
    return (band + line).properties(width=_WIDTH, height=_HEIGHT)


def _gains(alt: Any, rows: Sequence[Mapping[str, Any]]) -> Any:
    parts = ["one draw", "gained by choosing", "lost by choosing", "lost without a score"]
    return (
        alt.Chart(alt.Data(values=list(rows)))
        .mark_bar()
        .encode(
            x=alt.X("k:O", title="draws (k)", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("value:Q", title=None, stack=True),
            color=alt.Color(
                "part:N", sort=parts, scale=alt.Scale(domain=parts, range=[_GREY, _GREEN, _RED, _AMBER]), title=None
            ),
            order=alt.Order("order:Q"),
            tooltip=["way:N", "k:O", "part:N", alt.Tooltip("value:Q", format=".4f")],
        )
        .properties(width=160, height=200)
        .facet(facet=alt.Facet("way:N", title=None), columns=4)
    )


def _scores(alt: Any, rows: Sequence[Mapping[str, Any]]) -> Any:
    return (
        alt.Chart(alt.Data(values=list(rows)))
        .mark_bar(opacity=0.6)
        .encode(
            x=alt.X("from:Q", bin="binned", title="score"),
            x2="to:Q",
            y=alt.Y("draws:Q", stack=None, title="draws"),
            color=alt.Color("truth:N", scale=alt.Scale(domain=["right", "wrong"], range=[_GREEN, _RED]), title=None),
            tooltip=["scorer:N", "truth:N", "draws:Q", alt.Tooltip("from:Q", format=".3g")],
        )
        .properties(width=220, height=160)
        .facet(facet=alt.Facet("scorer:N", title=None), columns=3)
        .resolve_scale(x="independent", y="independent")
    )


def _overoptimisation(alt: Any, rows: Sequence[Mapping[str, Any]], unit: str) -> Any:
    base = alt.Chart(alt.Data(values=list(rows))).encode(
        x=alt.X("kl:Q", title="nats from the model (at most)"), color=alt.Color("scorer:N", title=None)
    )
    tips = ["scorer:N", "k:Q", *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("kl", "proxy", "gold"))]
    proxy = base.mark_line(strokeDash=[4, 4], point=True).encode(
        y=alt.Y("proxy:Q", title="score of the choice (z, dashed)"), tooltip=tips
    )
    gold = base.mark_line(point=True).encode(y=alt.Y("gold:Q", title=unit, scale=alt.Scale(zero=False)), tooltip=tips)
    return (proxy + gold).resolve_scale(y="independent").properties(width=_WIDTH, height=_HEIGHT)


def _costs(alt: Any, rows: Sequence[Mapping[str, Any]], unit: str) -> Any:
    title = rows[0]["unit"]
    return (
        alt.Chart(alt.Data(values=list(rows)))
        .mark_line(point=True)
        .encode(
            x=alt.X("cost:Q", scale=alt.Scale(type="log"), title=title),
            y=alt.Y("value:Q", title=unit, scale=alt.Scale(zero=False)),
            order="k:Q",
            color=alt.Color("chosen by:N", title=None),
            tooltip=["chosen by:N", "k:Q", "cost:Q", alt.Tooltip("value:Q", format=".4f")],
        )
        .properties(width=_WIDTH, height=_HEIGHT)
    )
