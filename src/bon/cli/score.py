"""`bon score`: the candidates of a file of pools get scores."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from bon.api import blocking, build_scorers
from bon.api.files import score_file
from bon.api.judging import marks
from bon.api.settings import SCORED_WITH, adding, hashes, plain_spent, recording
from bon.cli.amounts import told_apart
from bon.cli.inputs import Problems, told
from bon.cli.options import as_json, caching, caps_of, concurrency, ledger_of, scoring, spending, strict, unordered
from bon.cli.progress import Tally, count_lines, follow, spent_line
from bon.errors import CapReached, UsageError
from bon.registry import Builder
from bon.registry.extractors import extractor
from bon.store.badlines import BadLines
from bon.store.pools import PoolFile, read_pools
from bon.store.runfile import Run

__all__ = ["command"]

_LONGEST = 1 << 30
"""Bytes of a pool's line: hundreds of candidates with the log-probabilities of all their tokens make it a long one."""
_ALIKE = frozenset({"command", "scorers", "extract", "data"})
"""Settings that may differ from those of an earlier run: other scorers add scores, and what has its own keeps them."""


@click.command("score")
@click.argument("pools", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@scoring
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Where to write.  [default: POOLS itself]")
@spending
@caching
@concurrency
@unordered
@strict
@as_json
def command(pools: Path, out: Path | None, **options: Any) -> None:
    """Score the candidates of POOLS; what has its scores already is left alone, what failed is tried again.

    The scores stand in the file under the scorer's name. --extract reads all answers anew (scores by these scorers
    are made again where an answer changed); without --scorer it does only that. A line of POOLS that is no pool is told
    of in OUT.errors.jsonl, and the others are scored; without --out it stops the run before anything is scored, since
    writing POOLS anew would lose it.

    Exit codes: 0 done, 1 if a cap stopped the run or a line could not be used, 2 bad usage.
    """
    if told_apart(options["max_tokens"])[0] is not None:
        raise UsageError("nothing is drawn here: give --max-tokens a unit (1M), which makes it the cap of the run")
    caps_of(options)  # which refuses what makes no sense, before anything is read
    if not options["scorers"] and not options["extract"]:
        raise UsageError("nothing to do: name a scorer with --scorer (`bon list scorers` shows them), or --extract")
    target, stopped = out or pools, None
    tally = Tally(BadLines(target))
    with ExitStack() as stack:
        given = None
        if options["strict"] or out is None:
            given = stack.enter_context(_checked(pools, in_place=out is None))
        scorers = build_scorers(Builder(cache=options["cache"], judge=options["judge"]), options["scorers"])
        for scorer in scorers.values():
            stack.callback(scorer.close)
        extract = options["extract"] or ("any" if "agreement" in scorers else None)
        specs = [scorer.spec for scorer in scorers.values()]
        settings = {"scorers": specs, SCORED_WITH: marks(scorers), "extract": extract}
        run = Run(command="score", settings=settings, data=hashes(pools))
        try:
            with adding(target) if out is None else recording(out, run, data=pools, alike=_ALIKE) as journal:
                if out is not None:
                    stack.enter_context(tally.bad)
                if given is None:
                    given = stack.enter_context(PoolFile(pools, on_bad=tally.bad, longest=_LONGEST))
                steps = score_file(
                    given,
                    target,
                    scorers,
                    extract=extractor(extract) if extract else None,
                    reread=bool(options["extract"]),
                    concurrency=options["concurrency"],
                    unordered=options["unordered"],
                    ledger=ledger_of(options, spent=journal.spent),
                    journal=journal,
                )
                try:
                    blocking.run(follow(steps, tally, what="scoring", total=count_lines(pools)))
                finally:
                    tally.spent = journal.spent
        except CapReached as reached:
            stopped = reached
    _report(tally, pools, target, list(scorers), stopped, as_json=options["as_json"])
    if stopped:
        raise stopped
    if tally.bad.count:
        sys.exit(1)


def _checked(pools: Path, *, in_place: bool) -> PoolFile:
    """The pools of a file, all of which can be read. Raises DataError that lists the lines that cannot."""
    problems = Problems(pools)
    given = PoolFile(pools, on_bad=problems, longest=_LONGEST)
    lost = "nothing was scored, since writing the file anew would lose them (--out FILE leaves it as it is)"
    problems.refuse(lost if in_place else "nothing was scored (--strict)")
    return given


def _report(
    tally: Tally, pools: Path, target: Path, names: list[str], stopped: CapReached | None, *, as_json: bool
) -> None:
    facts = [_facts(target, name) for name in names]
    if as_json:
        whole = {
            "out": str(target),
            "pools": tally.done,
            "scorers": facts,
            "bad_lines": tally.bad.count,
            "spent": plain_spent(tally.spent),
            "stopped": None if stopped is None else str(stopped),
        }
        sys.stdout.write(json.dumps(whole) + "\n")
    for fact in facts:
        mean = "–" if fact["mean"] is None else f"{fact['mean']:.4g}"
        why = f" (the first: {fact['reason']})" if fact["unscored"] else ""
        counts = f"{fact['scored']} candidates scored, mean {mean}, {fact['unscored']} unscored{why}"
        sys.stderr.write(f"{fact['scorer']}: {counts}\n")
    sys.stderr.write(f"{target}: {tally.done} pools\n")
    sys.stderr.write(told(pools, tally.bad) + spent_line(tally.spent))


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
