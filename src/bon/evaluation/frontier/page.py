"""The frontier as one self-contained page of HTML: charts, tables, and where each number comes from."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources

from bon.evaluation.frontier.charts import charts_of
from bon.evaluation.frontier.gap import Gap
from bon.evaluation.frontier.measured import Amount, Frontier
from bon.evaluation.frontier.pareto import Share
from bon.evaluation.frontier.summary import named
from bon.evaluation.report.charts import scripts
from bon.evaluation.report.parts import as_json, figure, filled, inside_script, items, table

__all__ = ["frontier_page", "tables_of"]

_NONE = "–"
Table = tuple[str, Sequence[str], Iterable[Sequence[str]]]


def frontier_page(found: Frontier, *, title: str, facts: Sequence[str] = ()) -> str:
    """The page, which fetches nothing. Raises MissingExtra without altair and vl-convert-python."""
    style, drawing = (
        resources.files("bon.evaluation.report").joinpath(name).read_text("utf-8")
        for name in ("style.css", "charts.js")
    )
    charts = charts_of(found)
    parts = {
        "title": html.escape(title),
        "style": style,
        "facts": items([*_facts(found), *facts]),
        "charts": "".join(figure(chart) for chart in charts),
        "tables": "".join(table(*each) for each in tables_of(found)),
        "sources": items([*_sources(found), *found.notes]),
        "specs": as_json({chart.id: chart.spec for chart in charts}),
        "drawing": drawing,
        "scripts": inside_script(scripts()),
    }
    return "".join(filled(resources.files(__package__).joinpath("page.html").read_text("utf-8"), parts))


def tables_of(found: Frontier) -> list[Table]:
    """A caption, a head and rows each: shares, gaps, best-of-N, costs, runs."""
    return [_shares(found), _gaps(found), _best(found), _costs(found), _runs(found)]


def _facts(found: Frontier) -> Iterator[str]:
    runs = sum(1 for run in found.runs if run.on_front)
    yield f"{runs} runs on {found.prompts:,} prompts, against {found.samples:,} samples of {found.reference} for each"
    yield f"rewards are those of {found.scorer}, at temperature {found.temperature:g}"


def _sources(found: Frontier) -> Iterator[str]:
    draws = f"the mean over {found.prompts:,} prompts, with a 95 % percentile interval of their bootstrap"
    if found.prompts == 1:
        draws = "of the one prompt, and has no interval, since nothing is known of others"
    yield f"every figure of a run or of best-of-N is {draws}; all are compared on the same prompts"
    yield (
        "KL of a run: over its own answers, the sum at each token of KL(policy || reference) over the whole vocabulary "
        "(Rao-Blackwell), of response tokens only, both at the temperature of the draws"
    )
    yield "win rate of a run: the share of all the reference's samples of a prompt that an answer beats, ties half"
    yield (
        "best-of-N: over all subsets of N of the reference's samples; it wins against a sample that is not among the N"
    )
    yield (
        "KL of best-of-N: from the reference's probabilities of the chosen samples (Beirami et al. 2024)"
        if found.kl_estimated
        else "KL of best-of-N: the bound log N - (N-1)/N, since the probabilities of the samples are not known"
    )
    yield (
        "Pareto share: of the runs that no other one beats (as near and as good), those of a method; as many runs of "
        "each method are taken as the one with the fewest has, and intervals draw prompts and runs anew"
    )
    yield (
        "seconds of an answer: many were drawn side by side, the more the cheaper each; tokens are what methods can be "
        "compared by"
    )
    yield (
        "gap: best-of-N, measured, at the KL of a run, less the run; between two N straight over the root of the KL, "
        "beyond the last unknown; a method's is the mean of its runs, and its interval is over prompts and seeds"
    )


def _shares(found: Frontier) -> Table:
    head = ["method", "runs", "of the front of win rate", "of the front of reward", "interval over"]
    rows = [
        [
            named(row.method),
            str(row.runs),
            *(_ended(share, ".0%") for share in (row.share["win"], row.share["reward"])),
            row.share["win"].over or _NONE,
        ]
        for row in found.methods
    ]
    return "Pareto shares", head, rows


def _gaps(found: Frontier) -> Table:
    head = ["method", "win rate", "interval over", "runs", "reward", "interval over", "runs"]
    rows = [
        [
            named(row.method),
            *(
                cell
                for gap in (row.gap["win"], row.gap["reward"])
                for cell in (_ended(gap, "+.3f"), gap.over or _NONE, str(gap.runs))
            ),
        ]
        for row in found.methods
    ]
    return "What is lacking to best-of-N at the same KL (below 0: better)", head, rows


def _best(found: Frontier) -> Table:
    head = ["N", "KL", "at most", "win rate", "without ties", "reward"]
    rows = [
        [
            str(row.n),
            _ended(row.kl) if found.kl_estimated else _NONE,
            f"{row.bound:.3f}",
            _ended(row.win),
            f"{row.most:.3f}",
            _ended(row.reward),
        ]
        for row in found.best
    ]
    return "Best-of-N: measured, and by theory", head, rows


def _costs(found: Frontier) -> Table:
    head = [
        *("an answer of", "draws", "tokens", "ms", "optimisation s", "tokens", "drawing s"),
        *("samples of the reference s", "tokens"),
    ]
    rows = [
        [
            named(row.method),
            str(row.draws),
            _number(row.tokens),
            _number(None if row.seconds is None else 1000 * row.seconds),
            _number(row.optimisation_seconds),
            _number(row.optimisation_tokens),
            _number(row.drawing_seconds),
            _number(row.preprocessing_seconds),
            _number(row.preprocessing_tokens),
        ]
        for row in found.costs
    ]
    return "Cost: of an answer, and of the training (means over runs)", head, rows


def _runs(found: Frontier) -> Table:
    head = [
        "run",
        "method",
        "setting",
        "seed",
        "T",
        "KL",
        "win rate",
        "reward",
        "gap: win",
        "gap: reward",
        "tokens",
        "ended",
    ]
    rows = [
        [
            run.run,
            named(run.method),
            run.setting,
            str(run.seed),
            f"{run.temperature:g}",
            _ended(run.kl),
            _ended(run.win) + ("*" if run.on_front.get("win") else ""),
            _ended(run.reward) + ("*" if run.on_front.get("reward") else ""),
            *((_ended(run.gap["win"], "+.3f"), _ended(run.gap["reward"], "+.3f")) if run.gap else (_NONE, _NONE)),
            f"{run.length:.1f}",
            f"{run.ended:.0%}",
        ]
        for run in found.runs
    ]
    return "Runs (* on the front)", head, rows


def _ended(found: Amount | Gap | Share, form: str = ".3f") -> str:
    """A figure with the ends of its interval, or with why there are none."""
    if found.value is None:
        return _NONE
    value, low, high = ("" if each is None else format(each, form) for each in (found.value, found.low, found.high))
    return f"{value} [{low}, {high}]" if low and high else f"{value} [{found.why}]" if found.why else value


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
