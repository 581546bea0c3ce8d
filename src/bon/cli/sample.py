"""`bon sample`: a file of prompts becomes a file of pools."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from bon.api import blocking, make_job
from bon.api.files import sample_file
from bon.api.settings import recording, settings_of
from bon.cli.options import as_json, concurrency, drawing, generator_of, request_of, scoring, unordered
from bon.cli.progress import Tally, count_lines, follow
from bon.observe import stage_lines
from bon.registry import Builder
from bon.store.prompts import read_prompts

__all__ = ["command"]


@click.command("sample")
@click.argument("prompts", type=click.Path(path_type=Path, allow_dash=True, exists=True))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="The file of pools to write.")
@drawing
@scoring
@concurrency
@unordered
@click.option("--restart", is_flag=True, help="Throw away what the file holds, and begin again.")
@as_json
def command(prompts: Path, out: Path, **options: Any) -> None:
    """Draw N candidates for every prompt of PROMPTS (JSON Lines, or a .txt with one a line; "-" is stdin).

    Each pool is on disk as soon as it is done. The same command continues a run that was stopped; a larger -n adds to
    the candidates there are. Settings that would change what is drawn are refused for a file begun with others. Exit
    code 1 if a prompt is left without any candidate.
    """
    tally = Tally()
    builder = Builder(n=options["n"], hook=tally, progress=stage_lines())
    job = make_job(
        builder,
        generator=generator_of(builder, options),
        scorer=options["scorers"] or None,
        select="first",  # nothing is selected here, so it need not be said by which scorer
        budget=options["budget"],
        extract=options["extract"],
        request=request_of(options),
    )
    run = settings_of("sample", job, data=prompts, n=builder.n)
    with job, recording(out, run, data=prompts, restart=options["restart"]) as journal:
        steps = sample_file(
            read_prompts(prompts),
            out,
            job,
            concurrency=options["concurrency"],
            unordered=options["unordered"],
            journal=journal,
        )
        blocking.run(follow(steps, tally, what="sampling", total=count_lines(prompts)))
    _report(tally, out, as_json=options["as_json"])
    if tally.empty:
        sys.exit(1)


def _report(tally: Tally, out: Path, *, as_json: bool) -> None:
    if as_json:
        facts = {
            "out": str(out),
            "pools": tally.done,
            "made": tally.made,
            "candidates": tally.candidates,
            "failures": tally.failures,
            "empty": tally.empty,
            "completion_tokens": tally.tokens,
        }
        sys.stdout.write(json.dumps(facts) + "\n")
    sys.stderr.write(f"{out}: {tally.done} pools ({tally.made} of them now), {tally.candidates} candidates drawn\n")
    if tally.failures:
        sys.stderr.write(
            f"{tally.failures} failures, {tally.empty} prompts without any candidate; the same command tries those "
            f"again. The first: {tally.first_failure}\n"
        )
