"""`bon frontier`: what trained policies gain against how far they moved, beside best-of-N."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from bon.api.frontier import frontier
from bon.api.measuring import Hearing, Trial
from bon.cli.numbers import floats
from bon.cli.options import as_json, caching, ledger_of, request_of, spending
from bon.cli.progress import spent_line
from bon.errors import UsageError
from bon.evaluation.frontier.measured import Frontier
from bon.evaluation.frontier.page import tables_of
from bon.evaluation.tables import table
from bon.observe import stage_lines
from bon.registry import Builder
from bon.train.policy.model import POLICY
from bon.train.policy.presets import preset, preset_names

__all__ = ["command"]

_EVERY = 5.0
"""Seconds between two lines of progress."""


@click.command("frontier")
@click.argument("runs", metavar="OUT...", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--prompts",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="What is measured on: prompts that were not trained on.",
)
@click.option("-s", "--scorer", metavar="SPEC", required=True, help="Whose rewards are measured.")
@click.option("--by", metavar="SPEC", help="What best-of-N chooses by, where it is another scorer.")
@click.option("--judge", metavar="SPEC", help="The model behind judge:NAME.  [default: local]")
@click.option(
    "-n", "draws", type=click.IntRange(min=1), default=Trial().draws, show_default=True, help="Answers a prompt."
)
@click.option(
    "--samples",
    type=click.IntRange(min=3),
    default=Trial().samples,
    show_default=True,
    help="Answers a prompt of the reference: what win rates are against, and best-of-N is made of.",
)
@click.option(
    "--temperatures",
    metavar="0.25,0.5,1",
    callback=floats,
    help="At which all are drawn; fronts are at the first.  [default: at which they were trained]",
)
@click.option("--preset", metavar="NAME", help=f"Temperatures by name: {', '.join(preset_names())}.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--device", help="cpu, cuda, cuda:1 ...  [default: a GPU where there is one]")
@click.option("--precision", type=click.Choice(["float32", "bfloat16"]), default="float32", show_default=True)
@click.option(
    "--tokens", type=click.IntRange(min=1), default=Trial().tokens, show_default=True, help="Of a pass: the memory."
)
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="The page of HTML to write.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where draws are kept, so that nothing is drawn twice.  [default: beside the page]",
)
@spending
@caching
@as_json
def command(runs: tuple[Path, ...], prompts: Path, out: Path | None, *, as_json: bool, **options: Any) -> None:
    """Measure policies (OUT of bon train vbon, ppo, sft, dpo, bonbon) beside best-of-N of their reference.

    Win rate and reward against KL, the share of the Pareto front that each method has, what is lacking to best-of-N at
    the same KL, and what an answer costs. Everything drawn is kept as pools, and the same command goes on.
    """
    named = preset(options["preset"], "frontier") if options["preset"] else {}
    heat = options["temperatures"] or (named["temperatures"].value if "temperatures" in named else ())
    ledger = ledger_of(options)
    builder = Builder(progress=stage_lines(), cache=options["cache"], judge=options["judge"])
    with ledger:
        found = frontier(
            _policies(runs),
            prompts,
            scorer=builder.scorer(options["scorer"]),
            by=None if options["by"] is None else builder.scorer(options["by"]),
            out=out,
            folder=options["folder"],
            trial=Trial(
                draws=options["draws"],
                samples=options["samples"],
                temperatures=tuple(heat),
                max_tokens=request_of(options).get("max_tokens"),
                seed=options["seed"],
                tokens=options["tokens"],
                precision=options["precision"],
                device=options["device"],
            ),
            ledger=ledger,
            progress=_lines(),
        )
    sys.stdout.write(json.dumps(asdict(found), ensure_ascii=False) + "\n" if as_json else _shown(found, out))
    sys.stderr.write(spent_line(ledger.spent))


def _policies(given: tuple[Path, ...]) -> list[Path]:
    """The folders of policies among what a shell made of `out/*`: a sweep's folder stands for all in it, and a file of
    a policy for the policy. Other files are passed over.
    """
    found: list[Path] = []
    for path in given:
        inside = sorted(each.parent for each in path.glob(f"*/{POLICY}"))
        if (path / POLICY).is_file() or (path.is_dir() and not inside and not (path.parent / POLICY).is_file()):
            found.append(path)
        elif (path.parent / POLICY).is_file():
            found.append(path.parent)
        else:
            found += inside
    if not found:
        raise UsageError(f"no folder of a trained policy is among {', '.join(map(str, given))}")
    return list(dict.fromkeys(found))


def _shown(found: Frontier, out: Path | None) -> str:
    lines: list[str] = []
    for caption, head, rows in tables_of(found):
        lines += [caption, *table(list(head), [list(row) for row in rows]), ""]
    lines += [*found.notes, *([f"the page: {out}"] if out else [])]
    return "\n".join(lines).rstrip() + "\n"


def _lines() -> Hearing:
    """Lines on stderr now and then, and at the end of each part."""
    said = time.monotonic()

    def told(what: str, done: int, total: int) -> None:
        nonlocal said
        if done == total or time.monotonic() - said > _EVERY:
            said = time.monotonic()
            sys.stderr.write(f"{what}: {done} of {total} prompts\n")

    return told
