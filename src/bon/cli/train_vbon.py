"""`bon train vbon`: a policy, trained towards best-of-N of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import click

from bon.cli.options import as_json, caching, spending
from bon.cli.policies import adapting, presetting
from bon.cli.policies_online import learning_online, rewarded, trained_online
from bon.errors import UsageError
from bon.stats.ranks import ESTIMATORS
from bon.train.policy.objectives import Aim, Law, Mode
from bon.train.policy.online_recipe import OnlineRecipe

__all__ = ["command"]


@click.command("vbon")
@rewarded
@click.option("-n", "--n", type=float, help="The N of best-of-N.")
@click.option("--beta", type=float, help="Instead of N, for the objective L: N = 1 / beta + 1.")
@click.option(
    "--objective",
    type=click.Choice(["eq5", "L", "L1"]),
    default="eq5",
    show_default=True,
    help="-KL from best-of-N itself, or one of its lower bounds.",
)
@click.option(
    "--estimator",
    type=click.Choice(ESTIMATORS),
    default=Aim(n=1).estimator,
    show_default=True,
    help="Of F, the share of the reference's draws that an answer beats.",
)
@click.option(
    "--law",
    type=click.Choice(get_args(Law)),
    default=Aim(n=1).law,
    show_default=True,
    help="Equal rewards decided at random, or Eq. 4, which holds where there are none.",
)
@click.option(
    "--mode",
    type=click.Choice(get_args(Mode)),
    default=Aim(n=1).mode,
    show_default=True,
    help="As derived, or as the released code of the paper's authors computes it.",
)
@adapting
@learning_online(OnlineRecipe())
@spending
@caching
@presetting
@as_json
def command(as_json: bool, **_: Any) -> None:
    """Train a model towards best-of-N of itself (Amini et al. 2025): one draw of it is as good as N of the reference.

    POOLS are draws of the reference, scored by the same scorer; rollouts are drawn as they were. The folder is used at
    once: --generator hf:OUT. The same command goes on where one was stopped. Exit codes: 0 done, 1 if it could not be
    trained, 2 bad usage.
    """
    trained_online("vbon", _aim, needs=("out", "reference", "pools", "scorer"), as_json=as_json)


def _aim(options: Mapping[str, Any]) -> Aim:
    if options["n"] is None and options["beta"] is None:
        other = " (or --beta)" if options["objective"] == "L" else ""
        raise UsageError(f"give --n{other} too: the N of the best-of-N that is trained towards")
    return Aim(
        kind=options["objective"],
        n=options["n"],
        beta=options["beta"],
        estimator=options["estimator"],
        law=options["law"],
        mode=options["mode"],
    )
