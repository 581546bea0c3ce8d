"""The response cache on disk: JSON by the hash of what was asked, bounded in size; what it holds it does not know."""

from __future__ import annotations

import hashlib
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias

from bon.errors import StoreError
from bon.store.database import Database
from bon.store.sqlite_errors import Busy, Damaged
from bon.store.sqlite_files import set_aside

__all__ = ["DEFAULT_BYTES", "LEAST_BYTES", "Mode", "Responses"]

Mode: TypeAlias = Literal["read", "write", "refresh"]
"""How a cache is used: what it has is used and nothing added; used and added to; made anew and put in its place."""

DEFAULT_BYTES = 1 << 30
LEAST_BYTES = 1 << 20

_SCHEMA = """
    CREATE TABLE responses (
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL UNIQUE,
        used INTEGER NOT NULL,
        digest BLOB NOT NULL,
        value BLOB NOT NULL
    );
    CREATE INDEX by_use ON responses (used)
"""
_VERSION = 1
_FIND = "SELECT used + 0, CAST(digest AS BLOB), CAST(value AS BLOB) FROM responses WHERE key = ?"
"""The casts are for damaged rows: whatever they hold, it comes out as something that can be compared."""
_PUT = """
    INSERT INTO responses (key, used, digest, value) VALUES (?, ?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET used = excluded.used, digest = excluded.digest, value = excluded.value
"""
_TOUCH = "UPDATE responses SET used = ? WHERE key = ?"
_DROP = "DELETE FROM responses WHERE key = ?"
_OLDEST = "SELECT length(value) FROM responses ORDER BY used, id LIMIT 1000"
_EVICT = "DELETE FROM responses WHERE id IN (SELECT id FROM responses ORDER BY used, id LIMIT ?)"
"""Chosen when it is done: what another process has evicted meanwhile cannot be evicted again."""

_FRESH = 3600
"""Seconds: a use is noted when the last one that was noted is older."""
_OVERHEAD = 120
"""Bytes that a row takes beside its value."""
_GIVEN_BACK = 256
"""Pages of a file that has grown too large that are given back at a time."""
_PATIENCE = 10.0
_LINGER = 0.02
"""Seconds; see `Database`. A cache is not worth more."""


class Responses:
    """Values by their keys in one SQLite file, shared by any number of processes and threads.

    The file holds at most `most_bytes` (its log, of a few MB, aside): the least recently used make room, and their
    pages are used again. Each row has a checksum over its key and its value, verified whenever it is read: a row that
    does not match is no hit, and is dropped. A value of more than an eighth of the whole is not kept.

    It is a cache and no promise. A damaged file is set aside under another name and a new one begun; what cannot be
    written is not, what cannot be read is no hit; a warning says so once, and nothing is raised.

    Values are found at once, and committed in groups, some hundredths of a second after the first of them was put (or
    by `flush`); `close` commits what is left, and so does the end of the process. `clock` gives the seconds by which
    "recently" is measured, alike in all processes.
    """

    def __init__(self, path: Path, *, most_bytes: int = DEFAULT_BYTES, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self.most_bytes = max(most_bytes, LEAST_BYTES)
        self._clock = clock
        self._step = min(self.most_bytes >> 6, 1 << 20)
        self._unmeasured, self._page = 0, 4096
        self._fresh: dict[bytes, bytes] = {}
        """What was put and is not committed yet."""
        self._adds = True
        self._renewed = False
        self._lock = threading.RLock()
        self._database: Database | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)  # prompts and answers are the user's own; the log gets the same mode
        except OSError as error:
            self._give_up(StoreError(f"{path}: {error.strerror or error}"))
            return
        self._open()

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, if it is there and is what was put."""
        fresh = self._fresh.get(key)
        if fresh is not None:
            return fresh
        rows = self._read(_FIND, (key,))
        if not rows:
            return None
        used, digest, value = rows[0]
        if digest != _digest(key, value):
            self._write(_DROP, (key,))
            return None
        now = self._clock()
        if used is None or now - used > _FRESH:
            self._write(_TOUCH, (int(now), key))
        return value  # type: ignore[no-any-return]  # it is what was put

    def put(self, key: bytes, value: bytes) -> None:
        """Keep a value under a key, in the place of what was there."""
        if len(value) <= self.most_bytes // 8:
            self._unmeasured += self._taken(len(value))
            self._write(_PUT, (key, int(self._clock()), _digest(key, value), value))
            if self._adds and self._database is not None:
                self._fresh[key] = value

    def flush(self) -> None:
        """Commit what was put."""
        self._do(lambda database: database.flush())

    def close(self) -> None:
        """Commit what was put and close; nothing is found or kept afterwards. Closing twice is fine."""
        self._do(lambda database: database.close())
        self._database = None
        self._fresh.clear()

    # The file

    def _open(self) -> None:
        """Open the file; one that is damaged is set aside first."""
        try:
            self._use(Database(self.path, schema=_SCHEMA, version=_VERSION, patience=_PATIENCE, linger=_LINGER))
        except Damaged as error:
            self._renew(error)
        except StoreError as error:
            self._give_up(error)

    def _use(self, database: Database) -> None:
        self._file = _identity(self.path)
        database.on_failure = _weakly(self._stop_adding)
        self._database = database
        self._finalizer = weakref.finalize(self, _close, database)
        (self._page,) = database.read("PRAGMA page_size")[0]
        self._shrink(database)
        database.before_commit = _weakly(self._make_room)
        database.after_commit = self._fresh.clear

    def _renew(self, error: StoreError) -> None:
        """Begin a new file in the place of a damaged one, unless another process just has."""
        with self._lock:
            if self._renewed:
                self._give_up(error)
                return
            self._renewed = True
            damaged = _identity(self.path) if self._database is None else self._file
            if self._database is not None:
                self._finalizer.detach()
                self._database.on_failure = None
                _close(self._database)
                self._database = None
            try:
                aside = set_aside(self.path) if _identity(self.path) == damaged else None
            except OSError as refused:
                self._give_up(StoreError(f"{error}; it cannot be moved: {refused.strerror or refused}"))
                return
            where = f" (it is now {aside.name}, and may be removed)" if aside else ""
            _warn(f"the response cache {str(self.path)!r} is damaged{where}; a new one is begun")
            self._open()

    def _give_up(self, error: StoreError) -> None:
        self._database = None
        self._fresh.clear()
        _warn(f"the response cache is not used: {error}")

    def _stop_adding(self, error: StoreError) -> None:
        """Nothing can be written any more; what is there can still be found. Damage is for the next call to see to."""
        if self._adds and not isinstance(error, Damaged):
            self._adds = False
            self._fresh.clear()
            _warn(f"nothing is added to the response cache any more: {error}")

    def _do(self, act: Callable[[Database], Any]) -> Any:
        """Do something with the database, if there is one; what goes wrong is seen to."""
        database = self._database
        if database is None:
            return None
        try:
            return act(database)
        except Busy:
            return None  # no hit; or not kept, of which `_stop_adding` was told
        except Damaged as error:
            if self._database is database:  # nobody else has seen to it
                self._renew(error)
        except StoreError as error:
            if self._database is database and self._adds:
                self._give_up(error)
        return None

    def _read(self, sql: str, values: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
        return self._do(lambda database: database.read(sql, values)) or ()

    def _write(self, sql: str, values: Sequence[Any]) -> None:
        if self._adds:
            self._do(lambda database: database.write(sql, values))

    # Its size

    def _make_room(self) -> None:
        """Have the least recently used make room for what is about to be committed; called with every group."""
        database = self._database
        if self._unmeasured < self._step or database is None:
            return
        coming = self._unmeasured
        pages, free = self._pages(database)
        if pages * self._page > self.most_bytes and free:
            with suppress(Busy):
                database.read(f"PRAGMA incremental_vacuum({_GIVEN_BACK})")
        self._evict(database, (pages - free) * self._page + coming + 2 * self._step - self.most_bytes)
        self._unmeasured -= coming  # not before: what was read may have been Busy, and the group comes again

    def _evict(self, database: Database, over: int) -> None:
        """Put the removal of at least so many bytes, as far as a thousand rows go, into the current group."""
        count = 0
        for (length,) in database.read(_OLDEST) if over > 0 else ():
            count += 1
            over -= length or 0
            if over <= 0:
                break
        if count:
            database.write(_EVICT, (count,))

    def _pages(self, database: Database) -> tuple[int, int]:
        """How many pages the file has, and how many of them are free to be used again."""
        (pages,) = database.read("SELECT * FROM pragma_page_count, pragma_freelist_count")
        return pages

    def _taken(self, length: int) -> int:
        """About how many bytes of the file a value of this length takes: a long one has pages of its own."""
        return length + _OVERHEAD if length < self._page // 2 else -(-(length + _OVERHEAD) // self._page) * self._page

    def _shrink(self, database: Database) -> None:
        """Bring a file that was made with more room down to what it may have now."""
        most = self.most_bytes // self._page
        with suppress(Busy):  # whoever opens it next will
            while True:
                pages, free = self._pages(database)
                if pages - free > most:
                    self._evict(database, (pages - free - most) * self._page)
                    database.flush()
                elif pages > most and free:
                    database.read(f"PRAGMA incremental_vacuum({_GIVEN_BACK})")
                else:
                    return


def _digest(key: bytes, value: bytes) -> bytes:
    return hashlib.sha256(key + value).digest()[:16]


def _weakly(method: Callable[..., None]) -> Callable[..., None]:
    """A method to be called while its object lives: being called is no reason to live."""
    reference = weakref.WeakMethod(method)

    def call(*values: Any) -> None:
        live = reference()
        if live is not None:
            live(*values)

    return call


def _close(database: Database) -> None:
    """Commit and close, at the latest when the process ends; who has to know of trouble has been told."""
    with suppress(StoreError):
        database.close()


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one that has taken its name."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=3)
