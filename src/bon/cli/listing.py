"""`bon list`: what there is to name in a spec."""

from __future__ import annotations

import json
import sys
from importlib.metadata import entry_points

import click
from rich.console import Console
from rich.table import Table

from bon.cli.options import as_json
from bon.registry import KINDS, load_config

__all__ = ["catalogue", "command"]


@click.command("list")
@click.argument("what", required=False, metavar="[WHAT]")
@as_json
def command(what: str | None, as_json: bool) -> None:
    """List what can be named: generators, scorers, selectors, budgets, extractors, converters; or only one of them."""
    everything = catalogue()
    if what is not None and what not in everything:
        raise click.BadParameter(f"{what!r}: choose one of {', '.join(everything)}", param_hint="WHAT")
    shown = {what: everything[what]} if what else everything
    if as_json:
        sys.stdout.write(json.dumps(shown, ensure_ascii=False) + "\n")
        return
    console = Console()
    if not console.is_terminal:
        for seam, rows in shown.items():
            sys.stdout.writelines(f"{seam}\t{usage}\t{summary}\n" for usage, summary in rows.items())
        return
    for seam, rows in shown.items():
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(no_wrap=True, style="bold")
        table.add_column()
        for usage, summary in rows.items():
            table.add_row(f"  {usage}", summary)
        console.print(seam, style="dim")
        console.print(table, markup=False, highlight=False)


def catalogue() -> dict[str, dict[str, str]]:
    """By seam: how each spec is written -> what it is; names of bon.toml and of installed packages included."""
    from bon.registry.extractors import catalogue as extractors
    from bon.store.convert import CONVERTERS

    config = load_config()
    found: dict[str, dict[str, str]] = {}
    for seam, kinds in KINDS.items():
        rows: dict[str, str] = {}
        for name, kind in kinds.items():
            members = kind.members() if kind.members else {}
            rows |= {kind.usage: kind.summary} | {f"{name}:{member}": line for member, line in members.items()}
        rows |= dict.fromkeys(config.named.get(f"{seam}s", {}), f"from {config.path}")
        rows |= {point.name: f"an entry point: {point.value}" for point in entry_points(group=f"bon.{seam}s")}
        found[f"{seam}s"] = rows
    found["extractors"] = dict(extractors())
    found["converters"] = {name: converter.description for name, converter in CONVERTERS.items()}
    return found
