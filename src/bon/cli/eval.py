"""`bon eval`: what best-of-N bought, at every k, from pools that are there."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from bon.api.curves import curves
from bon.cli.numbers import sizes
from bon.cli.options import as_json as as_json_option
from bon.evaluation.curves import UNITS
from bon.evaluation.curves.showing import markdown, plain

__all__ = ["command"]


@click.command("eval")
@click.argument("pools", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--gold", metavar="NAME", help="The scorer that is the truth.  [default: correct, then math]")
@click.option("--by", metavar="SCORER", multiple=True, help="A scorer to measure.  [default: all but the truth]")
@click.option("--select", "select", metavar="RULE", multiple=True, help="A way of choosing; all is pass^k.")
@click.option("--k", "k", metavar="1,2,4", callback=sizes, help="Numbers of draws.  [default: powers of two]")
@click.option("--group", type=click.Choice(["generator"]), help="Rows for each maker of candidates.")
@click.option("--equal", type=click.Choice(["cost", *UNITS]), help="Compare at equal cost; cost is money if known.")
@click.option("--extract", metavar="NAME", help="Read answers anew, for votes.")
@as_json_option
def command(pools: tuple[Path, ...], as_json: bool, **options: Any) -> None:
    """What choosing among k draws is worth, for every k, from the candidates and scores in POOLS; nothing is drawn.

    Each k counts all subsets of k draws of a prompt, exactly. Several POOLS stand side by side. Beside the scorers
    stand one draw (first, random), the vote (majority), and the best draw by the truth (oracle), which is pass@k.
    """
    asked = {
        "gold": options["gold"],
        "by": options["by"] or None,
        "select": options["select"] or None,
        "k": options["k"],
        "makers": options["group"] is not None,
        "extract": options["extract"],
    }
    found = curves(*pools, **asked, equal=options["equal"])
    sys.stdout.write(json.dumps(plain(found)) + "\n" if as_json else markdown(found))
