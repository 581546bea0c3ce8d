"""One SQLite file whose rows are written in groups: the ground of the journal and of the response cache."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from bon.errors import StoreError, UsageError
from bon.store.sqlite_errors import Busy, translated
from bon.store.sqlite_files import open_file

__all__ = ["Database"]

T = TypeVar("T")

_REFUSALS = (sqlite3.Error, OSError)
_TURN = 0.005
"""Seconds that one attempt waits for another process: an event loop stands still for no longer."""
_PAUSE = 0.02
"""Seconds between two attempts."""
_PATIENCE = 30.0
"""Seconds of attempts."""
_BATCH = 256
"""Rows that `each` reads at a time."""


class Database:
    """A SQLite file in WAL mode: killing us at any moment loses no group that was written, and damages nothing.

    `write` puts a row into the current group; a group is committed once in a round of the event loop (or by `flush`),
    since a commit of its own costs a row twice as much. `await written()` returns when all that was put before is
    committed. An `exclusive` file belongs to one process; others may be shared: while another process writes, a group
    waits, and the event loop does not; after `patience` seconds the other process is taken to have stopped with the
    file in its hands. `linger` is how many seconds a group waits for more rows, unless somebody waits for it: where a
    row may be lost with the process, that makes it cheaper. `version` (from 1) is of the schema.

    May be used from several threads and event loops. A forked child must open the file anew.

    Raises `UsageError` for an exclusive file that is in use, and `StoreError` for a full disk, a file that may not be
    written, one that is no such database (`Damaged`), and one that another process would not let go of (`Busy`).
    """

    def __init__(
        self,
        path: Path,
        *,
        schema: str,
        version: int,
        exclusive: bool = False,
        patience: float = _PATIENCE,
        linger: float = 0.0,
    ) -> None:
        self.path = path
        self._patience, self._linger = patience, linger
        self._exclusive = exclusive
        self._rows: list[tuple[str, Sequence[Any]]] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._scheduled: asyncio.AbstractEventLoop | None = None
        self._busy_since: float | None = None
        self._failed: StoreError | None = None
        self._lock = threading.RLock()
        self._process = os.getpid()
        self.before_commit: Callable[[], None] | None = None
        """Called before a group is committed, to add what goes with it; again for a group that had to wait."""
        self.after_commit: Callable[[], None] | None = None
        self.on_failure: Callable[[StoreError], None] | None = None
        """Told once, when something keeps rows from being written: from then on nothing is."""
        wait = 0.0 if exclusive else _TURN
        self._connection = self._patiently(
            lambda: open_file(path, schema=schema, version=version, exclusive=exclusive, wait=wait)
        )

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query, those not yet committed left out. Raises `Busy` where it would have to wait."""
        with self._lock:
            self._refuse_children()
            try:
                return self._connection.execute(sql, values).fetchall()
            except _REFUSALS as error:
                raise self._ours(error) from error

    def each(self, sql: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query one at a time; nothing may be written meanwhile."""
        cursor = None
        while True:
            with self._lock:
                self._refuse_children()
                try:
                    cursor = cursor or self._connection.execute(sql, values)
                    rows = cursor.fetchmany(_BATCH)
                except _REFUSALS as error:
                    raise self._ours(error) from error
            if not rows:
                return
            yield from rows

    def write(self, sql: str, values: Sequence[Any]) -> None:
        """Put a statement into the current group. On an event loop it is committed in the loop's next round."""
        with self._lock:
            self._refuse()
            self._rows.append((sql, values))
        self.schedule()

    def schedule(self) -> None:
        """Have the current group committed in the event loop's next round, even if it holds no row yet."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # nobody waits: `flush` or `close` will commit
        if self._scheduled is not loop:
            self._scheduled = loop  # of another loop the round may never come: it may be closed, or stand still
            if self._linger:
                loop.call_later(self._linger, self._round)
            else:
                loop.call_soon(self._round)

    async def written(self) -> None:
        """Wait until everything put so far is committed. Raises what kept it from being so."""
        with self._lock:
            self._refuse()
            if not self._rows:
                return
            self._scheduled = loop = asyncio.get_running_loop()
            future = loop.create_future()
            self._waiting.append(future)
        loop.call_soon(self._round)
        await future

    def flush(self) -> None:
        """Commit the current group now. What keeps it from being committed ends the use of this file."""
        try:
            self._patiently(self._attempt)
        except Busy as error:
            self._end(error)
            raise

    def close(self, *, remove: bool = False) -> None:
        """Commit what is left and close; with `remove` the file goes too. Closing twice is fine."""
        if self._process != os.getpid():
            return  # it is the parent's
        try:
            if self._failed is None and not remove:
                self.flush()
        finally:
            with self._lock:
                self.on_failure = None
                self._end(StoreError(f"{self.path} is closed"))
                self._connection.close()
                if remove:
                    for suffix in ("", "-wal", "-shm"):
                        Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    def _round(self) -> None:
        """The event loop's turn: commit, or come back later where another process is at it."""
        try:
            self._attempt()  # what `before_commit` writes meanwhile needs no round of its own
        except Busy as error:
            now = time.monotonic()  # the other process knows nothing of this loop's time
            self._busy_since = self._busy_since or now
            if now - self._busy_since <= self._patience:
                asyncio.get_running_loop().call_later(_PAUSE, self._round)
                return
            self._end(error)
        except StoreError:
            pass  # who waits has been told, and who writes next will be
        self._scheduled = None

    def _attempt(self) -> None:
        """Commit the current group. Where it has to wait it stays the current one; what else goes wrong is the end."""
        with self._lock:
            self._refuse()
            try:
                if self.before_commit is not None:
                    self.before_commit()
                if self._rows:
                    self._commit(self._rows)
            except Busy:
                raise
            except StoreError as error:
                self._end(error)
                raise
            except Exception as error:
                failure = StoreError(f"{self.path}: a row cannot be kept: {type(error).__name__}: {error}")
                self._end(failure)
                raise failure from error
            self._rows, self._busy_since = [], None
            self._tell(None)
            if self.after_commit is not None:
                self.after_commit()

    def _patiently(self, step: Callable[[], T]) -> T:
        """Take a step, again and again while another process is at the file. Raises Busy when patience ends."""
        until = time.monotonic() + self._patience
        while True:
            try:
                return step()
            except Busy:
                if time.monotonic() > until:
                    raise
            time.sleep(_PAUSE)

    def _commit(self, rows: Sequence[tuple[str, Sequence[Any]]]) -> None:
        run = self._connection.execute
        try:
            run("BEGIN IMMEDIATE")
            for sql, values in rows:
                run(sql, values)
            run("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.Error):  # the first error is the one to tell of
                if self._connection.in_transaction:
                    run("ROLLBACK")
            if isinstance(error, _REFUSALS):
                raise self._ours(error) from error
            raise

    def _end(self, error: StoreError) -> None:
        """Nothing is written from now on, and this is why."""
        with self._lock:
            first, self._failed = self._failed is None, self._failed or error
            self._rows = []
            self._tell(self._failed)
        if first and self.on_failure is not None:
            self.on_failure(error)

    def _tell(self, error: StoreError | None) -> None:
        """Tell those who wait how it went, each in a loop of its own."""
        waiting, self._waiting = self._waiting, []
        here = _running_loop() if waiting else None
        for future in waiting:
            loop = future.get_loop()
            if loop is here:
                _settle(future, error)
            else:
                with suppress(RuntimeError):  # that loop is closed: nobody waits
                    loop.call_soon_threadsafe(_settle, future, error)

    def _ours(self, error: sqlite3.Error | OSError) -> StoreError | UsageError:
        return translated(error, self.path, exclusive=self._exclusive)

    def _refuse(self) -> None:
        self._refuse_children()
        if self._failed is not None:
            raise self._failed

    def _refuse_children(self) -> None:
        """SQLite's locks are not inherited: a child that used the connection would damage the file."""
        if self._process != os.getpid():
            raise StoreError(f"{self.path} was opened before this process was forked off: open it anew in the child")


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _settle(future: asyncio.Future[None], error: StoreError | None) -> None:
    if future.done():
        return  # nobody waits any more
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
