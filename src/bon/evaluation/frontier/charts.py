"""The frontier as charts: altair's specifications, which the page draws; colours and fonts are the page's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bon.errors import MissingExtra
from bon.evaluation.frontier.chart_rows import BEST, curve_rows, heat_rows, law_rows, run_rows, series_rows
from bon.evaluation.frontier.measured import Frontier
from bon.evaluation.frontier.summary import NAMES, named
from bon.evaluation.report.charts import Chart

__all__ = ["charts_of"]

_WIDTH, _HEIGHT = "container", 340
_GREY = "#8b95a3"
"""Of what is theory; to be seen on a light page and on a dark one."""

_FAR = "KL from the reference, nats"
_TITLES = {"win": "Win rate against distance", "reward": "Reward against distance"}
_WORDS = {
    "win": (
        "A point is a run: how often one of its answers beats a sample of the reference (half for ties), and how far "
        "it moved; a filled one is on the front of all runs. Bars, if any, are 95 % intervals over prompts. Dashed is "
        "the law of best-of-N where nothing ties and nothing is likely: log N - (N-1)/N and N/(N+1)."
    ),
    "reward": (
        "The same for the mean reward. Dashed is the measured reward of best-of-N at the distance it has at most: "
        "what it really moved is less where its answers are likely ones."
    ),
}


def charts_of(found: Frontier) -> list[Chart]:
    """All charts that a frontier has. Raises MissingExtra without altair."""
    try:
        import altair as alt
    except ImportError as error:
        raise MissingExtra("altair", extra="report", needed_for="a page of charts") from error
    with alt.data_transformers.enable("default", max_rows=None):
        return [
            Chart(id=id_, title=title, says=says, spec=chart.to_dict())
            for id_, title, says, chart in _charts(alt, found)
        ]


def _charts(alt: Any, found: Frontier) -> Iterator[tuple[str, str, str, Any]]:
    units = {"win": "win rate against the reference", "reward": f"mean reward ({found.scorer})"}
    shown = [*(named(row.method) for row in found.methods), BEST]
    colours = alt.Color(
        "method:N",
        title=None,
        scale=alt.Scale(
            domain=list(dict.fromkeys([*NAMES.values(), BEST, *shown]))
        ),  # a method's is its own everywhere
        legend=alt.Legend(values=shown),
    )
    for gain, unit in units.items():
        yield gain, _TITLES[gain], _WORDS[gain], _frontier(alt, found, gain, unit, colours)
    for gain, unit in units.items():
        if rows := heat_rows(found, gain):
            title = f"{'Win rate' if gain == 'win' else 'Reward'} against temperature"
            says = "Policies drawn at other temperatures, against the reference at each; means over seeds."
            yield f"{gain}-temperature", title, says, _heat(alt, rows, unit)


def _frontier(alt: Any, found: Frontier, gain: str, unit: str, colour: Any) -> Any:
    x = alt.X("kl:Q", title=_FAR, scale=alt.Scale(type="sqrt", domainMin=0))
    y = alt.Y("value:Q", title=unit, scale=alt.Scale(zero=False))
    law = (
        _chart(alt, law_rows(found, gain))
        .mark_line(strokeDash=[5, 4], color=_GREY, strokeWidth=1.5)
        .encode(x=x, y=y, order="n:Q", tooltip=["n:Q", *_figures(alt, "kl", "value")])
    )
    spread = _spread(alt) if found.prompts > 1 else []  # one prompt has no intervals
    curve = _chart(alt, curve_rows(found.best, gain))
    line = curve.mark_line(strokeWidth=2.5, point=alt.OverlayMarkDef(size=28)).encode(
        x=x, y=y, color=colour, order="n:Q", tooltip=["method:N", "n:Q", *_figures(alt, "kl", "value"), *spread]
    )
    series = (
        _chart(alt, series_rows(found, gain))
        .mark_line(opacity=0.45, strokeWidth=1.2)
        .encode(x=x, y=y, color=colour, order="kl:Q")
    )
    runs = _chart(alt, run_rows(found, gain))
    points = runs.mark_point(size=70, filled=True, strokeWidth=1.6).encode(
        x=x,
        y=y,
        color=colour,
        fillOpacity=alt.condition("datum['on the front'] == 'yes'", alt.value(0.95), alt.value(0.0)),
        stroke=colour,
        tooltip=[
            "method:N",
            "setting:N",
            "seed:N",
            "run:N",
            *_figures(alt, "kl", "value"),
            *spread,
            "on the front:N",
        ],
    )
    thin = {"opacity": 0.35, "strokeWidth": 1}
    low, near = alt.Y("value_low:Q", title=unit), alt.X("kl_low:Q", title=_FAR)
    bars = [
        bar
        for rows in ((runs, curve) if spread else ())
        for bar in (
            rows.mark_rule(**thin).encode(x=x, y=low, y2="value_high:Q", color=colour),
            rows.mark_rule(**thin).encode(x=near, x2="kl_high:Q", y=y, color=colour),
        )
    ]
    return alt.layer(law, *bars, series, line, points).properties(width=_WIDTH, height=_HEIGHT)


def _heat(alt: Any, rows: Sequence[Mapping[str, Any]], unit: str) -> Any:
    base = _chart(alt, rows).encode(
        x=alt.X("temperature:Q", title="temperature", scale=alt.Scale(zero=False)),
        color=alt.Color("series:N", title=None),
    )
    y = alt.Y("value:Q", title=unit, scale=alt.Scale(zero=False))
    lines = base.mark_line(point=True).encode(y=y, tooltip=["series:N", "temperature:Q", *_figures(alt, "value")])
    layers = [lines]
    if all("low" in row for row in rows):
        layers.insert(0, base.mark_rule(opacity=0.35).encode(y=alt.Y("low:Q", title=unit), y2="high:Q"))
    return alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT)


def _chart(alt: Any, rows: Sequence[Mapping[str, Any]]) -> Any:
    return alt.Chart(alt.Data(values=list(rows)))


def _figures(alt: Any, *names: str) -> list[Any]:
    return [alt.Tooltip(f"{name}:Q", format=".4f") for name in names]


def _spread(alt: Any) -> list[Any]:
    return _figures(alt, "kl_low", "kl_high", "value_low", "value_high")
