"""What `bon train sft`, `dpo` and `bonbon` share: which pools, and which of their draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from bon.cli.policies import policy_setup_of
from bon.cli.training import recipe_of, stack
from bon.train.policy.choices import Choosing, Kind
from bon.train.policy.offline_task import Offline
from bon.train.recipe import Recipe

__all__ = ["check_offline", "learning", "learns_of"]

F = TypeVar("F", bound=Callable[..., Any])


def learning(function: F) -> F:
    """Which pools, and what of them is learned."""
    return stack(
        function,
        click.option("-o", "--out", type=click.Path(file_okay=False, path_type=Path), help="The folder to make."),
        click.option(
            "--pools", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Scored pools to learn from."
        ),
        click.option("--by", metavar="SCORER", help="Which draws are better.  [default: the only scorer there is]"),
        click.option(
            "-n",
            "--n",
            type=click.IntRange(min=1),
            help="Draws of a group, the N of best-of-N.  [default: a whole pool]",
        ),
        click.option(
            "--groups", type=click.IntRange(min=1), help="Groups of a pool at the most.  [default: all it has]"
        ),
        click.option(
            "--temperature", type=float, help="Of log-probabilities.  [default: at which the pools were drawn]"
        ),
        click.option(
            "--held-out",
            type=float,
            default=0.0,
            show_default=True,
            metavar="SHARE",
            help="Of the prompts, to measure on; the best weights by it are kept.",
        ),
        click.option(
            "--max-length",
            type=click.IntRange(min=2),
            metavar="TOKENS",
            help="Longer rows are left out.  [default: what the model has positions for]",
        ),
    )


def learns_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """What `learning` and the options of models and recipes ask for, as arguments of `bon.train_sft` and its like."""
    recipe: Recipe = recipe_of(options)
    names = ("by", "n", "groups", "temperature", "held_out", "max_length")
    return {"setup": policy_setup_of(options), "recipe": recipe, **{name: options[name] for name in names}}


def check_offline(kind: Kind, options: Mapping[str, Any]) -> None:
    """Raise UsageError for options that no training from pools can have, whatever the pools are."""
    learns_of(options)
    names = ("beta", "alpha", "temperature", "held_out", "max_length")
    Offline(
        kind=kind,
        choosing=Choosing(n=options["n"], groups=options["groups"]),
        **{name: options[name] for name in names if name in options},
    )
