"""`bon report`: one page of HTML about pools, for people."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from bon.api.report import report
from bon.cli.options import as_json

__all__ = ["command"]


@click.command("report")
@click.argument("pools", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="The page to write.")
@click.option("--gold", metavar="NAME", help="The scorer that is the truth.  [default: correct, then math]")
@click.option("--by", metavar="SCORER", multiple=True, help="A scorer to measure.  [default: all but the truth]")
@click.option("--group", type=click.Choice(["generator"]), help="Each maker of candidates by itself.")
@click.option("--extract", metavar="NAME", help="Read answers anew, for votes.")
@click.option("--title", help="What stands above the page.")
@as_json
def command(
    pools: tuple[Path, ...],
    out: Path,
    *,
    gold: str | None,
    by: tuple[str, ...],
    group: str | None,
    extract: str | None,
    title: str | None,
    as_json: bool,
) -> None:
    """Write one self-contained page about POOLS: charts, tables, advice, and a browser of prompts.

    The page fetches nothing and can be sent as it is. In it prompts can be filtered (selectors disagree, winner wrong,
    all wrong) and candidates labelled; the labels download as a file that `recorded:FILE` reads.
    """
    made = report(*pools, out=out, gold=gold, by=by or None, makers=group is not None, extract=extract, title=title)
    size = made.stat().st_size
    if as_json:
        sys.stdout.write(json.dumps({"out": str(made), "bytes": size}) + "\n")
    else:
        sys.stderr.write(f"{made}: {size / 1e6:.1f} MB\n")
