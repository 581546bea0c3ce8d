"""Pools of a file, each with its share of the seconds that its runs took: for whoever adds up what drawing cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bon.store.pools import read_pools
from bon.store.runfile import read_run
from bon.types import Pool

__all__ = ["read_timed"]


def read_timed(path: str | Path) -> Iterator[Pool]:
    """The pools of a file, whose `spent.seconds` add up to the wall-clock seconds that its run file tells of.

    Prompts that are drawn side by side each wait for one another: as they were written, their seconds add up to many
    times what passed. A file without a run file is read as it is. Raises as `bon.read_pools` does.
    """
    run = read_run(path)
    passed = None if run is None else run.spent.get("seconds")
    share = 1.0
    if passed is not None:
        summed = sum(pool.spent.seconds for pool in read_pools(path))
        share = min(1.0, float(passed) / summed) if summed > 0 else 1.0
    for pool in read_pools(path):
        yield replace(pool, spent=replace(pool.spent, seconds=pool.spent.seconds * share))
