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

from bon.cli.policies_shown import ASIDE, shown
from bon.cli.training import OF_ADAPT, first, refuse_idle, stack
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
    "trained",
    "values_of",
]

F = TypeVar("F", bound=Callable[..., Any])

_ONE_OF: Mapping[str, Sequence[tuple[str, str]]] = {"vbon": (("n", "beta"), ("beta", "n"))}
"""By method, settings that say one thing in two ways: where one is given, or swept, a preset's other one is dropped."""


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


def needed(options: Mapping[str, Any], *names: str) -> None:
    """Raise UsageError for options that are not given, and without which nothing can be trained."""
    lacking = [name for name in names if options[name] in (None, ())]
    if lacking:
        flags = ", ".join("-o" if name == "out" else f"--{name}" for name in lacking)
        raise UsageError(f"give {flags} too: without it there is nothing to train")


def trained(
    method: Method,
    train: Callable[[Path, dict[str, Any]], PolicyReport],
    *,
    check: Callable[[dict[str, Any]], object],
    used: Callable[[Mapping[str, Setting]], Mapping[str, Setting]] = lambda _: {},
    needs: Sequence[str] = ("out", "reference", "pools"),
    as_json: bool,
) -> None:
    """Train as the command's options say, once or for each point of a sweep, and say what came of it.

    `check` is given the options of every training before the first one begins, and raises UsageError for what cannot
    be. `used` says of settings what is made of them, where that is something else than they say. Ends the process with
    1 where a training of a sweep has failed.
    """
    context = click.get_current_context()
    settings = settings_of(context, method)
    points = _points(context, settings, method)
    if settings["show"].value:
        sys.stdout.write(_shown(context.command, settings, points, used, as_json=as_json))
        return
    needed(values_of(settings), *needs)
    given = {name for name, setting in settings.items() if setting.source == "given"}
    trainings = {name: {**values_of(settings), **values} for name, values in points.items()}
    for name, options in trainings.items():
        refuse_idle(options["adapt"], given | points[name].keys())
        check(options)
    done, failed = _each(trainings, train)
    if first():
        if as_json:
            table = [plain(asdict(report)) for report in done]
            sys.stdout.write(json.dumps(table if settings["sweep"].value else table[0], ensure_ascii=False) + "\n")
        else:
            sys.stdout.write("\n".join(map(_page, done)))
    if failed:
        sys.exit(1)


def _each(
    trainings: Mapping[str, dict[str, Any]], train: Callable[[Path, dict[str, Any]], PolicyReport]
) -> tuple[list[PolicyReport], int]:
    """What came of trainings, and how many went wrong.

    `train` is given a folder and the options. Where there are several, one that fails is told of on stderr and the
    others go on; a usage error is raised on, since it would be the same for all.
    """
    done: list[PolicyReport] = []
    failed = 0
    for number, (name, options) in enumerate(trainings.items(), 1):
        folder = options["out"] / name
        if name and first():
            sys.stderr.write(f"{folder}: training {number} of {len(trainings)}\n")
        try:
            done.append(train(folder, options))
        except BonError as error:
            if not name or isinstance(error, UsageError):
                raise
            failed += 1
            sys.stderr.write(f"{folder}: {error}\n")
    return done, failed


def _points(context: click.Context, settings: Mapping[str, Setting], method: Method) -> dict[str, dict[str, Any]]:
    """By the name of its folder what each training of the sweep has of its own; without one a training of no name."""
    if settings["sweep"].value is None:
        return {"": {}}
    points = sweep(settings["sweep"].value, method, objective=settings["objective"].value if method == "vbon" else None)
    _check(points, settings, context)
    parameters = {each.name: each for each in context.command.params}
    found = {}
    for point in points:
        cast = {name: _cast(parameters[name], value, context) for name, value in point.values.items()}
        dropped = {other: None for name, other in _ONE_OF.get(method, ()) if name in cast and other not in cast}
        found[point.name] = {**cast, **dropped}
    return found


def _shown(
    command: click.Command,
    settings: Mapping[str, Setting],
    points: Mapping[str, Mapping[str, Any]],
    used: Callable[[Mapping[str, Setting]], Mapping[str, Setting]],
    *,
    as_json: bool,
) -> str:
    """What `--show` prints: what is swept with all of its values, and what is idle as not set."""
    swept: dict[str, dict[Any, None]] = {}
    for values in points.values():
        for name, value in values.items():
            swept.setdefault(name, {})[value] = None
    source = f"the sweep {settings['sweep'].value}"
    lists = {
        name: Setting(value=None if list(values) == [None] else tuple(values), source=source)
        for name, values in swept.items()
    }
    told = {**settings, **lists}
    idle = {
        name: Setting(value=None, source=f"of --adapt {wanted} alone")
        for name, (wanted, _) in OF_ADAPT.items()
        if told["adapt"].value != wanted and "adapt" not in swept
    }
    out = settings["out"].value
    folders = {str(out / name) if out else name: values for name, values in points.items() if name}
    return shown(command, {**told, **idle, **used(told)}, folders, as_json=as_json)


def _check(points: Sequence[Point], settings: Mapping[str, Setting], context: click.Context) -> None:
    """Raise UsageError for a sweep over what is no setting, or is given already."""
    for name in points[0].values:
        if name not in settings or name in ASIDE:
            names = ", ".join(sorted(set(settings) - ASIDE))
            raise UsageError(
                f"the sweep has a list of {name!r}, which {context.command_path} has no setting for: {names}"
            )
        if settings[name].source == "given":
            raise UsageError(
                f"--{name.replace('_', '-')} is given, and the sweep has a list of it: leave one of them out"
            )


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
