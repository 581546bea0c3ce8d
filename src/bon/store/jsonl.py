"""JSON Lines on disk: read as a stream of rows, rewritten atomically; knows no nouns of bon."""

from __future__ import annotations

import gzip
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from bon.errors import StoreError, UsageError
from bon.store.lines import PathLike, decoded, lines_of, reading

__all__ = ["read_jsonl", "read_rows", "write_atomic"]

T = TypeVar("T")


def read_rows(
    path: PathLike, decode: Callable[[bytes], T], *, tolerate_truncated_tail: bool = False
) -> Iterator[tuple[int, T]]:
    """Read a file line by line: line number, decoded row; blank lines are skipped, memory holds one line.

    With `tolerate_truncated_tail` a last line that has no newline and cannot be decoded is passed over: its writer was
    stopped in the middle of it. Raises DataError for any other line that `decode` refuses, with `path:line`.
    """
    with reading(path) as file:
        for line, row in decoded(path, lines_of(file), decode, tolerate_truncated_tail=tolerate_truncated_tail):
            yield line.number, row


def read_jsonl(path: PathLike, *, tolerate_truncated_tail: bool = False) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read a JSON Lines file: line number, object. See `read_rows`."""
    return read_rows(path, _object, tolerate_truncated_tail=tolerate_truncated_tail)


def write_atomic(path: PathLike, lines: Iterable[bytes]) -> None:
    """Write lines to a file, all or nothing: readers see the old file or the new one, also after a power cut.

    The new file is made beside the old one, keeps its permissions, and replaces it at the end; whatever goes wrong
    leaves the old file as it was and nothing beside it. A symbolic link stays one: what it points to is replaced.
    A name that ends in `.gz` is compressed, equal lines to equal bytes. What is no regular file (`/dev/stdout`, a
    pipe) is written to as it is. Raises `StoreError` where the disk refuses.
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
    except BaseException as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            what = f"{os.fspath(path)}: {error.strerror or error}; it is as it was: make room, or mend its permissions"
            raise StoreError(f"{what}, and run the same command again") from error
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


def _sync_folder(folder: Path) -> None:
    """Make a rename durable, on systems where a folder can be opened."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
