"""`bon train rm`: a reward model, trained on preferences."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from bon.api.training import PairOptions, measured_on, pairs_for
from bon.cli.amounts import told_apart
from bon.cli.inputs import told
from bon.cli.options import as_json, caching, ledger_of, spending
from bon.cli.progress import spent_line
from bon.cli.training import first, lines, optimising, recipe_of, setup_of, starting
from bon.errors import UsageError
from bon.registry import Builder
from bon.store.badlines import BadLines
from bon.store.plain import plain
from bon.train.report import Report
from bon.train.reward_model import RECIPE, train_rm

__all__ = ["command"]


@click.command("rm")
@click.argument("data", metavar="[DATA]", required=False, type=click.Path(path_type=str))
@click.option(
    "-o", "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="The folder to make."
)
@click.option("--pools", metavar="POOLS", help="Scored pools, instead of DATA.")
@click.option("--by", metavar="SCORER", help="Which answers are better.  [default: correct, or the only scorer]")
@click.option(
    "--pairs",
    "pairing",
    type=click.Choice(["best-worst", "all", "adjacent"]),
    default="best-worst",
    show_default=True,
    help="Which candidates of a pool are compared.",
)
@click.option("--margin", metavar="gap|COLUMN", help="Margins.  [default: the column margin, where there is one]")
@click.option("--centre", type=float, default=0.0, show_default=True, help="Keeps rewards about 0; 0.01 is usual.")
@click.option("--teacher", metavar="SPEC", help="A scorer whose certainty becomes soft labels.")
@click.option(
    "--teacher-scale", type=float, metavar="X", help="Nats a unit of its values.  [default: fitted to labels]"
)
@click.option("--judge", metavar="SPEC", help="The model behind judge:NAME.  [default: local]")
@click.option("--hard-negatives", metavar="POOLS", help="Scored pools: wrong answers that scored high are trained on.")
@click.option("--hard-by", metavar="SCORER", help="Who was fooled by them.  [default: their only other scorer]")
@click.option(
    "--held-out", metavar="SHARE|DATA", default="0.1", show_default=True, help="What is measured on, by prompt."
)
@click.option(
    "--apart",
    type=click.Choice(["prompt", "text"]),
    default="prompt",
    show_default=True,
    help="What is never on both sides of that split: a prompt; an answer, where all have one prompt.",
)
@click.option("--format", "format_", metavar="NAME", help="Of DATA.  [default: told by the columns]")
@starting
@optimising(RECIPE)
@spending
@caching
@as_json
def command(data: str | None, out: Path, **options: Any) -> None:
    """Train a reward model on DATA: rows with a chosen and a rejected answer, or scored pools.

    By default it is a head on the hidden states of the embedded model, which takes minutes without a GPU. The folder is
    used at once: --scorer rm:OUT. Its README.md says what it is worth on prompts it has not met, and what fools it. The
    same command goes on where one was stopped. Exit codes: 0 done, 1 if it could not be trained or a row could not be
    used, 2 bad usage.
    """
    if (data is None) == (options["pools"] is None):
        raise UsageError("give preferences as DATA, or scored pools as --pools, and one of them")
    if told_apart(options["max_tokens"])[0] is not None:
        raise UsageError("give --max-tokens a unit (1M), which makes it the cap of what a teacher may spend")
    setup, recipe, making = setup_of(options), recipe_of(options), _making(options)
    source = data or options["pools"]
    ledger = ledger_of(options)
    with ExitStack() as stack:
        bad = stack.enter_context(BadLines(out / "data"))
        builder = Builder(cache=options["cache"], judge=options["judge"])
        with ledger:
            found = pairs_for(
                source, making, format=options["format_"] or None, on_bad=bad, builder=builder, ledger=ledger
            )
        report = train_rm(
            found,
            out=out,
            setup=setup,
            recipe=recipe,
            centre=options["centre"],
            held_out=measured_on(making),
            progress=lines(),
        )
    if first():
        said = json.dumps(plain(asdict(report)), ensure_ascii=False) + "\n" if options["as_json"] else _page(report)
        sys.stdout.write(said)
        sys.stderr.write(told(Path(source), bad) + spent_line(ledger.spent))
    if bad.count:
        sys.exit(1)


def _making(options: dict[str, Any]) -> PairOptions:
    held_out: float | str = options["held_out"]
    with suppress(ValueError):  # where it is a data set of its own
        held_out = float(options["held_out"])
    names = ("by", "pairing", "margin", "teacher", "teacher_scale", "hard_negatives", "hard_by", "apart")
    return PairOptions(**{name: options[name] for name in names}, held_out=held_out)


def _page(report: Report) -> str:
    said = [
        f"{report.out}: trained on {report.train} pairs, measured on {report.held_out} of other prompts",
        *(f"  {name:<12} {figure}" for name, figure in report.figures.items()),
        f"  beside taking the longer answer: {report.probes.over_length}",
        *(f"left out: {count}, {why}" for why, count in report.left_out.items()),
        *(f"beware: {finding}" for finding in report.probes.findings),
        f"use it with --scorer rm:{report.out}; {report.out}/README.md says more",
    ]
    return "\n".join(said) + "\n"
