"""`bon show`: all there is to say about one spec, without loading what it names."""

from __future__ import annotations

import inspect
import json
import sys

import click

from bon.cli.options import as_json
from bon.errors import SpecError
from bon.registry import KINDS, Builder, Kind, parse_spec

__all__ = ["command"]


@click.command("show")
@click.argument("spec")
@as_json
def command(spec: str, as_json: bool) -> None:
    """Say what SPEC names: its seam, how it is written, its options, and its documentation."""
    found = {seam: kinds[kind] for seam, kinds in KINDS.items() if (kind := _kind(seam, spec)) in kinds}
    if not found:
        raise SpecError(f"{spec!r} names nothing that bon knows; `bon list` shows what there is")
    facts = [_facts(seam, spec, kind) for seam, kind in found.items()]
    if as_json:
        sys.stdout.write(json.dumps(facts, ensure_ascii=False) + "\n")
        return
    for fact in facts:
        sys.stdout.write(f"{spec}: a {fact['seam']}, written {fact['usage']}\n{fact['summary']}\n")
        if fact["documentation"]:
            sys.stdout.write(f"\n{fact['documentation']}\n")


def _kind(seam: str, spec: str) -> str:
    return Builder().resolved(seam, spec).kind


def _facts(seam: str, spec: str, kind: Kind) -> dict[str, str]:
    parsed = parse_spec(spec)
    documentation = ""
    if seam in ("scorer", "selector", "budget") and not parsed.target:
        thing = kind.make(parsed, Builder())
        documentation = inspect.getdoc(getattr(thing, "func", None) or thing) or ""
    return {"seam": seam, "spec": spec, "usage": kind.usage, "summary": kind.summary, "documentation": documentation}
