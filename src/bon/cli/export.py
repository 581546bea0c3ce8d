"""`bon export`: pools as rows that TRL's trainers read."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import click
from click.core import ParameterSource

from bon.api.settings import refuse_same
from bon.errors import UsageError
from bon.registry import Builder
from bon.store.jsonl import write_atomic
from bon.store.pools import read_pools
from bon.train.preferences import Pairing
from bon.train.rows import KINDS, Kind, rows_of

__all__ = ["command"]


@click.command("export")
@click.argument("pools", type=click.Path(path_type=Path, exists=True, allow_dash=True, dir_okay=False))
@click.option("--to", "kind", type=click.Choice(KINDS), required=True, help="The trainer that will read them.")
@click.option("--by", metavar="SCORER", help="Whose values decide.  [default: correct, math, or the only one there is]")
@click.option("--select", metavar="SPEC", help="For sft: the rule that chooses.  [default: argmax]")
@click.option(
    "--pairs", type=click.Choice(["best-worst", "all", "adjacent"]), default="best-worst", show_default=True,
    help="For dpo and reward: which candidates are compared.",
)  # fmt: skip
@click.option(
    "--threshold", type=float, default=0.5, show_default=True, help="For sft, kto and stepwise: right above it."
)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Where to write.  [default: stdout]")
@click.option("--json", "as_json", is_flag=True, help="Accepted as everywhere; the rows are JSON anyway.")
def command(pools: Path, out: Path | None, **options: Any) -> None:
    """Write the candidates of POOLS as rows to train on, with TRL's names of columns, one JSON line each.

    sft: the best candidate. dpo: pairs of a better and a worse one. reward: the same with the margin. kto: every
    candidate, right or wrong. stepwise: every candidate with step scores. Pools that give no rows are counted, with
    the reason, on stderr.
    """
    _refuse_idle(options)
    builder = Builder()
    selector = None
    if options["select"]:
        selector = builder.selector(options["select"], **({"by": options["by"]} if options["by"] else {}))
    left_out: Counter[str] = Counter()
    count = 0

    def lines() -> Iterator[bytes]:
        nonlocal count
        for pool in read_pools(pools):
            found = rows_of(
                pool,
                cast("Kind", options["kind"]),
                by=options["by"],
                selector=selector,
                pairing=cast("Pairing", options["pairs"]),
                threshold=options["threshold"],
            )
            if isinstance(found, str):
                left_out[found] += 1
                continue
            count += len(found)
            yield from (json.dumps(row, ensure_ascii=False).encode(errors="surrogatepass") for row in found)

    if out is not None:
        refuse_same(out, pools)
        write_atomic(out, lines())
    else:
        for line in lines():
            sys.stdout.buffer.write(line + b"\n")
        sys.stdout.flush()
    sys.stderr.write(f"{count} rows for {options['kind']}\n")
    for reason, pools_ in left_out.most_common():
        sys.stderr.write(f"{pools_} pools give none: {reason}\n")


_FOR = {"select": ("sft",), "pairs": ("dpo", "reward"), "threshold": ("sft", "kto", "stepwise")}
"""Which rows an option has a say in."""


def _refuse_idle(options: Mapping[str, Any]) -> None:
    """Raise UsageError for an option that was given and would change nothing."""
    context = click.get_current_context()
    for name, kinds in _FOR.items():
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and options["kind"] not in kinds:
            raise UsageError(
                f"--{name} has no say in --to {options['kind']}: leave it out; it is for {', '.join(kinds)}"
            )
