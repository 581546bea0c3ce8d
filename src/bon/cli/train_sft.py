"""`bon train sft`: a policy, fine-tuned on the best of n draws from scored pools, in one round or several."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from bon.api.files import Progress
from bon.api.policies_offline import Rounds, train_sft
from bon.cli.amounts import told_apart
from bon.cli.options import as_json, caching, concurrency, ledger_of, spending
from bon.cli.policies import adapting, presetting, trained
from bon.cli.policies_offline import check_offline, learning, learns_of
from bon.cli.progress import spent_line
from bon.cli.training import first, lines, optimising
from bon.errors import UsageError
from bon.registry import Builder
from bon.train.policy.distil import RECIPE
from bon.train.policy.outcome import PolicyReport

__all__ = ["command"]


@click.command("sft")
@learning
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="After each but the last the model draws again, and learns from the best of that.",
)
@click.option("--scorer", metavar="SPEC", help="Who scores what is drawn in later rounds: the scorer of the pools.")
@click.option(
    "--draws", type=click.IntRange(min=1), help="Of a prompt, in later rounds.  [default: as many as the pools have]"
)
@click.option("--judge", metavar="SPEC", help="The model behind judge:NAME.  [default: local]")
@adapting
@optimising(RECIPE)
@concurrency
@spending
@caching
@presetting
@as_json
def command(as_json: bool, **_: Any) -> None:
    """Fine-tune a model on the best of n draws (BoN-SFT), out of the POOLS it has drawn.

    The folder is used at once: --generator hf:OUT. The same command goes on where one was stopped. Exit codes: 0 done,
    1 if it could not be trained, 2 bad usage.
    """

    def train(out: Path, options: dict[str, Any]) -> PolicyReport:
        rounds = _rounds(options)
        if rounds is None or rounds.ledger is None:
            return train_sft(options["pools"], out=out, rounds=rounds, progress=lines(), **learns_of(options))
        with rounds.ledger:
            report = train_sft(options["pools"], out=out, rounds=rounds, progress=lines(), **learns_of(options))
        if first():
            sys.stderr.write(spent_line(rounds.ledger.spent))
        return report

    def check(options: dict[str, Any]) -> None:
        check_offline("sft", options)
        _rounds(options)

    trained("sft", train, check=check, as_json=as_json)


def _rounds(options: dict[str, Any]) -> Rounds | None:
    """What later rounds are drawn and scored with; None where there are none."""
    if options["rounds"] == 1:
        if options["scorer"] or options["draws"]:
            raise UsageError("--scorer and --draws are for later rounds: give --rounds too, or leave them out")
        return None
    if options["scorer"] is None:
        raise UsageError("give --scorer SPEC, who scores what later rounds draw: the scorer of the pools")
    if told_apart(options["max_tokens"])[0] is not None:
        raise UsageError("give --max-tokens a unit (1M), which makes it the cap of what scoring may spend")
    return Rounds(
        count=options["rounds"],
        scorer=options["scorer"],
        draws=options["draws"],
        concurrency=options["concurrency"],
        builder=Builder(cache=options["cache"], judge=options["judge"]),
        ledger=ledger_of(options),
        drawn=_told,
    )


def _told(number: int, progress: Progress) -> None:
    if first() and progress.pool is not None:
        sys.stderr.write(f"round {number}: {progress.done} prompts drawn and scored\n")
