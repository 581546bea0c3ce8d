"""One SQLite file whose rows are written in groups: the ground of the journal and of the response cache."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bon.errors import StoreError, UsageError

__all__ = ["Database"]

_BUSY = 5.0
"""Seconds that a group waits for another process to be done with its own."""


class Database:
    """A SQLite file in WAL mode: killing us at any moment loses no group that was written, and damages nothing.

    `write` puts a row into the current group; a group is committed once in a round of the event loop (or by `flush`),
    since a commit of its own costs a row thrice as much. `await written()` returns when all that was put before is
    committed. An `exclusive` file belongs to one process; others may be shared. `version` (from 1) is of the schema.

    Raises `UsageError` for an exclusive file that another process has, and `StoreError` for a full disk, a file that
    may not be written, or one that is no such database.
    """

    def __init__(self, path: Path, *, schema: str, version: int, exclusive: bool = False) -> None:
        self.path = path
        self._exclusive = exclusive
        self._rows: list[tuple[str, Sequence[Any]]] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._scheduled = False
        self._failed: StoreError | None = None
        self._lock = threading.RLock()
        self.before_commit: Callable[[], None] | None = None
        """Called before a group is committed, to add what goes with it."""
        with self._telling():
            self._connection = sqlite3.connect(
                path, timeout=0.0 if exclusive else _BUSY, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare(schema, version)
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self, schema: str, version: int) -> None:
        run = self._connection.execute
        if self._exclusive:
            run("PRAGMA locking_mode = EXCLUSIVE")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = NORMAL")
        run("BEGIN IMMEDIATE")
        (found,) = run("PRAGMA user_version").fetchone()
        if found not in (0, version):
            run("ROLLBACK")
            raise StoreError(f"{self.path}: made by another version of bon (schema {found}, not {version}): remove it")
        if found == 0:
            for statement in filter(str.strip, schema.split(";")):
                run(statement)
            run(f"PRAGMA user_version = {version}")
        run("COMMIT")

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query, those not yet committed left out."""
        with self._lock, self._telling():
            return self._connection.execute(sql, values).fetchall()

    def each(self, sql: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query one at a time; nothing may be written meanwhile."""
        with self._lock, self._telling():
            yield from self._connection.execute(sql, values)

    def write(self, sql: str, values: Sequence[Any]) -> None:
        """Put a statement into the current group. On an event loop it is committed in the loop's next round."""
        with self._lock:
            self._refuse()
            self._rows.append((sql, values))
        self.schedule()

    def schedule(self) -> None:
        """Have the current group committed in the event loop's next round, even if it holds no row yet."""
        if not self._scheduled:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                return  # nobody waits: `flush` or `close` will commit
            self._scheduled = True
            loop.call_soon(self._round)

    async def written(self) -> None:
        """Wait until everything put so far is committed. Raises what kept it from being so."""
        self._refuse()
        if self._rows:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future

    def flush(self) -> None:
        """Commit the current group now. What keeps it from being committed ends the use of this file."""
        with self._lock:
            self._refuse()
            if self.before_commit is not None:
                self.before_commit()
            rows, self._rows = self._rows, []
            if not rows:
                return
            try:
                with self._telling():
                    self._commit(rows)
            except StoreError as error:
                self._failed = error
                raise

    def _commit(self, rows: list[tuple[str, Sequence[Any]]]) -> None:
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        try:
            for sql, values in rows:
                run(sql, values)
            run("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                run("ROLLBACK")
            raise

    def _round(self) -> None:
        self._scheduled = False
        waiting, self._waiting = self._waiting, []
        try:
            self.flush()
        except StoreError as error:
            for future in waiting:
                if not future.done():
                    future.set_exception(error)
            return
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def close(self, *, remove: bool = False) -> None:
        """Commit what is left and close; with `remove` the file goes too. Closing twice is fine."""
        with self._lock:
            try:
                if self._failed is None and not remove:
                    self.flush()
            finally:
                self._failed = self._failed or StoreError(f"{self.path} is closed")
                self._connection.close()
                if remove:
                    for suffix in ("", "-wal", "-shm"):
                        Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    def _refuse(self) -> None:
        if self._failed is not None:
            raise self._failed

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """SQLite's errors as ours: what, which, and what to do."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            name = getattr(error, "sqlite_errorname", "") or ""
            if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) and self._exclusive:
                raise UsageError(
                    f"{self.path} is in use by another process: wait until it is done, or choose another output (-o)"
                ) from error
            raise StoreError(f"{self.path}: {_what(name, error)}") from error
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror or error}") from error


def _what(name: str, error: Exception) -> str:
    if name.startswith("SQLITE_FULL"):
        return "the disk is full; what was written so far is whole: make room and run the same command again"
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
        return f"it cannot be written ({error}); check the folder and its permissions"
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return f"it is damaged or no file of bon's ({error}); remove it"
    if name.startswith("SQLITE_IOERR"):
        return (
            f"the disk refused a read or a write ({error}); is there room, or a quota? Then run the same command again"
        )
    return str(error)
