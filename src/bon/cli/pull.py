"""`bon pull`: fetch the embedded model before it is needed."""

from __future__ import annotations

import json
import sys

import click

from bon.cli.options import as_json
from bon.models.pull import pull
from bon.observe import stage_lines

__all__ = ["command"]


@click.command("pull")
@as_json
def command(as_json: bool) -> None:
    """Fetch SmolLM2-135M-Instruct, the embedded model, into the user's cache folder, and print where it lies.

    BON_MODEL names a model of your own instead; BON_CACHE another cache folder.
    """
    path = pull(progress=stage_lines())
    sys.stdout.write((json.dumps({"path": str(path)}) if as_json else str(path)) + "\n")
