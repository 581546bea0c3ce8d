"""`bon train prm`: a process reward model, trained on solutions with labelled steps."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from bon.api.training_steps import StepOptions, solutions_for, steps_measured_on
from bon.cli.amounts import told_apart
from bon.cli.inputs import told
from bon.cli.options import as_json, caching, ledger_of, spending
from bon.cli.progress import spent_line
from bon.cli.training import first, lines, optimising, recipe_of, setup_of, starting
from bon.errors import UsageError
from bon.registry import Builder
from bon.score.process.steps import SPLITTERS
from bon.store.badlines import BadLines
from bon.store.plain import plain
from bon.train.losses import STEP_OUTPUTS
from bon.train.process_model import RECIPE, Marks, train_prm
from bon.train.step_report import StepReport

__all__ = ["command"]


@click.command("prm")
@click.argument("data", metavar="[DATA]", required=False, type=click.Path(path_type=str))
@click.option(
    "-o", "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="The folder to make."
)
@click.option("--pools", metavar="POOLS", help="Scored pools, instead of DATA.")
@click.option(
    "--by", metavar="SCORER", help="Whose step scores are the labels.  [default: correct, math, the only one]"
)
@click.option(
    "--labels",
    type=click.Choice(["steps", "outcome"]),
    default="steps",
    show_default=True,
    help="What is learned: each step, or at the last one how it ends.",
)
@click.option(
    "--loss",
    type=click.Choice([*STEP_OUTPUTS]),
    default=Marks().loss,
    show_default=True,
    help="Cross-entropy of two outputs, of one, or squares.",
)
@click.option("--steps-by", "cut", type=click.Choice([*SPLITTERS]), help="How texts are cut.  [default: as data say]")
@click.option(
    "--separator", metavar="TEXT", help="What follows each step; \\n is a line break.  [default: a blank line]"
)
@click.option("--teacher", metavar="SPEC", help="A scorer whose step scores become soft labels.")
@click.option("--judge", metavar="SPEC", help="The model behind judge:NAME.  [default: local]")
@click.option("--hard-negatives", metavar="POOLS", help="Scored pools: wrong ones that scored high are trained on.")
@click.option("--hard-by", metavar="SCORER", help="Who was fooled by them.  [default: their only other scorer]")
@click.option(
    "--held-out", metavar="SHARE|DATA", default="0.1", show_default=True, help="What is measured on, by prompt."
)
@click.option("--format", "format_", metavar="NAME", help="Of DATA.  [default: told by the columns]")
@starting
@optimising(RECIPE)
@spending
@caching
@as_json
def command(data: str | None, out: Path, **options: Any) -> None:
    """Train a process reward model on DATA: rows of prompt, completions and labels, PRM800K, Math-Shepherd, or pools.

    By default it is a head on the hidden states of the embedded model, which takes minutes without a GPU. The folder is
    used at once: --scorer prm:OUT. Its README.md says what it is worth on prompts it has not met, and what fools it.
    The same command goes on where one was stopped. Exit codes: 0 done, 1 if it could not be trained or a row could not
    be used, 2 bad usage.
    """
    if (data is None) == (options["pools"] is None):
        raise UsageError("give solutions as DATA, or scored pools as --pools, and one of them")
    if told_apart(options["max_tokens"])[0] is not None:
        raise UsageError("give --max-tokens a unit (1M), which makes it the cap of what a teacher may spend")
    setup, recipe, making, marks = setup_of(options), recipe_of(options), _making(options), _marks(options)
    source = data or options["pools"]
    ledger = ledger_of(options)
    with ExitStack() as stack:
        bad = stack.enter_context(BadLines(out / "data"))
        builder = Builder(cache=options["cache"], judge=options["judge"])
        with ledger:
            found = solutions_for(source, making, format=options["format_"], on_bad=bad, builder=builder, ledger=ledger)
        report = train_prm(
            found,
            out=out,
            setup=setup,
            recipe=recipe,
            marks=marks,
            held_out=steps_measured_on(making),
            progress=lines(),
        )
    if first():
        said = json.dumps(plain(asdict(report)), ensure_ascii=False) + "\n" if options["as_json"] else _page(report)
        sys.stdout.write(said)
        sys.stderr.write(told(Path(source), bad) + spent_line(ledger.spent))
    if bad.count:
        sys.exit(1)


def _making(options: dict[str, Any]) -> StepOptions:
    held_out: float | str = options["held_out"]
    with suppress(ValueError):  # where it is a data set of its own
        held_out = float(options["held_out"])
    names = ("by", "labels", "cut", "teacher", "hard_negatives", "hard_by")
    return StepOptions(**{name: options[name] for name in names}, held_out=held_out)


def _marks(options: dict[str, Any]) -> Marks:
    given = options["separator"]
    separator = Marks().separator if given is None else given.replace("\\n", "\n")
    return Marks(loss=options["loss"], separator=separator, steps=options["cut"])


def _page(report: StepReport) -> str:
    begins = f"{report.out}: trained on {report.steps} steps of {report.train} solutions"
    said = [
        f"{begins}, measured on {report.held_out} of other prompts",
        *(f"  {name:<17} {figure}" for name, figure in report.figures.items()),
        *(f"left out: {count}, {why}" for why, count in report.left_out.items()),
        *(f"beware: {finding}" for finding in report.probes.findings),
        f"use it with --scorer prm:{report.out}; {report.out}/README.md says more",
    ]
    return "\n".join(said) + "\n"
