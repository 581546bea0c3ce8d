"""What draws that a verifier has judged are worth: pass@k, best@k by each scorer, majority@k, and their intervals."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

import bon

SIZES = {"pass_at_k": (1, 10, 50, 100), "best_at_k": (10, 50), "majority_at_k": (10,)}
"""Metric -> the k that are shown of it, as far as there are so many draws."""


def measured(pools: Path, *, gold: str, scorers: Sequence[str], n: int) -> list[dict[str, object]]:
    """The rows that are shown of a file of pools with `n` draws a prompt."""
    sizes = {metric: [k for k in each if k <= n] or [n] for metric, each in SIZES.items()}
    if n not in sizes["pass_at_k"] and n < max(SIZES["pass_at_k"]):
        sizes["pass_at_k"].append(n)
    found = bon.curves(pools, gold=gold, by=scorers, k=sorted({k for each in sizes.values() for k in each}))
    rows = [asdict(row) for row in found.rows if row.k in sizes.get(row.metric, ())]
    return [{key: row[key] for key in ("metric", "scorer", "k", "value", "low", "high", "n")} for row in rows]


def show(rows: Iterable[dict[str, object]], *, title: str, as_json: bool) -> None:
    """The rows as a table, or as JSON."""
    if as_json:
        print(json.dumps(list(rows)))
        return
    table = Table(title=f"[bold]{title}", title_justify="left", box=None, pad_edge=False, header_style="dim")
    table.add_column("", min_width=28)
    for heading in ("right", "95 % interval", "prompts"):
        table.add_column(heading, justify="right")
    for row in rows:
        name = str(row["metric"]).replace("_at_k", f"@{row['k']}")
        by = f" by {row['scorer']}" if row["metric"] == "best_at_k" else ""
        interval = "" if row["low"] is None else f"{row['low']:.1%} to {row['high']:.1%}"
        table.add_row(name + by, f"{row['value']:.1%}", interval, str(row["n"]))
    Console().print(table)
