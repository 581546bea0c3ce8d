"""`bon train bonbon`: a policy, trained by BoNBoN on the best and the worst of n draws from scored pools."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from bon.api.policies_offline import train_bonbon
from bon.cli.options import as_json
from bon.cli.policies import adapting, presetting, trained
from bon.cli.policies_offline import check_offline, learning, learns_of
from bon.cli.training import lines, optimising
from bon.train.policy.distil import RECIPE
from bon.train.policy.outcome import PolicyReport

__all__ = ["command"]


@click.command("bonbon")
@learning
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1),
    help="Weight of the likelihood of the best.  [default: so that both terms are equal before the first step]",
)
@adapting
@optimising(RECIPE)
@presetting
@as_json
def command(as_json: bool, **_: Any) -> None:
    """Train a model on the best and the worst of n draws (Gui et al. 2024), out of the POOLS it has drawn.

    The folder is used at once: --generator hf:OUT. The same command goes on where one was stopped. Exit codes: 0 done,
    1 if it could not be trained, 2 bad usage.
    """

    def train(out: Path, options: dict[str, Any]) -> PolicyReport:
        return train_bonbon(options["pools"], out=out, alpha=options["alpha"], progress=lines(), **learns_of(options))

    trained("bonbon", train, check=partial(check_offline, "bonbon"), as_json=as_json)
