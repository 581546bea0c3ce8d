"""Progress of a run over files on stderr: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from bon.api.files import Progress
from bon.cli.live import switched_line
from bon.events import Drawn, Event, Switched
from bon.store.badlines import BadLines
from bon.store.lines import lines_of
from bon.types import Candidate, Spent

__all__ = ["Tally", "count_lines", "follow", "spent_line"]

_BLOCK = 1 << 16
_EVERY = 5.0
"""Seconds between lines where there is no terminal."""


class Tally:
    """What a run has come to, for its last line; a hook, since only events tell what was drawn now and what before."""

    def __init__(self, bad: BadLines) -> None:
        self.bad = bad
        """The input lines that could not be used."""
        self.done = self.made = self.candidates = self.cached = self.failures = self.tokens = self.empty = 0
        self.first_failure: str | None = None
        self.spent = Spent()
        """What this output has cost, earlier runs included."""

    def __call__(self, event: Event) -> None:
        if isinstance(event, Drawn) and isinstance(event.draw, Candidate):
            self.candidates += 1
            self.cached += event.draw.cached
            usage = None if event.draw.cached else event.draw.usage
            self.tokens += usage.completion_tokens if usage else 0
        elif isinstance(event, Switched):
            sys.stderr.write(f"{switched_line(event)}\n")

    def add(self, progress: Progress) -> None:
        """Count one step."""
        self.done, self.empty = progress.done, progress.empty
        pool = progress.pool
        if pool is None:
            return
        self.made += 1
        self.failures += len(pool.failures)
        if pool.failures and self.first_failure is None:
            self.first_failure = f"{pool.prompt.id!r}: {pool.failures[0].error}: {pool.failures[0].message}"


async def follow(steps: AsyncIterator[Progress], tally: Tally, *, what: str, total: int | None) -> None:
    """Run to the end, counting, and showing how far it has come."""
    gc.freeze()  # what is imported stays: the collector need not walk it anew with every few answers,
    gc.set_threshold(10_000, 20, 20)  # nor look after each 700 objects, which are a handful of answers
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, TextColumn("{task.fields[note]}"), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total, note="")
        said = time.monotonic()
        async for step in steps:
            tally.add(step)
            bad = tally.bad.count
            notes = f"{tally.tokens} tokens" * bool(tally.tokens), f"{bad} bad lines" * bool(bad)
            bar.update(task, completed=step.done + bad, note=" · ".join(filter(None, notes)))
            if not console.is_terminal and time.monotonic() - said > _EVERY:
                said = time.monotonic()
                sys.stderr.write(f"{what}: {step.done}{f' of {total}' if total else ''}\n")


def spent_line(spent: Spent) -> str:
    """What an output has cost, in a line; empty where no call was made."""
    if not spent.calls:
        return ""
    money = "" if spent.money is None else f", ${spent.money:.6g}"
    tokens = f"{spent.usage.prompt_tokens:,} tokens read and {spent.usage.completion_tokens:,} written"
    return f"spent so far: {spent.calls:,} calls, {tokens}{money}, {spent.seconds:.1f} s\n"


def count_lines(path: Path) -> int | None:
    """How many lines a file has that are not blank; None for what cannot be read twice."""
    if not path.is_file() or path.suffix == ".gz":
        return None
    with path.open("rb") as file:
        return sum(1 for _ in lines_of(file, longest=_BLOCK))
