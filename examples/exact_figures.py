"""What examples/vbon_exact.py found, as a table and as a chart; nothing here trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bon.evaluation.frontier.pareto import front_shares

__all__ = ["chart", "gap", "shares", "table"]

Rows = Sequence[Mapping[str, Any]]
Curves = Mapping[str, Rows]
GAINS = {"win_rate": "Win rate against the reference", "reward": "Mean reward"}


def gap(row: Mapping[str, Any], gain: str, best: Rows) -> float:
    """How much less a run gains than best-of-N at the same KL; below 0 where it gains more."""
    return float(np.interp(row["kl"], [point["kl"] for point in best], [point[gain] for point in best])) - row[gain]


def shares(rows: Rows) -> dict[str, dict[str, tuple[float, float | None, float | None]]]:
    """Of each gain, each method's share of the Pareto front of all runs, with a 95 % interval over runs.

    The interval has no ends where a method has one run.
    """
    methods, rng = [row["method"] for row in rows], np.random.default_rng(0)
    distance = [[row["kl"]] for row in rows]
    found = {}
    for gain in GAINS:
        parts = front_shares(distance, [[row[gain]] for row in rows], methods, rng=rng)
        found[gain] = {share.method: (share.value, share.low, share.high) for share in parts}
    return found


def table(rows: Rows, curves: Curves) -> str:
    """A line a method and value, the means over seeds, with the least and the greatest gap in win rate."""
    best = curves["best-of-N"]
    groups: dict[tuple[str, float], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["method"], row["value"]), []).append(row)
    lines = [
        "| method | N or beta | KL | win rate | reward | win rate below best-of-N, points | reward below it |",
        "|---|---|---|---|---|---|---|",
    ]
    for (method, value), runs in groups.items():
        kl, win, reward = (np.mean([run[name] for run in runs]) for name in ("kl", "win_rate", "reward"))
        wins = [100 * gap(run, "win_rate", best) for run in runs]
        short = np.mean([gap(run, "reward", best) for run in runs])
        lines.append(
            f"| {method} | {value:g} | {kl:.3f} | {win:.3f} | {reward:.3f} "
            f"| {np.mean(wins):.2f} ({min(wins):.2f} to {max(wins):.2f}) | {short:.3f} |"
        )
    lines.append("")
    for gain, parts in shares(rows).items():
        told = ", ".join(
            f"{name} {100 * one:.0f} % "
            + ("(one run)" if low is None or high is None else f"({100 * low:.0f} to {100 * high:.0f})")
            for name, (one, low, high) in parts.items()
        )
        lines.append(f"Share of the Pareto front, {GAINS[gain].lower()}: {told}.")
    return "\n".join(lines)


def chart(rows: Rows, curves: Curves, path: Path) -> None:
    """Gains against KL, runs as points and what is computed as lines, as a page that needs no network."""
    import altair as alt

    far = max(row["kl"] for row in rows) * 1.1
    lines = [{"line": name, **point} for name, points in curves.items() for point in points if point["kl"] <= far]
    panels = []
    for gain, title in GAINS.items():
        axis = alt.Y(f"{gain}:Q", title=title, scale=alt.Scale(zero=False))
        distance = alt.X("kl:Q", title="KL to the reference, nats")
        told = [alt.Tooltip(f"{name}:N") for name in ("method", "value", "seed")]
        told += [alt.Tooltip(f"{name}:Q", format=".3f") for name in ("kl", "win_rate", "reward")]
        points = (
            alt.Chart(alt.Data(values=list(rows)))
            .mark_point(filled=True, size=55, opacity=0.8)
            .encode(x=distance, y=axis, color=alt.Color("method:N", title="method"), shape="method:N", tooltip=told)
        )
        paths = (
            alt.Chart(alt.Data(values=lines))
            .mark_line(color="#8b95a3")
            .encode(x=distance, y=axis, strokeDash=alt.StrokeDash("line:N", title="computed"), order="kl:Q")
        )
        panels.append((paths + points).properties(width=430, height=330))
    alt.hconcat(*panels).properties(title="Trained and computed, exactly").save(str(path), format="html", inline=True)
