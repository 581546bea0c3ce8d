"""The lines of a file, whatever bytes it holds: one at a time, numbered, and none held that is too long."""

from __future__ import annotations

import gzip
import os
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeAlias, TypeVar, cast

from bon.errors import DataError, UsageError
from bon.store.diagnosis import BadLine, OnBad, bad, diagnosed

__all__ = [
    "BOM",
    "LONGEST",
    "Line",
    "PathLike",
    "bad_line",
    "copied",
    "decode_line",
    "decoded",
    "lines_of",
    "reading",
    "refuse",
    "rereadable",
]

T = TypeVar("T")
PathLike: TypeAlias = str | os.PathLike[str]

BOM = b"\xef\xbb\xbf"
"""What some editors put before the first byte of UTF-8, and joining such files leaves in the middle."""
LONGEST = 64 << 20
"""Bytes of a line that people write; what is longer is an accident."""

_BLOCK = 1 << 16
_KEPT = 1 << 12
"""Bytes kept of a line that is too long."""
_DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile)


class Line(NamedTuple):
    """One line that is not blank."""

    number: int
    """From 1, blank lines counted."""
    offset: int
    """Where it begins, in bytes."""
    data: bytes
    """Without byte-order mark and line ending."""
    ended: bool
    """Whether a newline follows: without one, whoever writes the file may not be done with it."""
    size: int | None = None
    """The bytes of a line that is too long, of which `data` is the beginning; None for all others."""


@contextmanager
def reading(path: PathLike) -> Iterator[IO[bytes]]:
    """Open a file for reading: `-` is stdin, `.gz` is decompressed.

    Raises UsageError where it cannot be opened, DataError where compressed data turns out to be damaged.
    """
    name = os.fspath(path)
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        raw = Path(name).open("rb")  # noqa: SIM115  # closed below; errors of its readers are not ours to catch here
    except OSError as error:
        raise UsageError(f"cannot read {name!r}: {error.strerror}; give the path of an existing file") from error
    with raw:
        try:
            yield cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if name.endswith(".gz") else raw
        except _DAMAGE as error:
            raise DataError(f"{name}: {_damage(error)}") from error


def lines_of(file: IO[bytes], *, longest: int | None = None) -> Iterator[Line]:
    """The lines of an open file that are not blank; LF and CRLF end a line, nothing else does.

    A line of more than `longest` bytes is passed over in blocks: of such a line its beginning and its size are told.
    """
    offset = number = 0
    while raw := file.readline(-1 if longest is None else longest + 1):
        number += 1
        size, ended = len(raw), raw.endswith(b"\n")
        too_long = longest is not None and size > longest and not ended
        if too_long:
            raw = raw[:_KEPT]
            while not ended and (block := file.readline(_BLOCK)):
                size, ended = size + len(block), block.endswith(b"\n")
        data = raw.removeprefix(BOM).strip()
        if data or too_long:
            yield Line(number, offset, data, ended, size - ended if too_long else None)
        offset += size


def decoded(
    path: PathLike,
    lines: Iterable[Line],
    decode: Callable[[bytes], T],
    *,
    on_bad: OnBad | None = None,
    tolerate_truncated_tail: bool = False,
) -> Iterator[tuple[Line, T]]:
    """Lines with what they hold; one that cannot be decoded is handed to `on_bad`, and the next ones go on.

    With `tolerate_truncated_tail` a last line that has no newline and cannot be decoded is passed over: its writer was
    stopped in the middle of it. Compressed data that turns out to be damaged is handed to `on_bad` as the line that
    could not be read, behind those that could.

    Raises DataError, with `path:line`, for the first bad line where there is no `on_bad`.
    """
    number = 0
    try:
        for line in lines:
            number = line.number
            if line.size is not None:
                refuse(path, _too_long(line), on_bad)
                continue
            try:
                value = decode(line.data)
            except (ValueError, RecursionError) as error:
                if line.ended or not tolerate_truncated_tail:
                    refuse(path, diagnosed(number, line.data, error, ended=line.ended), on_bad, error)
            else:
                yield line, value
    except _DAMAGE as error:
        if on_bad is None or not number:
            raise
        on_bad(BadLine(line=number + 1, error="damaged", message=_damage(error)))


def refuse(path: PathLike, line: BadLine, on_bad: OnBad | None, cause: BaseException | None = None) -> None:
    """Hand a bad line over, or raise it as a DataError."""
    if on_bad is None:
        raise bad_line(path, line.line, line.message) from cause
    on_bad(line)


def decode_line(path: PathLike, line: Line, decode: Callable[[bytes], T]) -> T:
    """Decode one line. Whatever is wrong with it becomes a DataError that begins with `path:line`."""
    ((_, value),) = decoded(path, [line], decode)
    return value


def bad_line(path: PathLike, number: int, what: str) -> DataError:
    """The error of a line: where, what, and what to do."""
    name = os.fspath(path)
    return DataError(f"{'<stdin>' if name == '-' else name}:{number}: {what}")


@contextmanager
def rereadable(path: PathLike) -> Iterator[Path]:
    """A file that can be read twice: the path itself, or a temporary copy of what comes from stdin or a pipe."""
    if Path(path).is_file():
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="bon-") as folder, reading(path) as stream:
        copy = Path(folder) / f"input{'.txt' if '.txt' in Path(path).suffixes else ''}"
        with copy.open("wb") as file:
            for block in _blocks(stream):
                file.write(block)
        yield copy


def copied(stream: IO[bytes], to: IO[bytes], *, longest: int | None = None) -> Iterator[Line]:
    """The lines of a stream, from a copy of it that is made first; they end as the stream does, with an error too."""
    damage: BaseException | None = None
    try:
        for block in _blocks(stream):
            to.write(block)
    except _DAMAGE as error:
        damage = error
    to.seek(0)
    for line in lines_of(to, longest=longest):
        if line.ended or damage is None:
            yield line
    if damage is not None:
        raise damage


def _too_long(line: Line) -> BadLine:
    what = f"too long: {line.size:,} bytes in one line; is this a file of JSON Lines? Shorten or remove this line"
    return bad(line.number, line.data, "too_long", what)


def _damage(error: BaseException) -> str:
    return f"the compressed data is damaged or cut short ({error}); fetch the file again"


def _blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """What a stream holds; when it breaks, all that came before has been yielded."""
    read1: Callable[[int], bytes] = cast("Any", stream).read1
    while block := read1(_BLOCK):
        yield block
