"""`bon train ppo`: a policy, trained towards a reward and held near its reference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from bon.api.policies import PPO
from bon.cli.options import as_json, caching, spending
from bon.cli.policies import adapting, presetting
from bon.cli.policies_online import learning_online, rewarded, trained_online
from bon.train.policy.objectives import Aim

__all__ = ["command"]


@click.command("ppo")
@rewarded
@click.option(
    "--prompts",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Instead of --pools: nothing is then said of win rates.",
)
@click.option("--beta", type=float, default=0.05, show_default=True, help="Weight of the KL from the reference.")
@adapting
@learning_online(PPO)
@spending
@caching
@presetting
@as_json
def command(as_json: bool, **_: Any) -> None:
    """Train a model towards a reward less beta times the KL from its reference, by PPO (or RLOO: --algorithm).

    The folder is used at once: --generator hf:OUT. The same command goes on where one was stopped. Exit codes: 0 done,
    1 if it could not be trained, 2 bad usage.
    """
    trained_online("ppo", _aim, needs=("out", "reference", "scorer"), as_json=as_json)


def _aim(options: Mapping[str, Any]) -> Aim:
    return Aim(kind="reward", beta=options["beta"])
