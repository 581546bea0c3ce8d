"""A data set as labelled pools, whatever it was stored as: read as a stream, limited, shuffled and split by its ids."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from bon.errors import DataError, UsageError
from bon.store.convert import chosen, converted, detect, lacking
from bon.store.convert.each import each
from bon.store.diagnosis import BadLine, OnBad
from bon.store.lines import LONGEST
from bon.store.plain import encode
from bon.store.pools import PoolFile, dump_pool, parse_pool
from bon.store.prompts import parse_prompt
from bon.store.sampling import draw, thresholds
from bon.store.sources import Source, rows_of
from bon.types import Pool, Prompt

__all__ = ["Dataset", "format_of", "load"]

_OURS = ("pools", "prompts")
"""What is already in our own columns."""

_IN_MEMORY = 4 << 20
"""Bytes of a shuffled data set that are kept in memory; with more it waits in a temporary file."""


class Dataset:
    """Pools that can be read again and again, each time from their source; nothing is kept in memory.

    Everything that is done with one gives another, and reads nothing before it is iterated over. What is drawn by lot
    depends on the seed and on each pool's `group` (of its metadata; its id where it has none) alone: on a row's content
    rather than on its place, so it stays what it is when rows are added, and pools of one group are never parted.
    """

    def __init__(self, read: Callable[[], Iterator[Pool]], *, name: str = "data") -> None:
        self._read = read
        self.name = name
        """Where it comes from, for people."""

    def __iter__(self) -> Iterator[Pool]:
        return self._read()

    def __repr__(self) -> str:
        return f"Dataset({self.name!r})"

    def limit(self, count: int) -> Dataset:
        """The first `count` pools."""
        if count < 0:
            raise UsageError(f"limit {count}: give the number of pools, from 0")
        return Dataset(lambda: islice(self._read(), count), name=self.name)

    def shuffle(self, seed: int = 0) -> Dataset:
        """The pools in an order that depends on the seed and on their ids, whatever order they come in.

        All of them are read first; they wait in a temporary file, and memory grows by three numbers a pool.
        """
        return Dataset(lambda: _shuffled(self._read(), seed), name=self.name)

    def split(self, fraction: float, seed: int = 0, *, by: str | None = None) -> tuple[Dataset, Dataset]:
        """About `fraction` of the pools, and the others; a smaller fraction is part of a larger one with its seed.

        Each pool is drawn by lot, alone. With `by`, the name of a column of the metadata such as `subset`, the nearest
        whole number to `fraction` of each of its values is taken: the data is read once more first, memory grows by a
        group, and a row that is added may move a pool at the border.
        """
        if not 0 < fraction < 1:
            raise UsageError(f"split {fraction}: give what part goes first, between 0 and 1 (0.1 is a tenth)")

        def part(first: bool) -> Iterator[Pool]:
            strata, below = ({}, {}) if by is None else _strata(self._read(), fraction, seed, by)
            for pool in self._read():
                group = _group(pool)
                border = fraction if by is None else below[strata[group]]
                if (draw(group, seed, "split") < border) == first:
                    yield pool

        return Dataset(lambda: part(True), name=self.name), Dataset(lambda: part(False), name=self.name)


def load(
    source: Source,
    *,
    format: str | None = None,  # noqa: A002  # what it is called everywhere else
    split: str | None = None,
    config: str | None = None,
    on_bad: OnBad | None = None,
    **options: Any,
) -> Dataset:
    """A data set as pools: of a file, a folder, a data set of the hub, or rows in memory.

    Without `format` (`bon list converters`; or "pools", "prompts") it is told by the columns of the first row. Prompts
    become pools without candidates. `split` and `config` choose in a data set of the hub, `options` are the format's.
    A row that cannot be used is handed to `on_bad`, once however often the data set is read, and the next ones go on.

    Raises UsageError for a source that is not there, a format that is unknown or makes no pools, and for stdin, which
    cannot be read again; DataError, while reading, for a row that cannot be used where there is no `on_bad`.
    """
    name = _name(source)
    if name == "-" or (not isinstance(source, str | os.PathLike) and iter(source) is source):
        what = "stdin cannot be: give the path of a file" if name == "-" else "an iterator cannot be: give a list"
        raise UsageError(f"a data set is read more than once, which {what}")
    if format is not None and format not in _OURS:
        chosen(format, options)
    told = None if on_bad is None else _Once(on_bad)
    found = format or format_of(source, split=split, config=config)
    if found in _OURS and options:
        raise UsageError(f"{found} have no options, and {', '.join(options)} was given")
    if found not in _OURS and chosen(found, options).makes == "verdicts":
        raise UsageError(f"{found} are no data to judge but verdicts: bon convert {found}, then --scorer recorded:FILE")
    rows = partial(_pools, source, found, split=split, config=config, on_bad=told, **options)
    return Dataset(rows, name=name)


def format_of(source: Source, *, split: str | None = None, config: str | None = None) -> str:
    """The format of a source, by the columns of the first row that can be read.

    Raises DataError where they are those of no known format, or there are no rows.
    """
    first = next(rows_of(source, split=split, config=config, on_bad=_ignored), None)
    if first is None:
        raise DataError(f"{_name(source)}: there is no row that can be read: is this the right file?")
    if "candidates" in first.value and not {"prompt", "messages"}.isdisjoint(first.value):
        return "pools"
    found = detect(first.value) or ("prompts" if "prompt" in first.value else None)
    if found is None:
        raise DataError(f"{first.where}:{first.number}: {lacking(first.value)}. Name it with format=")
    return found


def _pools(
    source: Source, format_: str, *, split: str | None, config: str | None, on_bad: OnBad | None, **options: Any
) -> Iterator[Pool]:
    """The pools of a source whose format is known."""
    if format_ == "pools" and isinstance(source, str | os.PathLike) and Path(source).is_file():
        with PoolFile(source, on_bad=on_bad, longest=LONGEST) as file:  # where the last line of an id wins
            yield from file.values()
        return
    if format_ in _OURS:
        parse: Callable[[bytes], Pool | Prompt] = parse_pool if format_ == "pools" else parse_prompt
        rows = rows_of(source, split=split, config=config, on_bad=on_bad)
        found: Iterator[Any] = each(rows, lambda row: [parse(encode(row.value))], on_bad)
    else:
        found = converted(format_, source, split=split, config=config, on_bad=on_bad, **options)
    for one in found:
        yield one if isinstance(one, Pool) else Pool(prompt=one)


def _shuffled(pools: Iterator[Pool], seed: int) -> Iterator[Pool]:
    """All pools, by what is drawn for them; those of one group by their ids too."""
    places: list[tuple[float, float, int]] = []
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
        for pool in pools:
            places.append((draw(_group(pool), seed, "shuffle"), draw(pool.prompt.id, seed, "within"), file.tell()))
            file.write(dump_pool(pool) + b"\n")
        for _, _, offset in sorted(places):
            file.seek(offset)
            yield parse_pool(file.readline())


def _strata(
    pools: Iterator[Pool], fraction: float, seed: int, by: str
) -> tuple[Mapping[str, str], Mapping[str, float]]:
    """To which stratum each group belongs (that of its first pool), and below which draw its first part lies."""
    of: dict[str, str] = {}
    for pool in pools:
        if by not in pool.prompt.metadata:
            there = ", ".join(pool.prompt.metadata) or "nothing"
            raise UsageError(f"{pool.prompt.id!r} has no {by!r} to split by; its metadata holds {there}")
        of.setdefault(_group(pool), str(pool.prompt.metadata[by]))
    return of, thresholds(((stratum, draw(group, seed, "split")) for group, stratum in of.items()), fraction)


def _group(pool: Pool) -> str:
    """What is never parted from what has the same."""
    return str(pool.prompt.metadata.get("group", pool.prompt.id))


def _name(source: Source) -> str:
    return os.fspath(source) if isinstance(source, str | os.PathLike) else "the rows given"


def _ignored(line: BadLine) -> None:
    """It is told of when the rows are read in earnest."""


class _Once:
    """An `on_bad` that hands each bad line over once, however often it is met."""

    def __init__(self, on_bad: OnBad) -> None:
        self._on_bad = on_bad
        self._met: set[int] = set()
        """Hashes of 64 bits: a file may be bad from its first line to its millionth."""

    def __call__(self, line: BadLine) -> None:
        if hash(line) not in self._met:
            self._met.add(hash(line))
            self._on_bad(line)
