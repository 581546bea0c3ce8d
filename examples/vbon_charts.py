"""The figures of the comparison as one page of HTML: altair's specifications and tables, nothing that is fetched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from typing import Any

from bon.evaluation.frontier.charts import charts_of
from bon.evaluation.frontier.measured import Frontier
from bon.evaluation.frontier.page import tables_of
from bon.evaluation.frontier.summary import NAMES
from bon.evaluation.report.charts import Chart, scripts
from bon.evaluation.report.parts import as_json, figure, filled, inside_script, items, table

__all__ = ["charts", "page"]

WHO = {"vbon": "vBoN", "bonbon": "BoNBoN", "sft": "BoN-SFT", "dpo": "DPO", "ppo": "PPO"}
_SIZE = {"width": "container", "height": 300}
Rows = Sequence[Mapping[str, Any]]
FRONTIERS = {
    "figure-2": "Figure 2: vBoN, BoNBoN, DPO and PPO",
    "figure-6": "Figure 6: vBoN against its bound L",
    "figure-7": "Figure 7: figure 2 with BoN-SFT",
    "evaluator": "Figure 2, judged by the evaluator",
}


def charts(figures: Mapping[str, Any], frontiers: Mapping[str, Frontier]) -> Iterator[Chart]:
    """All charts that there are figures for."""
    import altair as alt

    for name, title in FRONTIERS.items():
        if name in frontiers:
            for chart in charts_of(frontiers[name]):
                if not chart.id.endswith("temperature"):
                    yield replace(chart, id=f"{name}-{chart.id}", title=f"{title}: {chart.title.lower()}")
    with alt.data_transformers.enable("default", max_rows=None):
        for name, title, says, chart in _own(alt, figures):
            yield Chart(id=name, title=title, says=says, spec=chart.to_dict())


def _own(alt: Any, figures: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Any]]:
    says = (
        "The estimate of log F from M samples of the reference, for three prompts; the lowest it can be is -log(M+1)."
    )
    yield "figure-3", "Figure 3: log F-hat against the reward", says, _f_hat(alt, figures["f_hat"])
    if figures["clocks"]:
        says = "vBoN with N = 10 from the moment at which its M samples begin to be drawn; means over the seeds."
        for name, unit in (("reward", "mean reward of a step"), ("win", "win rate against its own M samples")):
            yield f"figure-4-{name}", f"Figure 4: {name} against time", says, _clock(alt, figures["clocks"], name, unit)
    says = (
        "Solid: prompts like those trained on. Dashed: prompts whose first word opens no sentence of any part. Bars "
        "are 95 % intervals over prompts; win rates are against the reference at temperature 1."
    )
    for name, unit in (("win", "win rate against the reference"), ("evaluator", "rating by the evaluator")):
        yield f"figure-5-{name}", f"Figure 5: {unit}", says, _heat(alt, figures["temperatures"], name, unit)


def _f_hat(alt: Any, rows: Rows) -> Any:
    return (
        _chart(alt, rows)
        .mark_line(interpolate="step-after")
        .encode(
            x=alt.X("reward:Q"),
            y=alt.Y("log_f:Q", title="log F-hat"),
            color=alt.Color("M:N", title="M", sort=None),
            tooltip=["prompt:N", "M:N", alt.Tooltip("reward:Q", format=".3f"), alt.Tooltip("log_f:Q", format=".3f")],
        )
        .properties(width=130, height=200)
        .facet(facet=alt.Facet("prompt:N", title=None), columns=3)
    )


def _clock(alt: Any, rows: Rows, name: str, unit: str) -> Any:
    base = _chart(alt, smoothed(rows)).encode(x=alt.X("seconds:Q", title="seconds"), color=alt.Color("M:N", sort=None))
    y = alt.Y(f"{name}:Q", title=unit, scale=alt.Scale(zero=False))
    band = base.mark_area(opacity=0.15).encode(y=alt.Y(f"{name}_low:Q", title=unit), y2=f"{name}_high:Q")
    tips = ["M:N", "step:Q", *(alt.Tooltip(f"{field}:Q", format=".3f") for field in ("seconds", name))]
    return (band + base.mark_line().encode(y=y, tooltip=tips)).properties(**_SIZE)


def smoothed(rows: Rows, steps: int = 5) -> list[dict[str, Any]]:
    """Means over some steps and over the seeds, with the least and the most of a seed."""
    cells: dict[tuple[int, int], dict[int, list[Mapping[str, Any]]]] = {}
    for row in rows:
        cells.setdefault((row["M"], row["step"] // steps), {}).setdefault(row["seed"], []).append(row)
    found = []
    for (size, _), seeds in cells.items():
        every = [row for own in seeds.values() for row in own]
        cell: dict[str, Any] = {"M": size, "step": max(row["step"] for row in every)}
        cell["seconds"] = _mean([row["seconds"] for row in every])
        for name in ("reward", "win"):
            each = [_mean([row[name] for row in own]) for own in seeds.values()]
            cell |= {name: _mean(each), f"{name}_low": min(each), f"{name}_high": max(each)}
        found.append(cell)
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _heat(alt: Any, rows: Rows, name: str, unit: str) -> Any:
    domains = {"test": "in domain", "out_of_domain": "out of domain"}
    told = [{**row, "domain": domains[row["domain"]], "method": WHO.get(row["method"], row["method"])} for row in rows]
    shown = list(dict.fromkeys(row["method"] for row in told))
    base = _chart(alt, told).encode(
        x=alt.X("temperature:Q", scale=alt.Scale(zero=False)),
        color=alt.Color(
            "method:N",
            title=None,
            scale=alt.Scale(domain=list(dict.fromkeys([*NAMES.values(), *shown]))),
            legend=alt.Legend(values=shown),
        ),
    )
    dash = alt.StrokeDash(
        "domain:N", title=None, scale=alt.Scale(domain=list(domains.values()), range=[[1, 0], [5, 4]])
    )
    y = alt.Y(f"{name}:Q", title=unit, scale=alt.Scale(zero=False))
    tips = ["method:N", "domain:N", "temperature:Q", alt.Tooltip(f"{name}:Q", format=".3f")]
    bars = base.mark_rule(opacity=0.3).encode(y=alt.Y(f"{name}_low:Q", title=unit), y2=f"{name}_high:Q")
    return (bars + base.mark_line(point=True).encode(y=y, strokeDash=dash, tooltip=tips)).properties(**_SIZE)


def _chart(alt: Any, rows: Rows) -> Any:
    return alt.Chart(alt.Data(values=[dict(row) for row in rows]))


def page(figures: Mapping[str, Any], frontiers: Mapping[str, Frontier], facts: Sequence[str]) -> str:
    """The page. Raises MissingExtra without altair and vl-convert-python."""
    drawn = list(charts(figures, frontiers))
    read = resources.files("bon.evaluation")
    parts = {
        "title": "vBoN and five others on sentences of film reviews",
        "style": read.joinpath("report/style.css").read_text("utf-8"),
        "facts": items(facts),
        "charts": "".join(figure(chart) for chart in drawn),
        "tables": "".join(table(*each) for each in _tables(figures, frontiers)),
        "sources": items(SOURCES),
        "specs": as_json({chart.id: chart.spec for chart in drawn}),
        "drawing": read.joinpath("report/charts.js").read_text("utf-8"),
        "scripts": inside_script(scripts()),
    }
    return "".join(filled(read.joinpath("frontier/page.html").read_text("utf-8"), parts))


SOURCES = (
    "figures are numbered as in Amini et al., Variational Best-of-N Alignment, ICLR 2025",
    "F-hat, wins and rewards are of answers of at most 16 tokens to prompts of 2 to 8",
    "the evaluator is a regression on people's ratings; neither it nor the reward model has met the prompts' sentences",
    "texts: the first draw of each, whatever it is",
)


def _tables(figures: Mapping[str, Any], frontiers: Mapping[str, Frontier]) -> Iterator[Any]:
    for name, title in FRONTIERS.items():
        if name in frontiers:
            for caption, *rest in list(tables_of(frontiers[name]))[: 4 if name == "figure-7" else 2]:
                yield f"{title}: {caption}", *rest
    head = ["M", "rejected", "the same of one law", "against other samples", "95 % band"]
    rows = [
        [
            f"{row['M']:.0f}",
            *(f"{row[name]:.1%}" for name in ("rejected", "control", "independent")),
            f"{row['band']:.3f}",
        ]
        for row in figures["ks"]
    ]
    yield "Table 1: tests at 5 % that tell F-hat of M samples from that of all", head, rows
    head = ["prompt", "temperature", "who", "text", "reward", "rating by the evaluator"]
    yield "Texts", head, _text_rows(figures["texts"])


def _text_rows(rows: Rows) -> Iterable[Sequence[str]]:
    for row in rows:
        told = (
            f"{row['temperature']:g}",
            WHO.get(row["method"], row["method"]),
            row["text"],
            f"{row['reward']:.2f}",
            f"{row['evaluator']:+.2f}",
        )
        yield [row["prompt"], *told]
