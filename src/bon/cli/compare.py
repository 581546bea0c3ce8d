"""`bon compare`: greedy against best-of-N on the same prompts."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from bon.api import blocking, default_scorer
from bon.api.comparing import measured, stages_of
from bon.cli.numbers import floats, sizes
from bon.cli.options import as_json, caching, caps_of, concurrency, drawing, ledger_of, request_of, scoring, spending
from bon.cli.progress import Tally, count_lines, follow
from bon.errors import UsageError
from bon.evaluation.comparing import Against, Versus
from bon.evaluation.tables import table
from bon.observe import stage_lines
from bon.registry import Builder
from bon.store.badlines import BadLines
from bon.store.prompts import read_prompts

__all__ = ["command"]


@click.command("compare")
@click.argument("prompts", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@drawing
@scoring
@click.option("--by", metavar="SCORER", help="The scorer that chooses.  [default: the only one there is]")
@click.option("--gold", metavar="NAME", help="The scorer that is the truth.  [default: the one that chooses]")
@click.option("--sweep", metavar="1,3,5,10", callback=sizes, help="Several N: what N does to quality and time.")
@click.option("--temperatures", metavar="0.2,0.7", callback=floats, help="Several temperatures for the draws.")
@click.option(
    "--policy",
    "policies",
    metavar="SPEC",
    multiple=True,
    help="A model that best-of-N was trained into (hf:OUT): one draw of it against the best of N; may be repeated.",
)
@spending
@caching
@concurrency
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, file_okay=False), help="A folder to keep it in, and go on."
)
@as_json
def command(prompts: Path, out: Path | None, **options: Any) -> None:
    """Compare one greedy answer (temperature 0) with the best of N draws, on the same PROMPTS.

    Everything drawn of a prompt is scored side by side; what is shown is expected over all choices of N of the draws.
    With --out the run can be stopped and goes on, and its files are pools like any others.
    """
    caps_of(options)
    if options["budget"]:
        raise UsageError("a comparison draws N candidates of each prompt, so a --budget has nothing to decide")
    wanted = options["sweep"] or [options["n"] or 5]
    with ExitStack() as stack:
        folder = out or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bon-")))
        folder.mkdir(parents=True, exist_ok=True)
        tally = Tally(stack.enter_context(BadLines(folder / "prompts")))
        builder = Builder(
            n=max(wanted), hook=tally, progress=stage_lines(), cache=options["cache"], judge=options["judge"]
        )
        first = next(read_prompts(prompts, on_bad=lambda _: None), None)
        if first is None:
            raise UsageError(f"{prompts} holds no prompt")
        stages = stages_of(
            builder,
            folder,
            generator=options["generator"],
            scorers=options["scorers"] or builder.config.defaults.get("scorer") or default_scorer(first),
            n=max(wanted),
            temperatures=options["temperatures"] or (),
            extract=options["extract"],
            request=request_of(options),
            policies=options["policies"],
        )
        for stage in stages.stages:
            stack.callback(stage.job.close)
        for scorer in stages.scorers.values():
            stack.callback(scorer.close)  # type: ignore[attr-defined]  # a Builder made it
        stages.concurrency = options["concurrency"]
        stages.ledger = lambda spent: ledger_of(options, spent=spent)
        lines = count_lines(prompts)
        steps = stages.run(lambda: read_prompts(prompts, on_bad=tally.bad), prompts)
        blocking.run(follow(steps, tally, what="comparing", total=lines))
        found = measured(stages, by=options["by"], gold=options["gold"], sizes=wanted)
    sys.stdout.write(json.dumps(asdict(found)) + "\n" if options["as_json"] else _shown(found))


def _shown(found: Against) -> str:
    first = found.versus[0]
    unit = f"{first.gold!r}" if first.gold == first.by else f"{first.gold!r}, chosen by {first.by!r}"
    lines = [
        f"Greedy (temperature 0) against the best of N, in units of {unit}; {first.n:,} of {found.prompts:,} prompts",
        "could be compared. Intervals are of 95 %, by bootstrap over prompts.",
        "",
        *table(
            ["draws", "T", "worth", "gain over greedy", "won", "tied", "lost", "tokens", "seconds"],
            [
                ["greedy", "0", _number(first.greedy), "", "", "", "", *map(_number, _greedy(first))],
                *map(_line, found.versus),
            ],
        ),
        "",
        *table(
            ["T", "draws", "different texts", "mean draw"],
            [
                [f"{each.temperature:g}", f"{each.draws:,}", _number(each.distinct), _number(each.mean)]
                for each in found.warmth
            ],
        ),
        *_policies(found.policies),
        *(["", *found.notes] if found.notes else []),
    ]
    return "\n".join(lines) + "\n"


def _policies(rows: Sequence[Versus]) -> Iterator[str]:
    """One draw of each policy beside the best of N: what it is worth, how often it wins, what it saves."""
    if not rows:
        return
    yield from (
        "",
        "One draw of a policy, beside the best of N; a throughput of 8 x is 8 answers for the tokens of one.",
        "",
    )
    head = ["policy", "T", "worth", "beside", "worth", "won", "tied", "lost", "tokens", "of best", "throughput"]
    yield from table(
        head,
        [
            [
                row.base,
                f"{row.temperature:g}",
                _number(row.greedy if row.n else None),
                f"best of {row.k}",
                _number(row.chosen if row.n else None),
                *([f"{share:.1%}" for share in (row.losses, row.ties, row.wins)] if row.n else ["–"] * 3),
                _number(row.greedy_tokens),
                _number(row.tokens),
                f"{row.tokens / row.greedy_tokens:.3g} x" if row.tokens and row.greedy_tokens else "–",
            ]
            for row in rows
        ],
    )


def _line(row: Versus) -> list[str]:
    gain = row.gain
    more = f"{row.chosen - row.greedy:+.4g}" + (f" [{gain.low:+.3g}, {gain.high:+.3g}]" if gain else "")
    shares = [f"{share:.1%}" for share in (row.wins, row.ties, row.losses)] if row.n else ["–"] * 3
    return [
        f"best of {row.k}",
        f"{row.temperature:g}",
        _number(row.chosen if row.n else None),
        more if row.n else "–",
        *shares,
        _number(row.tokens),
        _number(row.seconds),
    ]


def _greedy(row: Versus) -> tuple[float | None, float | None]:
    return row.greedy_tokens, row.greedy_seconds


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
