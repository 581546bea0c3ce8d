"""The `.run.toml` beside an output: with what it was made, so that it is never continued with something else."""

from __future__ import annotations

import hashlib
import os
import platform
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from bon._version import __version__
from bon.errors import DataError, UsageError
from bon.store.jsonl import write_atomic
from bon.store.lines import PathLike

__all__ = ["Difference", "Run", "data_hash", "differences", "read_run", "require_same", "run_path", "write_run"]

_RESTARTING = "sample"
"""The command that has --restart."""


def _versions() -> dict[str, str]:
    return {"bon": __version__, "python": platform.python_version()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What made an output."""

    command: str
    """"sample", "score", ..."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Specs, n, seed, extractor, `request` ...: whatever changes the result. None is the same as not set."""
    data: Mapping[str, str] = field(default_factory=dict)
    """The name of each input file -> the sha256 of its bytes; a renamed file is the same data."""
    versions: Mapping[str, str] = field(default_factory=_versions)
    """For people who read it; another version is no reason to refuse."""
    spent: Mapping[str, Any] = field(default_factory=dict)
    """What it has cost so far, once a run has come to its end; while one is under way its journal knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A setting that two runs do not share; None is "not set"."""

    name: str
    """Dotted where it is nested: `request.temperature`."""
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.name} was {_shown(self.old)}, is now {_shown(self.new)}"


def run_path(output: PathLike) -> Path:
    """Where the run file of an output lies: beside it, or beside what it is a link to."""
    return Path(f"{os.path.realpath(output)}.run.toml")


def write_run(output: PathLike, run: Run) -> None:
    """Write the run file of an output, atomically; one that says the same already is left alone."""
    table = {
        "command": run.command,
        "settings": _storable(run.settings),
        "data": dict(run.data),
        "versions": dict(run.versions),
        **({"spent": _storable(run.spent)} if run.spent else {}),
    }
    path, lines = run_path(output), tomli_w.dumps(table).rstrip("\n").split("\n")
    if not path.is_file() or path.read_text(encoding="utf-8").splitlines() != lines:  # a full disk may hold it already
        write_atomic(path, [line.encode() for line in lines])


def read_run(output: PathLike) -> Run | None:
    """The run file of an output, or None where there is none. Raises DataError for one that cannot be read."""
    path = run_path(output)
    if not path.exists():
        return None
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return Run(
            **{key: table[key] for key in ("command", "settings", "data", "versions")}, spent=table.get("spent", {})
        )
    except (ValueError, KeyError) as error:
        raise DataError(f"{path}: not a run file ({error}): remove it, or give --restart to begin again") from error


def differences(old: Run, new: Run) -> tuple[Difference, ...]:
    """The settings in which two runs differ, in the order of their names; versions and file names do not count."""
    before, after = dict(_flat(old)), dict(_flat(new))
    return tuple(
        Difference(name=name, old=before.get(name), new=after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )


def require_same(output: PathLike, run: Run, *, ignore: Collection[str] = ()) -> None:
    """Refuse to continue an output that was begun with other settings than `run` has; `ignore` names may differ.

    Raises UsageError that names each setting, its old and its new value, and what to do. An output without a run file
    may be continued.
    """
    old = read_run(output)
    found = [] if old is None else [one for one in differences(old, run) if one.name not in ignore]
    if found:
        again = "begin this one again (--restart)" if run.command == _RESTARTING else "remove this one"
        raise UsageError(
            f"{os.fspath(output)!r} was begun with other settings: {'; '.join(map(str, found))}. "
            f"Choose another output (-o), or {again}"
        )


def data_hash(path: PathLike) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flat(run: Run) -> Iterator[tuple[str, Any]]:
    yield "command", run.command
    yield "data", sorted(run.data.values())
    yield from _leaves(_storable(run.settings), "")


def _leaves(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict) and (value or not prefix):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _storable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as TOML can hold them: what is None is left out, and what holds a None inside becomes JSON text."""
    kept = {name: msgspec.to_builtins(value) for name, value in settings.items() if value is not None}
    return {name: msgspec.json.encode(value).decode() if _holds_none(value) else value for name, value in kept.items()}


def _holds_none(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_none, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_holds_none, value))
    return value is None


def _shown(value: Any) -> str:
    return "not set" if value is None else repr(value)
