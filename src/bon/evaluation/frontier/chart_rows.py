"""The numbers behind each chart of the frontier, one row a mark; pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from bon.evaluation.frontier.measured import Amount, BestRow, Frontier, RunRow
from bon.evaluation.frontier.summary import named

__all__ = ["BEST", "curve_rows", "heat_rows", "law_rows", "run_rows", "series_rows"]

BEST = "best of N, measured"


def run_rows(found: Frontier, gain: str) -> list[dict[str, Any]]:
    """Each run at the reference's temperature, by its KL and what it gains."""
    return [
        {
            "method": named(run.method),
            "run": run.run,
            "setting": run.setting,
            "seed": run.seed,
            "on the front": "yes" if run.on_front[gain] else "no",
            **_ends("kl", run.kl),
            **_ends("value", _amount(run, gain)),
        }
        for run in found.runs
        if run.on_front
    ]


def series_rows(found: Frontier, gain: str) -> list[dict[str, Any]]:
    """The mean over the seeds of each setting: what the line of a method goes through."""
    settings: dict[tuple[str, str], list[RunRow]] = defaultdict(list)
    for run in found.runs:
        if run.on_front:
            settings[run.method, run.setting].append(run)
    return [
        {
            "method": named(method),
            "setting": setting,
            "kl": sum(run.kl.value for run in runs) / len(runs),
            "value": sum(_amount(run, gain).value for run in runs) / len(runs),
        }
        for (method, setting), runs in settings.items()
    ]


def curve_rows(best: Sequence[BestRow], gain: str) -> list[dict[str, Any]]:
    """Best-of-N as it was measured."""
    return [
        {
            "method": BEST,
            "n": row.n,
            "setting": f"N={row.n}",
            **_ends("kl", row.kl),
            **_ends("value", row.win if gain == "win" else row.reward),
        }
        for row in best
    ]


def law_rows(found: Frontier, gain: str) -> list[dict[str, Any]]:
    """What theory has of it: (bound, N / (N + 1)); of rewards it has but the distance at most."""
    return [
        {"n": row.n, "kl": row.bound, "value": row.most if gain == "win" else row.reward.value} for row in found.best
    ]


def heat_rows(found: Frontier, gain: str) -> list[dict[str, Any]]:
    """Each setting at each temperature, the mean over its seeds; nothing where there is one temperature only."""
    groups: dict[tuple[str, str, float], list[RunRow]] = defaultdict(list)
    for run in found.runs:
        groups[run.method, run.setting, run.temperature].append(run)
    if len({temperature for *_, temperature in groups}) < 2:
        return []
    return [
        {
            "method": named(method),
            "setting": setting,
            "series": f"{named(method)} {setting}",
            "temperature": temperature,
            "value": sum(_amount(run, gain).value for run in runs) / len(runs),
            **_outermost([_amount(run, gain) for run in runs]),
        }
        for (method, setting, temperature), runs in groups.items()
    ]


def _amount(run: RunRow, gain: str) -> Amount:
    return run.win if gain == "win" else run.reward


def _ends(name: str, amount: Amount) -> dict[str, float]:
    """The value, and the ends of its interval where there is one: a chart would take a null for 0."""
    ends = {f"{name}_low": amount.low, f"{name}_high": amount.high}
    return {name: amount.value, **{end: value for end, value in ends.items() if value is not None}}


def _outermost(amounts: Sequence[Amount]) -> dict[str, float]:
    """The lowest and the highest end of all intervals; nothing where one has none."""
    low, high = (
        [end for end in ends if end is not None] for ends in zip(*((a.low, a.high) for a in amounts), strict=True)
    )
    return {"low": min(low), "high": max(high)} if len(low) == len(high) == len(amounts) else {}
