"""Opens a SQLite file of ours, makes it in WAL mode with its schema, or sets it aside; never one of somebody else's."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

from bon.errors import StoreError
from bon.store.pathlock import PathLock
from bon.store.sqlite_errors import Damaged, translated

__all__ = ["open_file", "set_aside"]

_Run: TypeAlias = Callable[[str], sqlite3.Cursor]

_OURS = 0x626F6E31
"""SQLite's "application id" of files that we made."""
_PAGE = 4096
_LOG_PAGES = range(16, 1000)
"""Pages after which the log of an exclusive file is written back: an eighth of the room on the disk, within this."""
_LONGEST_LOG = 1 << 23
"""Bytes: a write-ahead log that has grown beyond this is cut when it has been carried over."""


def open_file(
    path: Path, *, schema: str, version: int, exclusive: bool, wait: float
) -> tuple[sqlite3.Connection, PathLock | None]:
    """A connection to the file, which is made with `schema` where there is none; `wait`: seconds for another process.

    With an `exclusive` file comes the lock of its path, to be released when the connection is closed.

    Raises what `sqlite_errors.translated` makes of errors, `Damaged` for a file of another program, and `StoreError`
    for another version of the schema.
    """
    _refuse_unwritable(path.parent, path)
    with ExitStack() as undo:
        try:
            lock = PathLock(path) if exclusive else None
            if lock is not None:
                undo.callback(lock.release)
            if path.exists():
                _refuse_unwritable(path, path)
            connection = sqlite3.connect(path, timeout=wait, isolation_level=None, check_same_thread=False)
            undo.callback(connection.close)
            _prepare(connection.execute, path, schema, version, exclusive=exclusive)
        except (sqlite3.Error, OSError) as error:
            raise translated(error, path) from error
        undo.pop_all()
    return connection, lock


def set_aside(path: Path) -> Path:
    """Rename a file, its log first: a log without its file is ignored, the other way round it would be believed."""
    aside = path.with_name(f"{path.name}.damaged")
    for suffix in ("-wal", "-shm", ""):
        try:
            Path(f"{path}{suffix}").replace(f"{aside}{suffix}")
        except FileNotFoundError:
            Path(f"{aside}{suffix}").unlink(missing_ok=True)  # of an earlier one
    return aside


def _refuse_unwritable(place: Path, path: Path) -> None:
    if not os.access(place, os.W_OK):
        raise StoreError(f"{path}: {str(place)!r} is not there, or may not be written: check it")


def _prepare(run: _Run, path: Path, schema: str, version: int, *, exclusive: bool) -> None:
    if exclusive:
        run("PRAGMA locking_mode = EXCLUSIVE")
    run("BEGIN")  # so that what is read of a file is of one moment: another process may be making it
    found = _version(run, path, version)
    run("COMMIT")
    if found == 0 and not exclusive:  # those are short-lived: nobody gives back their room, which costs a page a group
        run("PRAGMA auto_vacuum = INCREMENTAL")  # has to come before the first table, and before the log
    run("PRAGMA journal_mode = WAL")
    run("PRAGMA synchronous = NORMAL")
    run(f"PRAGMA journal_size_limit = {_LONGEST_LOG}")
    if exclusive:
        room = shutil.disk_usage(path.parent).free // _PAGE // 8
        run(f"PRAGMA wal_autocheckpoint = {min(max(room, _LOG_PAGES.start), _LOG_PAGES.stop)}")
    if found and not exclusive:
        return
    run("BEGIN IMMEDIATE")
    if _version(run, path, version) == 0:  # nobody else was faster
        run(f"PRAGMA application_id = {_OURS}")
        run(f"PRAGMA user_version = {version}")
        for statement in filter(str.strip, schema.split(";")):
            run(statement)
    run("COMMIT")


def _version(run: _Run, path: Path, wanted: int) -> int:
    """The schema's version; 0 for an empty file. Raises StoreError for another, and for a file of others."""
    (owner,), (found,) = run("PRAGMA application_id").fetchone(), run("PRAGMA user_version").fetchone()
    if owner != _OURS and (owner or found or run("SELECT 1 FROM sqlite_master").fetchone()):
        raise Damaged(f"{path}: it is a database, but not one of bon's: move it away")
    if found not in (0, wanted):
        raise StoreError(
            f"{path}: made by another version of bon (schema {found}, not {wanted}): go on with that version, "
            "or remove the file"
        )
    return int(found)
