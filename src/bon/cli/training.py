"""What commands that train share: options of what is trained and how, their values, and lines of progress."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from bon.errors import UsageError
from bon.train.recipe import Hook, Reading, Recipe, Step
from bon.train.starting import Setup

__all__ = ["OF_ADAPT", "first", "lines", "optimising", "recipe_of", "refuse_idle", "setup_of", "stack", "starting"]

F = TypeVar("F", bound=Callable[..., Any])

OF_ADAPT: Mapping[str, tuple[str, str]] = {
    "rank": ("lora", "of LoRA adapters"),
    "layers": ("last", "the number of layers that --adapt last trains"),
}
"""Options that are of one way to adapt a model: which, and what they are."""
_EVERY = 5.0
"""Seconds between two lines of progress."""


def starting(function: F) -> F:
    """What is trained."""
    return stack(
        function,
        click.option(
            "--base",
            metavar="MODEL",
            default=Setup().base,
            show_default=True,
            help="A transformers folder, a hub id, gguf:FILE, or local.",
        ),
        click.option("--revision", help="Of a base on a hub."),
        click.option(
            "--adapt",
            type=click.Choice(["head", "lora", "full"]),
            default=Setup().adapt,
            show_default=True,
            help="What is trained: a head alone, LoRA adapters and a head, or every weight.",
        ),
        click.option("--head", type=click.Choice(["linear", "mlp"]), default=Setup().head, show_default=True),
        click.option(
            "--init",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            metavar="DIR",
            help="What bon trained before and this goes on from, instead of --base and --head.",
        ),
        click.option("--rank", type=click.IntRange(min=1), default=Setup().rank, show_default=True, help="Of LoRA."),
        click.option(
            "--max-length",
            type=click.IntRange(min=1),
            metavar="TOKENS",
            help="Longer rows are left out.  [default: what the model has positions for]",
        ),
        click.option(
            "--features",
            type=click.Path(file_okay=False, path_type=Path),
            metavar="DIR",
            help="Where hidden states of a head alone are kept, for other runs.  [default: nowhere]",
        ),
        click.option("--device", help="cpu, cuda, cuda:1 ... or auto.  [default: a GPU where there is one]"),
        click.option("--checkpointing", is_flag=True, help="Less memory, a third more time."),
    )


def optimising(recipe: Recipe) -> Callable[[F], F]:
    """How it is trained; `recipe` has the defaults."""

    def apply(function: F) -> F:
        return stack(
            function,
            click.option("--epochs", type=click.IntRange(min=1), default=recipe.epochs, show_default=True),
            click.option("--steps", type=click.IntRange(min=1), help="At the most.  [default: those of the epochs]"),
            click.option(
                "--lr", type=float, default=recipe.lr, show_default=True, help="Learning rate, at its height."
            ),
            click.option(
                "--schedule",
                type=click.Choice(["linear", "cosine", "constant"]),
                default=recipe.schedule,
                show_default=True,
            ),
            click.option("--warmup", type=float, default=recipe.warmup, show_default=True, help="Share of the steps."),
            click.option(
                "--batch", type=click.IntRange(min=1), default=recipe.batch, show_default=True, help="Rows a step."
            ),
            click.option(
                "--tokens",
                type=click.IntRange(min=1),
                default=recipe.tokens,
                show_default=True,
                help="Of a pass, padding included: what bounds the memory. A step is as many passes as it takes.",
            ),
            click.option("--adam-eps", type=float, default=recipe.adam_eps, show_default=True, help="Of AdamW."),
            click.option("--weight-decay", type=float, default=recipe.weight_decay, show_default=True),
            click.option("--clip", type=float, default=recipe.clip, show_default=True, help="Norm of gradients."),
            click.option(
                "--evaluate", type=click.IntRange(min=1), metavar="STEPS", help="How often.  [default: each epoch]"
            ),
            click.option(
                "--patience",
                type=click.IntRange(min=0),
                default=recipe.patience or 0,
                show_default=True,
                help="Evaluations without a better loss before it stops; 0: it never does.",
            ),
            click.option(
                "--precision",
                type=click.Choice(["float32", "bfloat16"]),
                default=recipe.precision,
                show_default=True,
                help="What passes are computed in.",
            ),
            click.option("--seed", type=int, default=recipe.seed, show_default=True),
        )

    return apply


def first() -> bool:
    """Whether this process is the one that speaks: of several, as torchrun starts them, the first."""
    return os.environ.get("RANK", "0") == "0"


def setup_of(options: Mapping[str, Any]) -> Setup:
    """What `starting` asks for. Raises UsageError for an option that was given and would change nothing."""
    said = {name for name in options if _was_said(name)}
    if options["init"] is not None and (idle := said & {"base", "revision", "head"}):
        raise UsageError(
            f"--init goes on from the base and the head of {str(options['init'])!r}: leave out "
            f"{' and '.join(f'--{name}' for name in sorted(idle))}"
        )
    refuse_idle(options["adapt"], said)
    return Setup(**{field.name: options[field.name] for field in fields(Setup)})


def refuse_idle(adapt: str, said: Collection[str]) -> None:
    """Raise UsageError for an option among those `said` that is of another --adapt, and would change nothing."""
    for name, (wanted, what) in OF_ADAPT.items():
        if name in said and adapt != wanted:
            raise UsageError(f"--{name} is {what}, and --adapt is {adapt}: leave it out, or --adapt {wanted}")


def _was_said(name: str) -> bool:
    """Whether an option of the command that runs was given, and is not its default."""
    context = click.get_current_context(silent=True)
    return context is not None and context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def recipe_of(options: Mapping[str, Any]) -> Recipe:
    """What `optimising` asks for."""
    given = {field.name: options[field.name] for field in fields(Recipe) if field.name in options}
    return Recipe(**{**given, "patience": options["patience"] or None})


def lines() -> Hook:
    """A progress hook that writes lines to stderr: each evaluation, and now and then a step."""
    said = time.monotonic()

    def tell(event: Step | Reading) -> None:
        nonlocal said
        if not first():
            return
        late = time.monotonic() - said > _EVERY
        if isinstance(event, Reading):
            if late or event.done == event.rows:
                said = time.monotonic()
                sys.stderr.write(f"read {event.done} of {event.rows} rows\n")
            return
        if event.held_out is None and not (late and event.figures):
            return
        said = time.monotonic()
        figures = {**event.figures, **{f"held-out {name}": value for name, value in (event.held_out or {}).items()}}
        shown = ", ".join(f"{name} {value:.3g}" for name, value in figures.items() if name not in ("lr", "grad_norm"))
        sys.stderr.write(f"step {event.step} of {event.steps} (epoch {event.epoch:.2f}): {shown}\n")

    return tell


def stack(function: F, *options: Callable[[F], F]) -> F:
    """A command with options, the first of which stands first in its help."""
    for option in reversed(options):
        function = option(function)
    return function
