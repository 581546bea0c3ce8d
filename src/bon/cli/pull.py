"""`bon pull`: fetch the embedded model before it is needed."""

from __future__ import annotations

import json
import sys

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from bon.cli.options import as_json
from bon.models.pull import pull

__all__ = ["command", "pull_with_progress"]


@click.command("pull")
@as_json
def command(as_json: bool) -> None:
    """Fetch SmolLM2-135M-Instruct, the embedded model, into the user's cache folder, and print where it lies.

    BON_MODEL names a model of your own instead; BON_CACHE another cache folder.
    """
    path = pull_with_progress()
    sys.stdout.write((json.dumps({"path": str(path)}) if as_json else str(path)) + "\n")


def pull_with_progress() -> object:
    """Pull, with a bar on stderr for each stage that takes time."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        tasks = {}

        def show(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        return pull(progress=show)
