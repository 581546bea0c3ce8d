"""Where the rows of data sets come from: files by format, folders, saved data sets, the hub; what they mean is open."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from bon.errors import DataError, UsageError
from bon.store.diagnosis import BadLine, OnBad
from bon.store.lines import LONGEST, Line, PathLike, decoded, lines_of, reading, refuse
from bon.store.sources.hub import hub_rows, is_saved, saved_rows
from bon.store.sources.row import Row
from bon.store.sources.tables import csv_rows, parquet_rows
from bon.store.sources.values import values

__all__ = ["KINDS", "Row", "Source", "rows_of"]

Source: TypeAlias = PathLike | Iterable[Mapping[str, Any]]
"""A file, a folder, a data set of the hub, "-" for stdin, or rows that are in memory already."""

KINDS: Mapping[str, str] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
"""What the end of a file's name says of it; `.gz` may follow, save for Parquet, which compresses by itself."""

_GIVEN = "the rows given"
_HUB = re.compile(r"[\w.-]+/[\w.-]+")


def rows_of(
    source: Source, *, split: str | None = None, config: str | None = None, on_bad: OnBad | None = None
) -> Iterator[Row]:
    """The rows of a source, one at a time, in their order; memory holds a few of them.

    A folder is what `datasets` saved there, or all files of known kinds in it and below it, by name. A name such as
    `org/name` that is no file is a data set of the hub; `config` and `split` choose in it. A file whose name says
    nothing, and stdin, are JSON Lines. Rows that cannot be read are handed to `on_bad`, and the next ones go on.

    Raises UsageError for a source that is not there, and for a split or a configuration where there is none to choose;
    DataError for a row that cannot be read where there is no `on_bad`, MissingExtra where Parquet or the hub need what
    is not installed.
    """
    if not isinstance(source, str | os.PathLike):
        _refuse(_GIVEN, split=split, config=config)
        return _given(source, on_bad)
    path, name = Path(source), os.fspath(source)
    if path.is_dir() and is_saved(path):
        _refuse(name, config=config)
        return saved_rows(path, split=split)
    if name != "-" and not path.exists() and _HUB.fullmatch(name) and _kind(name) is None:
        return hub_rows(name, config=config, split=split)
    _refuse(name, split=split, config=config)
    return _folder(path, on_bad) if path.is_dir() else _file(name, name, on_bad)


def _refuse(where: str, **given: str | None) -> None:
    """Raise for what chooses nothing here: who gave it would take all rows for those that were chosen."""
    for name, value in given.items():
        if value is not None:
            raise UsageError(f"{where} has no {name} to choose, and {name} {value!r} was given: leave it out")


def _file(path: PathLike, where: str, on_bad: OnBad | None) -> Iterator[Row]:
    kind = _kind(where)
    if kind == "parquet":
        if not Path(path).is_file():
            raise UsageError(f"cannot read {where!r}: no such file; give the path of an existing file")
        return parquet_rows(path, where)
    if kind == "csv":
        return csv_rows(path, where, on_bad=on_bad)
    return _json(path, where, on_bad) if kind == "json" else _jsonl(path, where, on_bad)


def _folder(folder: Path, on_bad: OnBad | None) -> Iterator[Row]:
    files = sorted(path for path in folder.rglob("*") if _kind(path.name) and path.is_file())
    if not files:
        raise UsageError(f"no data in {str(folder)!r}: its files end in none of {', '.join(KINDS)}")
    for path in files:
        name = str(path.relative_to(folder))
        yield from _file(path, str(path), None if on_bad is None else _named(on_bad, name))


def _jsonl(path: PathLike, where: str, on_bad: OnBad | None) -> Iterator[Row]:
    bad = _Counted(on_bad)
    with reading(path) as file:
        found = decoded(where, lines_of(file, longest=LONGEST), _object, on_bad=bad if on_bad else None)
        for read, (line, value) in enumerate(found):
            yield Row(value=value, number=line.number, place=read + bad.count, where=where)


def _json(path: PathLike, where: str, on_bad: OnBad | None) -> Iterator[Row]:
    with reading(path) as file:
        found = enumerate(values(file))
        while True:
            try:
                place, (number, text) = next(found)
            except StopIteration:
                return
            except DataError as error:
                line, _, what = str(error).partition(": ")
                refuse(where, BadLine(line=int(line), error="not_json", message=what), on_bad, error)
                return
            whole = Line(number=number, offset=0, data=text.encode(), ended=True)
            for _, value in decoded(where, [whole], _object, on_bad=on_bad):
                yield Row(value=value, number=number, place=place, where=where)


def _given(rows: Iterable[Mapping[str, Any]], on_bad: OnBad | None) -> Iterator[Row]:
    values: Iterable[object] = rows
    for place, value in enumerate(values):
        if isinstance(value, Mapping):
            yield Row(value=value, number=place + 1, place=place, where=_GIVEN)
        else:
            said = BadLine(line=place + 1, error="invalid", message=f"{value!r:.80} is no mapping of columns")
            refuse(_GIVEN, said, on_bad)


def _kind(name: str) -> str | None:
    return KINDS.get(Path(name.removesuffix(".gz")).suffix.lower())


def _object(data: bytes) -> dict[str, Any]:
    return msgspec.json.decode(data, type=dict[str, Any])


def _named(on_bad: OnBad, name: str) -> OnBad:
    """In a folder, a row's number says little without its file."""
    return lambda line: on_bad(replace(line, message=f"{name}: {line.message}"))


class _Counted:
    """An `on_bad` that counts."""

    def __init__(self, on_bad: OnBad | None) -> None:
        self._on_bad = on_bad
        self.count = 0

    def __call__(self, line: BadLine) -> None:
        self.count += 1
        if self._on_bad is not None:
            self._on_bad(line)
