"""One SQLite file whose rows are written in groups: the ground of the journal and of the response cache."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from bon.errors import StoreError, UsageError
from bon.store.pathlock import PathLock
from bon.store.sqlite_errors import Busy, translated
from bon.store.sqlite_files import open_file
from bon.store.waiters import Waiters

__all__ = ["Database"]

T = TypeVar("T")

_REFUSALS = (sqlite3.Error, OSError)
_TURN = 0.005
"""Seconds that one attempt waits for another process: an event loop stands still for no longer."""
_PAUSE = 0.02
"""Seconds between two attempts, on average: two that met do not meet again."""
_PATIENCE = 30.0
"""Seconds of attempts."""
_MOMENT = 0.25
"""Seconds of attempts to open an exclusive file: who has it for longer than that is using it."""
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

    May be used from several threads and event loops. `after_commit` and `on_failure` are called without a lock, and
    may use it too. A forked child must open the file anew.

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
        self._rows: list[tuple[str, Sequence[Any]]] = []
        self._waiting = Waiters()
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

        def attempt() -> tuple[sqlite3.Connection, PathLock | None]:
            return open_file(path, schema=schema, version=version, exclusive=exclusive, wait=0 if exclusive else _TURN)

        try:
            self._connection, self._held = _patiently(attempt, _MOMENT if exclusive else patience)
        except Busy as error:
            if not exclusive:
                raise
            message = f"{path} is in use: wait until that run is done, or choose another output (-o)"
            raise UsageError(message) from error

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
            future = self._waiting.add(loop)
        loop.call_soon(self._round)
        await future

    def flush(self) -> None:
        """Commit the current group now. What keeps it from being committed ends the use of this file.

        It waits where it is called: while another process writes to a shared file an event loop may stand still for
        as long as `patience`. `written` waits without that.
        """
        try:
            _patiently(self._attempt, self._patience)
        except Busy as error:
            self._end(error)
            raise

    def close(self, *, remove: bool = False) -> None:
        """Commit what is left and close; with `remove` an exclusive file goes too. Closing twice is fine."""
        if self._process != os.getpid():
            return  # it is the parent's
        if remove and self._held is None:
            raise UsageError(f"{self.path} is shared: it cannot be removed while others may have it open")
        try:
            if self._failed is None and not remove:
                self.flush()
        finally:
            with self._lock:
                self.on_failure = None
                self._end(StoreError(f"{self.path} is closed"))
                self._let_go(remove=remove)

    def _let_go(self, *, remove: bool) -> None:
        try:
            self._connection.close()
            if remove and self._held is not None and self._held.holds:
                for suffix in ("", "-wal", "-shm"):  # a log without its file is ignored, the other way round it matters
                    Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        except _REFUSALS as error:
            raise self._ours(error) from error
        finally:
            if self._held is not None:
                self._held.release()

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
        failure: StoreError | None = None
        with self._lock:
            self._refuse()
            try:
                if self.before_commit is not None:
                    self.before_commit()
                if self._rows:
                    self._commit()
            except Busy:
                raise
            except Exception as error:  # noqa: BLE001  # raised below
                failure = _as_ours(error, self.path)
                self._fail(failure)
            else:
                self._busy_since = None
                self._waiting.tell(None)
        if failure is not None:
            if self.on_failure is not None:
                self.on_failure(failure)
            raise failure
        if self.after_commit is not None:
            self.after_commit()

    def _commit(self) -> None:
        """Commit the rows of the group, which is then empty; an interrupt at any moment leaves it whole, or empty."""
        run, rows = self._connection.execute, self._rows
        try:
            if self._connection.in_transaction:
                run("ROLLBACK")  # a second interrupt came before it
            run("BEGIN IMMEDIATE")
            for sql, values in rows:
                run(sql, values)
            self._rows = []
            run("COMMIT")
        except BaseException as error:
            if self._connection.in_transaction:
                self._rows = rows
                with suppress(sqlite3.Error):  # the first error is the one to tell of
                    run("ROLLBACK")
            if isinstance(error, _REFUSALS):
                raise self._ours(error) from error
            raise

    def _end(self, error: StoreError) -> None:
        """Nothing is written from now on, and this is why."""
        with self._lock:
            first = self._failed is None
            self._fail(self._failed or error)
        if first and self.on_failure is not None:
            self.on_failure(error)

    def _fail(self, error: StoreError) -> None:
        self._failed, self._rows = error, []
        self._waiting.tell(error)

    def _ours(self, error: sqlite3.Error | OSError) -> StoreError:
        return translated(error, self.path)

    def _refuse(self) -> None:
        self._refuse_children()
        if self._failed is not None:
            raise self._failed

    def _refuse_children(self) -> None:
        """SQLite's locks are not inherited: a child that used the connection would damage the file."""
        if self._process != os.getpid():
            raise StoreError(f"{self.path} was opened before this process was forked off: open it anew in the child")


def _patiently(step: Callable[[], T], patience: float) -> T:
    """Take a step, again and again while another process is at the file. Raises Busy when patience ends."""
    until = time.monotonic() + patience
    while True:
        try:
            return step()
        except Busy:
            if time.monotonic() > until:
                raise
        time.sleep(random.uniform(0, 2 * _PAUSE))  # noqa: S311  # no secret


def _as_ours(error: Exception, path: Path) -> StoreError:
    """The error of a group that cannot be committed."""
    if isinstance(error, StoreError):
        return error
    failure = StoreError(f"{path}: a row cannot be kept: {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure
