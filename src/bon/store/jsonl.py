"""JSON Lines on disk: read as a stream, appended a line at a time, rewritten atomically; knows no nouns of bon."""

from __future__ import annotations

import gzip
import os
import secrets
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeAlias, TypeVar, cast

import msgspec

from bon.errors import DataError, UsageError

__all__ = [
    "BOM",
    "Line",
    "PathLike",
    "append",
    "decode_line",
    "lines_of",
    "read_jsonl",
    "read_rows",
    "reading",
    "write_atomic",
]

T = TypeVar("T")
PathLike: TypeAlias = str | os.PathLike[str]

BOM = b"\xef\xbb\xbf"
"""What some editors put before the first byte of UTF-8."""
_BLOCK = 1 << 16


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
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(
                f"{name}: the compressed data is damaged or cut short ({error}); fetch the file again"
            ) from error


def lines_of(file: IO[bytes]) -> Iterator[Line]:
    """The lines of an open file that are not blank; LF and CRLF end a line, nothing else does."""
    offset = 0
    for number, raw in enumerate(file, 1):
        data = (raw.removeprefix(BOM) if number == 1 else raw).strip()
        if data:
            yield Line(number, offset, data, raw.endswith(b"\n"))
        offset += len(raw)


def decode_line(path: PathLike, line: Line, decode: Callable[[bytes], T]) -> T:
    """Decode one line. Whatever is wrong with it becomes a DataError that begins with `path:line`."""
    try:
        return decode(line.data)
    except (ValueError, RecursionError) as error:
        raise bad_line(path, line.number, _what(error)) from error


def bad_line(path: PathLike, number: int, what: str) -> DataError:
    """The error of a line: where, what, and what to do."""
    name = os.fspath(path)
    return DataError(f"{'<stdin>' if name == '-' else name}:{number}: {what}")


def read_rows(
    path: PathLike, decode: Callable[[bytes], T], *, tolerate_truncated_tail: bool = False
) -> Iterator[tuple[int, T]]:
    """Read a file line by line: line number, decoded row; blank lines are skipped, memory holds one line.

    With `tolerate_truncated_tail` a last line that has no newline and cannot be decoded is passed over: its writer was
    stopped in the middle of it. Raises DataError for any other line that `decode` refuses, with `path:line`.
    """
    with reading(path) as file:
        for line in lines_of(file):
            try:
                row = decode_line(path, line, decode)
            except DataError:
                if line.ended or not tolerate_truncated_tail:
                    raise
            else:
                yield line.number, row


def read_jsonl(path: PathLike, *, tolerate_truncated_tail: bool = False) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read a JSON Lines file: line number, object. See `read_rows`."""
    return read_rows(path, _object, tolerate_truncated_tail=tolerate_truncated_tail)


def append(path: PathLike, line: bytes) -> None:
    """Append one line in one write, handed to the operating system before this returns: killing us cannot lose it.

    A torn last line, left by a writer that was killed, is cut off first; a whole one that only lacks its newline gets
    it. A write that fails (a full disk) is taken back before its OSError is raised, so the file holds whole lines only.
    """
    if b"\n" in line:
        raise ValueError(f"a line holds no newline, but {line[:80]!r} does: append its parts one by one")
    if os.fspath(path).endswith(".gz"):
        raise UsageError(f"cannot append to the compressed file {os.fspath(path)!r}: choose a name without .gz")
    with Path(path).open("a+b", buffering=0) as file:
        end = _mended(file)
        try:
            rest = memoryview(line + b"\n")
            while rest:
                rest = rest[file.write(rest) :]
        except BaseException:
            file.truncate(end)
            raise


def write_atomic(path: PathLike, lines: Iterable[bytes]) -> None:
    """Write lines to a file, all or nothing: readers see the old file or the new one, also after a power cut.

    The new file is made beside the old one, keeps its permissions, and replaces it at the end; whatever goes wrong
    leaves the old file as it was and nothing beside it. A symbolic link stays one: what it points to is replaced.
    A name that ends in `.gz` is compressed, equal lines to equal bytes. What is no regular file (`/dev/stdout`, a
    pipe) is written to as it is.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir() or not target.parent.is_dir():
        reason = "it is a folder" if target.is_dir() else f"there is no folder {str(target.parent)!r}; create it first"
        raise UsageError(f"cannot write {os.fspath(path)!r}: {reason}")
    if target.exists() and not target.is_file():
        with target.open("wb") as special:
            special.writelines(line + b"\n" for line in lines)
        return
    beside = target.with_name(f".bon-{secrets.token_hex(8)}.tmp")
    try:
        with beside.open("xb") as file:
            _write_lines(file, lines, compress=target.name.endswith(".gz"))
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            beside.chmod(target.stat().st_mode & 0o7777)
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _object(data: bytes) -> dict[str, Any]:
    return msgspec.json.decode(data, type=dict[str, Any])


def _write_lines(file: IO[bytes], lines: Iterable[bytes], *, compress: bool) -> None:
    if not compress:
        file.writelines(line + b"\n" for line in lines)
        return
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
        for line in lines:
            packed.write(line + b"\n")


def _mended(file: IO[bytes]) -> int:
    """Make an open file end with a newline, or be empty; its size in bytes after that."""
    end = file.seek(0, os.SEEK_END)
    start, tail = end, b""
    while start and b"\n" not in tail:
        start = max(0, start - _BLOCK)
        file.seek(start)
        tail = file.read(end - start - len(tail)) + tail
        if tail.endswith(b"\n"):
            return end
    tail = tail[tail.rfind(b"\n") + 1 :]
    if not tail:
        return end
    try:
        _object(tail.removeprefix(BOM))
    except (ValueError, RecursionError):
        file.truncate(end - len(tail))
        return end - len(tail)
    file.write(b"\n")
    return end + 1


def _sync_folder(folder: Path) -> None:
    """Make a rename durable, on systems where a folder can be opened."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _what(error: BaseException) -> str:
    if isinstance(error, msgspec.ValidationError):
        text, _, where = str(error).partition(" - at ")
        where = where.strip("`").removeprefix("$").removeprefix(".")
        return f"field {where!r}: {_lowered(text)}" if where else f"{_lowered(text)}; each line holds one JSON object"
    if isinstance(error, msgspec.DecodeError):
        return f"not valid JSON ({_lowered(str(error))}); correct or remove this line (one JSON object a line)"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 text ({error.reason}); save the file as UTF-8"
    if isinstance(error, RecursionError):
        return "JSON nested too deeply; correct or remove this line"
    return str(error)


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]
