"""`bon train dpo`: a policy, trained by DPO on pairs of draws from scored pools."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from bon.api.policies_offline import train_dpo
from bon.cli.options import as_json
from bon.cli.policies import adapting, presetting, trained
from bon.cli.policies_offline import check_offline, learning, learns_of
from bon.cli.training import lines, optimising
from bon.train.policy.distil import RECIPE
from bon.train.policy.outcome import PolicyReport

__all__ = ["command"]


@click.command("dpo")
@learning
@click.option("--beta", type=float, default=0.1, show_default=True, help="How strongly it is held to the reference.")
@click.option(
    "--pairs",
    "pairing",
    type=click.Choice(["all", "best-worst", "adjacent"]),
    default="all",
    show_default=True,
    help="Which draws of a group are compared: 6 make 15 pairs, one, or 5.",
)
@adapting
@optimising(RECIPE)
@presetting
@as_json
def command(as_json: bool, **_: Any) -> None:
    """Train a model on pairs of a better and a worse draw (Rafailov et al. 2023), made of the POOLS it has drawn.

    The folder is used at once: --generator hf:OUT. The same command goes on where one was stopped. Exit codes: 0 done,
    1 if it could not be trained, 2 bad usage.
    """

    def train(out: Path, options: dict[str, Any]) -> PolicyReport:
        return train_dpo(
            options["pools"],
            out=out,
            beta=options["beta"],
            pairing=options["pairing"],
            progress=lines(),
            **learns_of(options),
        )

    trained("dpo", train, check=partial(check_offline, "dpo"), as_json=as_json)
