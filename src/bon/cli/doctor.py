"""`bon doctor`: what a generator or a scorer really does, found out by using it."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from dataclasses import asdict

import click
from rich.console import Console

from bon.api import blocking
from bon.cli.options import as_json
from bon.errors import UsageError
from bon.observe import stage_lines
from bon.registry import KINDS, Builder
from bon.testing.examine import examine_generator, examine_scorer
from bon.testing.finding import Finding

__all__ = ["command"]

_STYLES = {"yes": "green", "no": "red", "unknown": "yellow"}


@click.command("doctor")
@click.argument("spec")
@click.option("--as", "seam", type=click.Choice(["generator", "scorer"]), help="What SPEC is.  [default: by its kind]")
@as_json
def command(spec: str, seam: str | None, as_json: bool) -> None:
    """Examine SPEC, a generator or a scorer.

    A generator: does it answer, honour n, repeat a seed, is temperature 0 greedy, are there logprobs, does it stream,
    does it stop when nobody listens. A scorer: are its scores finite, and the same in any order and batch; one that
    reads tokens (rm:, prm:, remote:): also the same beside longer answers and other prompts, is there one BOS, is a
    long answer read to its end, is one that is too long refused, does every step get a score. It costs a handful of
    short draws, or some forty scores. Exit code 1 if it does not answer, or does not score.
    """
    builder = Builder(progress=stage_lines(), cache="off")
    console = Console(stderr=as_json, highlight=False)
    found: list[Finding] = []
    with ExitStack() as stack:
        for finding in blocking.iterate(_findings(stack, builder, spec, seam)):
            found.append(finding)
            console.print(f"{finding.verdict:>7}", style=_STYLES[finding.verdict], end="  ")
            console.print(f"{finding.check}: {finding.detail}", markup=False, soft_wrap=True)
    if as_json:
        sys.stdout.write(json.dumps([asdict(finding) for finding in found], ensure_ascii=False) + "\n")
    if not found or found[0].verdict == "no":
        sys.exit(1)


def _findings(stack: ExitStack, builder: Builder, spec: str, seam: str | None) -> AsyncGenerator[Finding, None]:
    if _seam(builder, spec, seam) == "generator":
        return examine_generator(stack.enter_context(builder.generator(spec)))
    return examine_scorer(stack.enter_context(builder.scorer(spec)))


def _seam(builder: Builder, spec: str, given: str | None) -> str:
    if given is not None:
        return given
    for seam in ("generator", "scorer"):
        if spec in builder.config.named[f"{seam}s"] or builder.resolved(seam, spec).kind in KINDS[seam]:
            return seam
    raise UsageError(f"{spec!r} could be a generator or a scorer: say which with --as")
