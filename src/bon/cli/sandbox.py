"""`bon sandbox`: what confines programs on this machine, and what it really holds."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click
from rich.console import Console

from bon.cli.options import as_json
from bon.sandbox import Finding, available, selftest

__all__ = ["command"]


@click.group("sandbox")
def command() -> None:
    """The sandbox in which the programs of candidates run."""


@command.command("selftest")
@as_json
def run(as_json: bool) -> None:
    """Try from inside each sandbox of this machine what must not be possible.

    Bubblewrap is used where it holds, else Landlock with a filter of system calls; where neither holds, programs are
    not run. Exit code 1 if neither holds.
    """
    console = Console(stderr=as_json, highlight=False)
    rows, used = list[dict[str, object]](), None
    for backend in available():
        found = list[Finding]()
        console.print(str(backend), style="bold", markup=False)
        for finding in selftest(backend):
            found.append(finding)
            console.print(
                f"{'held' if finding.held else 'BROKEN':>7}", style="green" if finding.held else "red", end="  "
            )
            console.print(f"{finding.name}: {finding.detail}", markup=False, soft_wrap=True)
        held = all(finding.held for finding in found)
        used = used or (backend if held else None)
        rows.append({"sandbox": str(backend), "holds": held, "findings": [asdict(finding) for finding in found]})
    console.print(f"used: {used}" if used else "nothing here confines programs: they are not run", markup=False)
    if as_json:
        sys.stdout.write(
            json.dumps({"used": str(used) if used else None, "sandboxes": rows}, ensure_ascii=False) + "\n"
        )
    if used is None:
        sys.exit(1)
