"""What commands that train a policy share: what is trained, settings by name, what `--show` prints, and sweeps."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from bon.cli.training import first, stack
from bon.errors import BonError, UsageError
from bon.store.plain import plain
from bon.train.policy.model import PolicySetup
from bon.train.policy.outcome import PolicyReport
from bon.train.policy.presets import Method, Point, Setting, preset, preset_names, sweep

__all__ = [
    "adapting",
    "needed",
    "policy_setup_of",
    "presetting",
    "settings_of",
    "shown",
    "trained",
    "values_of",
    "with_sweep",
]

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R")

_ONE_OF: Mapping[str, Sequence[tuple[str, str]]] = {"vbon": (("n", "beta"), ("beta", "n"))}
"""By method, settings that say one thing in two ways: where one is given, or swept, a preset's other one is dropped."""
_ASIDE = frozenset({"preset", "show", "sweep", "as_json", "out"})
"""Options that are no settings of a training."""


def adapting(function: F) -> F:
    """Which model is trained, and which of its weights: the same for all methods that are compared."""
    return stack(
        function,
        click.option(
            "--reference",
            metavar="MODEL",
            help="What is trained, and stays the reference: a transformers folder, a hub id, gguf:FILE, or local.",
        ),
        click.option("--revision", help="Of a reference on a hub."),
        click.option(
            "--adapt",
            type=click.Choice(["full", "lora", "last"]),
            default="full",
            show_default=True,
            help="What is trained: every weight, LoRA adapters, or the last --layers.",
        ),
        click.option("--layers", type=click.IntRange(min=1), default=2, show_default=True, help="Of --adapt last."),
        click.option("--rank", type=click.IntRange(min=1), default=16, show_default=True, help="Of LoRA."),
        click.option("--device", help="cpu, cuda, cuda:1 ...  [default: a GPU where there is one]"),
        click.option("--checkpointing", is_flag=True, help="Less memory, a third more time."),
    )


def policy_setup_of(options: Mapping[str, Any]) -> PolicySetup:
    """What `adapting` and `--precision` ask for."""
    return PolicySetup(**{field.name: options[field.name] for field in fields(PolicySetup)})


def presetting(function: F) -> F:
    """Settings by name, what they come to, and many trainings at once."""
    return stack(
        function,
        click.option("--preset", metavar="NAME", help=f"Settings by name: {', '.join(preset_names())}."),
        click.option("--show", is_flag=True, help="Print every value and where it comes from, and train nothing."),
        click.option(
            "--sweep",
            metavar="FILE|PRESET",
            help="A TOML file of lists (n = [2, 4, 8]), or a preset's: one training for each combination, in OUT/NAME. "
            "What is done is not done again.",
        ),
    )


def settings_of(context: click.Context, method: Method) -> dict[str, Setting]:
    """Every option of a command: as given, else as the preset has it, else by default; each with its source.

    Raises UsageError for a preset that is not there, and for one of whose values the command thinks otherwise.
    """
    given: dict[str, Any] = context.params
    named = {} if given["preset"] is None else preset(given["preset"], method)
    parameters = {each.name: each for each in context.command.params}
    found: dict[str, Setting] = {}
    for name, value in given.items():
        source = context.get_parameter_source(name)
        if source not in (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP, None):
            found[name] = Setting(value=value, source="given")
        elif name in named:
            cast = _cast(parameters[name], named[name].value, context)
            found[name] = Setting(value=cast, source=named[name].source)
        else:
            found[name] = Setting(value=value, source="default")
    for name, other in _ONE_OF.get(method, ()):
        if found[name].source == "given" != found[other].source:
            found[other] = Setting(value=None, source=f"--{name} is given")
    return found


def values_of(settings: Mapping[str, Setting]) -> dict[str, Any]:
    """The values alone, by the names of options."""
    return {name: setting.value for name, setting in settings.items()}


def shown(settings: Mapping[str, Setting], *, as_json: bool) -> str:
    """Every setting of a training with its source, in lines or as JSON."""
    told = {name: setting for name, setting in settings.items() if name not in _ASIDE}
    if as_json:
        table = {name: {"value": setting.value, "source": setting.source} for name, setting in told.items()}
        return json.dumps(table, default=str) + "\n"
    values = {name: _told(setting.value) for name, setting in told.items()}
    width, wide = max(map(len, values)), max(map(len, values.values()))
    return "".join(f"{name:<{width}}  {values[name]:<{wide}}  {setting.source}\n" for name, setting in told.items())


def needed(options: Mapping[str, Any], *names: str) -> None:
    """Raise UsageError for options that are not given, and without which nothing can be trained."""
    lacking = [name for name in names if options[name] in (None, ())]
    if lacking:
        flags = ", ".join("-o" if name == "out" else f"--{name}" for name in lacking)
        raise UsageError(f"give {flags} too: without it there is nothing to train")


def with_sweep(
    context: click.Context, settings: Mapping[str, Setting], method: Method, train: Callable[[Path, dict[str, Any]], R]
) -> tuple[dict[str, R], dict[str, BonError]]:
    """Train once, or once for each point of the sweep: by folder what came of it, and what went wrong.

    `train` is given a folder and the options. A point that fails is told of on stderr and the others go on; a usage
    error is raised on, since it would be the same for all.
    """
    options = values_of(settings)
    out: Path = options["out"]
    if options["sweep"] is None:
        return {str(out): train(out, options)}, {}
    points = sweep(options["sweep"], method, objective=options.get("objective"))
    _check(points, settings, context)
    parameters = {each.name: each for each in context.command.params}
    done: dict[str, R] = {}
    failed: dict[str, BonError] = {}
    for number, point in enumerate(points, 1):
        if first():
            sys.stderr.write(f"{out / point.name}: training {number} of {len(points)}\n")
        cast = {name: _cast(parameters[name], value, context) for name, value in point.values.items()}
        cast |= {other: None for name, other in _ONE_OF.get(method, ()) if name in cast and other not in cast}
        try:
            done[str(out / point.name)] = train(out / point.name, {**options, **cast})
        except UsageError:
            raise
        except BonError as error:
            failed[str(out / point.name)] = error
            sys.stderr.write(f"{out / point.name}: {error}\n")
    return done, failed


def trained(
    method: Method,
    train: Callable[[Path, dict[str, Any]], PolicyReport],
    *,
    needs: Sequence[str] = ("out", "reference", "pools"),
    as_json: bool,
) -> None:
    """Train as the command's options say, once or for each point of a sweep, and say what came of it.

    Ends the process with 1 where a training of a sweep has failed.
    """
    context = click.get_current_context()
    settings = settings_of(context, method)
    if settings["show"].value:
        sys.stdout.write(shown(settings, as_json=as_json))
        return
    options = values_of(settings)
    needed(options, *needs)
    done, failed = with_sweep(context, settings, method, train)
    if first():
        if as_json:
            table = [plain(asdict(report)) for report in done.values()]
            sys.stdout.write(json.dumps(table if options["sweep"] else table[0], ensure_ascii=False) + "\n")
        else:
            sys.stdout.write("\n".join(map(_page, done.values())))
    if failed:
        sys.exit(1)


def _check(points: Sequence[Point], settings: Mapping[str, Setting], context: click.Context) -> None:
    """Raise UsageError for a sweep over what is no setting, or is given already."""
    for name in points[0].values:
        if name not in settings or name in _ASIDE:
            names = ", ".join(sorted(set(settings) - _ASIDE))
            raise UsageError(
                f"the sweep has a list of {name!r}, which {context.command_path} has no setting for: {names}"
            )
        if settings[name].source == "given":
            raise UsageError(
                f"--{name.replace('_', '-')} is given, and the sweep has a list of it: leave one of them out"
            )


def _told(value: Any) -> str:
    """A value as people read it."""
    if value is None or value == ():
        return "not set"
    return ", ".join(str(getattr(each, "number", each)) for each in value) if isinstance(value, tuple) else str(value)


def _cast(parameter: click.Parameter, value: Any, context: click.Context) -> Any:
    """A value of a file as the command line would read it."""
    return parameter.process_value(context, [str(value)] if getattr(parameter, "multiple", False) else str(value))


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
