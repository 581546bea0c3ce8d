"""`bon train`: the group of commands that train models; each is a module of its own."""

from __future__ import annotations

import click

from bon.cli.lazy import Lazy

__all__ = ["command"]

_COMMANDS = {
    "rm": ("bon.cli.train_rm", "Train a reward model on preferences."),
    "prm": ("bon.cli.train_prm", "Train a process reward model on solutions with labelled steps."),
    "vbon": ("bon.cli.train_vbon", "Train a model towards best-of-N of itself."),
    "ppo": ("bon.cli.train_ppo", "Train a model towards a reward, held near its reference."),
    "sft": ("bon.cli.train_sft", "Fine-tune a model on the best of n draws (BoN-SFT)."),
    "dpo": ("bon.cli.train_dpo", "Train a model by DPO on pairs of its draws."),
    "bonbon": ("bon.cli.train_bonbon", "Train a model by BoNBoN on the best and the worst of n draws."),
}


@click.group("train", cls=Lazy, modules=_COMMANDS)
def command() -> None:
    """Train models that score, or that draw: the result is a folder that its spec loads at once."""
