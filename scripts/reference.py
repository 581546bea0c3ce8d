"""Prints a page made from the code: `cli.md` from the commands' help, the others from docstrings."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import click

import bon
from bon.cli import cli

ROOT = Path(__file__).parents[1]


def cli_page() -> str:
    """The help of every command, as it is shown."""
    parts = ["# The command\n\nMade from the commands' own help by `make docs`.\n", _help("bon", cli)]
    context = click.Context(cli, info_name="bon")
    parts += [_help(f"bon {name}", cli.get_command(context, name)) for name in cli.list_commands(context)]
    return "\n".join(parts)


def _help(name: str, command: click.Command | None) -> str:
    if command is None:
        raise LookupError(name)
    context = click.Context(command, info_name=name, terminal_width=110, max_content_width=110)
    return f"## {name}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"


def api_page() -> str:
    """Every name that `import bon` offers, with its signature and documentation."""
    parts = [
        "# The Python interface\n\nMade from the docstrings by `make docs`: every name that `import bon` offers.\n"
    ]
    names = sorted({*bon.__all__} - {"__version__"}, key=lambda name: (name.lower(), name))
    parts += [_entry(name, getattr(bon, name)) for name in names]
    parts.append(_rooms())
    return "\n".join(parts)


def _entry(name: str, thing: object) -> str:
    if not inspect.isclass(thing) and not inspect.isroutine(thing):
        return f"## bon.{name}\n\n`{_plain(str(thing))}`\n"
    kind = "class " if inspect.isclass(thing) else "async " if inspect.iscoroutinefunction(thing) else ""
    return f"## bon.{name}\n\n```text\n{kind}bon.{name}{_signature(thing)}\n```\n\n{inspect.getdoc(thing) or ''}\n"


def _signature(thing: Any) -> str:
    """One line if it is short, else a parameter a line; nothing for protocols and errors, which nobody constructs."""
    if inspect.isclass(thing) and (getattr(thing, "_is_protocol", False) or issubclass(thing, Exception)):
        return ""
    signature = inspect.signature(thing)
    parameters = [re.sub(r"<[^>]*>", "...", _plain(str(parameter))) for parameter in signature.parameters.values()]
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    if inspect.Parameter.KEYWORD_ONLY in kinds:
        parameters.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    returned = signature.return_annotation
    arrow = "" if returned is signature.empty or inspect.isclass(thing) else f" -> {_plain(str(returned))}"
    line = f"({', '.join(parameters)}){arrow}"
    if len(line) <= 80:
        return line
    return "(\n" + "".join(f"    {parameter},\n" for parameter in parameters) + f"){arrow}"


def _plain(text: str) -> str:
    """Annotations as they were written: without quotes around them and without the modules of names."""
    text = re.sub(r"(: |-> |^)'([^']*)'", r"\1\2", text)
    return re.sub(r"\b(?:bon|collections|typing|numpy|asyncio)(?:\.\w+)*\.(?=[A-Z])", "", text)


def _rooms() -> str:
    lines = ["## Rooms\n", "Each has its own names; their docstrings say more (`help(bon.select)`).\n"]
    for room in ("answers", "select", "score", "stats", "ledger", "testing", "observe", "events", "types", "errors"):
        module = importlib.import_module(f"bon.{room}")
        summary = (inspect.getdoc(module) or "").partition("\n")[0]
        lines.append(f"- `bon.{room}`: {summary}")
    return "\n".join(lines) + "\n"


_HOUSE = """\
# Architecture

The house has one room for each idea and four seams between them (`src/bon/protocols.py`). A layer may import those
below it and never one above; import-linter holds it to that (`pyproject.toml`, `make layers`):

    cli
    testing : api : observe
    train
    evaluation
    registry : engine
    generate | score
    transport : models : store : sandbox
    select : budgets : answers : stats        pure: no clock, no network, no disk, no global randomness
    protocols : events : concurrency : ledger
    types : errors : render : values

Rooms that are planned and not built have their place already: server above api, scale beside api, refine beside
engine.

One run, from top to bottom: a face (`cli`, `api`) has the `registry` build things from specs and hands them to the
`engine`, which starts every draw and every scorer, and ends them. Generators stand around generators: fallback,
mixture and variations around the cache, the cache around spares for slow draws, these around a model. The model is
reached through `transport` (HTTP), where each attempt at a call waits for the limits of its endpoint (`pace.py`)
and then for room in the `ledger`; or it is one of `models` (embedded, transformers), and each draw waits for that
room (`metered.py`). In a run over files the journal (`store/journal.py`) hears what lands before anything else
comes of it. What comes out is a Pool, which `select` weighs and `store` keeps; `api/output.py` gives it its place
in the file, and the journal forgets it. [docs/reliability.md](docs/reliability.md#how-the-parts-fit-together) shows
this as a picture.

What follows is made from the modules' own first sentences by `make docs`.
"""


def architecture_page() -> str:
    """A sentence for each file."""
    source = ROOT / "src" / "bon"
    parts = [_HOUSE]
    for folder in sorted({path.parent for path in source.rglob("*.py")}):
        parts.append(f"## {folder.relative_to(ROOT / 'src')}/\n")
        parts += [f"- `{path.name}`: {_sentence(path)}" for path in sorted(folder.glob("*.py"))]
        parts.append("")
    return "\n".join(parts)


def _sentence(path: Path) -> str:
    """The first paragraph of a module's docstring, on one line."""
    documentation = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(documentation.partition("\n\n")[0].split())


if __name__ == "__main__":
    sys.stdout.write({"cli.md": cli_page, "api.md": api_page, "ARCHITECTURE.md": architecture_page}[sys.argv[1]]())
