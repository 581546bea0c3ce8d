"""`bon train`: the group of commands that train models; each is a module of its own."""

from __future__ import annotations

import click

from bon.cli.lazy import Lazy

__all__ = ["command"]

_COMMANDS = {
    "rm": ("bon.cli.train_rm", "Train a reward model on preferences."),
    "prm": ("bon.cli.train_prm", "Train a process reward model on solutions with labelled steps."),
}


@click.group("train", cls=Lazy, modules=_COMMANDS)
def command() -> None:
    """Train models that score, or that draw: the result is a folder that its spec loads at once."""
