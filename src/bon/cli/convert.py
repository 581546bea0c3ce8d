"""`bon convert`: a published data set becomes prompts or labelled pools."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from bon.api.settings import hashes, refuse_same
from bon.cli.options import as_json
from bon.errors import UsageError
from bon.store.convert import CONVERTERS, convert
from bon.store.runfile import Run, write_run

__all__ = ["command"]


@click.command("convert")
@click.argument("format_", metavar="FORMAT")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="The file to write.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many rows.")
@click.option(
    "--option", "pairs", metavar="NAME=VALUE", multiple=True, help="An option of the format; may be repeated."
)
@as_json
def command(format_: str, file: Path, out: Path, *, limit: int | None, pairs: tuple[str, ...], as_json: bool) -> None:
    """Turn FILE, a data set in FORMAT, into prompts or pools.

    `bon list converters` shows the formats. Pools carry the recorded correctness as the scorer `correct`. An option
    that most formats have is template, a text with {prompt} where the question goes.
    """
    refuse_same(out, file)
    settings = {"format": format_, "limit": limit, **_options(pairs)}
    count = convert(format_, file, out, limit=limit, **_options(pairs))
    makes = CONVERTERS[format_].makes
    if out.is_file():
        write_run(out, Run(command="convert", settings=settings, data=hashes(file)))
    if as_json:
        sys.stdout.write(json.dumps({"out": str(out), "makes": makes, "count": count}) + "\n")
    sys.stderr.write(f"{out}: {count} {makes}\n")


def _options(pairs: tuple[str, ...]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--option {pair!r} has no value; write --option {pair}=VALUE")
        options[name] = value
    return options
