"""`bon score`: the candidates of a file of pools get scores."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from bon.answers import extractor
from bon.api import blocking, build_scorers
from bon.api.files import score_file
from bon.api.settings import adding, hashes, recording
from bon.cli.options import as_json, concurrency, scoring, unordered
from bon.cli.progress import Tally, count_lines, follow
from bon.errors import UsageError
from bon.registry import Builder
from bon.store.pools import read_pools
from bon.store.runfile import Run

__all__ = ["command"]

_ALIKE = frozenset({"command", "scorers", "extract", "data"})
"""Settings that may differ from those of an earlier run: other scorers add scores, and what has its own keeps them."""


@click.command("score")
@click.argument("pools", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@scoring
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Where to write.  [default: POOLS itself]")
@concurrency
@unordered
@as_json
def command(pools: Path, out: Path | None, **options: Any) -> None:
    """Score the candidates of POOLS; what has its scores already is left alone, what failed is tried again.

    The scores stand in the file under the scorer's name. --extract reads all answers anew (scores by these scorers
    are made again where an answer changed); without --scorer it does only that.
    """
    if not options["scorers"] and not options["extract"]:
        raise UsageError("nothing to do: name a scorer with --scorer (`bon list scorers` shows them), or --extract")
    scorers = build_scorers(Builder(), options["scorers"])
    extract = options["extract"] or ("any" if "agreement" in scorers else None)
    target, tally = out or pools, Tally()
    specs = [scorer.spec for scorer in scorers.values()]
    run = Run(command="score", settings={"scorers": specs, "extract": extract}, data=hashes(pools))
    with adding(target) if out is None else recording(out, run, data=pools, alike=_ALIKE) as journal:
        steps = score_file(
            pools,
            target,
            scorers,
            extract=extractor(extract) if extract else None,
            reread=bool(options["extract"]),
            concurrency=options["concurrency"],
            unordered=options["unordered"],
            journal=journal,
        )
        blocking.run(follow(steps, tally, what="scoring", total=count_lines(pools)))
    for scorer in scorers.values():
        scorer.close()
    facts = [_facts(target, name) for name in scorers]
    if options["as_json"]:
        sys.stdout.write(json.dumps({"out": str(target), "pools": tally.done, "scorers": facts}) + "\n")
    for fact in facts:
        mean = "–" if fact["mean"] is None else f"{fact['mean']:.4g}"
        why = f" (the first: {fact['reason']})" if fact["unscored"] else ""
        counts = f"{fact['scored']} candidates scored, mean {mean}, {fact['unscored']} unscored{why}"
        sys.stderr.write(f"{fact['scorer']}: {counts}\n")
    sys.stderr.write(f"{target}: {tally.done} pools\n")


def _facts(path: Path, name: str) -> dict[str, Any]:
    """What a scorer said over a whole file: how many it scored, their mean, why it did not score the others."""
    scored, total, unscored, reason = 0, 0.0, 0, ""
    for pool in read_pools(path):
        for score in pool.scores.get(name, ()):
            if score.value is None:
                unscored += 1
                reason = reason or score.reason
            else:
                scored += 1
                total += score.value
    return {
        "scorer": name,
        "scored": scored,
        "mean": total / scored if scored else None,
        "unscored": unscored,
        "reason": reason,
    }
