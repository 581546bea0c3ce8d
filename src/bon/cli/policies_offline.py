"""What `bon train sft`, `dpo` and `bonbon` share: which pools, which of their draws, and what is said in the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

import click

from bon.cli.policies import needed, settings_of, shown, with_sweep
from bon.cli.training import first, recipe_of, stack
from bon.store.plain import plain
from bon.train.policy.choices import Kind
from bon.train.policy.model import PolicySetup
from bon.train.policy.outcome import PolicyReport
from bon.train.recipe import Recipe

__all__ = ["learning", "learns_of", "trained"]

F = TypeVar("F", bound=Callable[..., Any])


def learning(function: F) -> F:
    """Which pools, and what of them is learned."""
    return stack(
        function,
        click.option("-o", "--out", type=click.Path(file_okay=False, path_type=Path), help="The folder to make."),
        click.option(
            "--pools", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Scored pools to learn from."
        ),
        click.option("--by", metavar="SCORER", help="Which draws are better.  [default: the only scorer there is]"),
        click.option(
            "--n", type=click.IntRange(min=1), help="Draws of a group, the N of best-of-N.  [default: a whole pool]"
        ),
        click.option(
            "--groups", type=click.IntRange(min=1), help="Groups of a pool at the most.  [default: all it has]"
        ),
        click.option(
            "--temperature", type=float, help="Of log-probabilities.  [default: at which the pools were drawn]"
        ),
        click.option(
            "--held-out",
            type=float,
            default=0.0,
            show_default=True,
            metavar="SHARE",
            help="Of the prompts, to measure on; the best weights by it are kept.",
        ),
        click.option(
            "--max-length",
            type=click.IntRange(min=2),
            metavar="TOKENS",
            help="Longer rows are left out.  [default: what the model has positions for]",
        ),
    )


def learns_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """What `learning` and the options of models and recipes ask for, as arguments of `bon.train_sft` and its like."""
    recipe: Recipe = recipe_of(options)
    names = ("by", "n", "groups", "temperature", "held_out", "max_length")
    setup = PolicySetup(**{field.name: options[field.name] for field in fields(PolicySetup)})
    return {"setup": setup, "recipe": recipe, **{name: options[name] for name in names}}


def trained(kind: Kind, train: Callable[[Path, dict[str, Any]], PolicyReport], *, as_json: bool) -> None:
    """Train as the command's options say, once or for each point of a sweep, and say what came of it.

    Ends the process with 1 where a training of a sweep has failed.
    """
    context = click.get_current_context()
    settings = settings_of(context, kind)
    if settings["show"].value:
        sys.stdout.write(shown(settings, as_json=as_json))
        return
    options = {name: setting.value for name, setting in settings.items()}
    needed(options, "out", "reference", "pools")
    done, failed = with_sweep(context, settings, kind, train)
    if first():
        if as_json:
            table = [plain(asdict(report)) for report in done.values()]
            sys.stdout.write(json.dumps(table if options["sweep"] else table[0], ensure_ascii=False) + "\n")
        else:
            sys.stdout.write("\n".join(map(_page, done.values())))
    if failed:
        sys.exit(1)


def _page(report: PolicyReport) -> str:
    last = ", ".join(f"{name} {value:.4g}" for name, value in report.last.items() if name not in ("lr", "grad_norm"))
    said = [
        f"{report.out}: {report.method} on {report.episodes} answers to {report.prompts} prompts, {report.steps} steps",
        f"  in the end: {last}",
        *(
            f"  {name}: {cost.seconds:.1f} s, {cost.tokens} tokens of {cost.draws} answers"
            for name, cost in report.cost.items()
        ),
        *(f"left out: {count}, {why}" for why, count in report.left_out.items()),
        *(f"note: {note}" for note in report.notes),
        f"use it with --generator hf:{report.out}; {report.out}/README.md says more",
    ]
    return "\n".join(said) + "\n"
