"""The output of a run over files: finished pools, each appended when its turn has come, and its place in the file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from bon.errors import StoreError, UsageError
from bon.store.appending import Appender
from bon.store.journal import Journal
from bon.store.pools import PoolFile, dump_pool, parse_pool, write_pools
from bon.types import Pool

__all__ = ["Output"]

_POOLS_AT_ONCE, _BYTES_AT_ONCE = 256, 1 << 18
"""How much lies in the output before the journal lets go of it: the output is synced first, which takes time."""
_BYTES_AT_HAND = 1 << 20
"""Lines of pools that wait in memory; what is drawn and scored of them is in the journal all the same."""


class Output:
    """A file of pools that a run adds to, in the order of its input; with `unordered`, as they are done.

    A pool whose turn has not come waits: a few of them at hand, the rest in the journal, so memory does not grow with
    them. What the file held before stays where it is; a pool that is made anew is appended, and `finish` then puts the
    file in order, in one step.
    """

    def __init__(self, path: Path, journal: Journal, *, unordered: bool = False) -> None:
        self.path = path = Path(os.path.realpath(path))  # a link stays one, and what it points to is added to
        self.unordered = unordered
        self._journal = journal
        self._file = Appender(path)
        self._before = PoolFile(path, tolerate_truncated_tail=True) if path.exists() else None
        self._in_place: Iterator[str] = iter(self._before or ())
        self._tidy = self._before is None or (len(self._before) == self._before.lines and _ended(path))
        self._place: dict[str, int] = {}
        """The items of the input so far, in their order."""
        self._turn = 0
        self._ready: dict[int, tuple[str, bool]] = {}
        """Places that are done: whose they are, and whether a pool of theirs waits."""
        self._at_hand: dict[str, bytes] = {}
        """The lines of those that wait here; the others wait in the journal."""
        self._bytes_at_hand = 0
        self._settled: list[str] = []
        """Pools in the output that the journal still has."""
        self._unsynced = 0

    def pool(self, id_: str) -> Pool | None:
        """The pool that an earlier run made of an item."""
        parked = self._journal.parked(id_)
        if parked is not None:
            return parse_pool(parked)
        return self._before.get(id_) if self._before is not None else None

    def expect(self, id_: str) -> None:
        """The next item of the input is worked on. Raises `UsageError` for one that was there before."""
        self._take(id_)
        if self._before is not None and id_ in self._before:
            self._tidy = False  # its new line will stand behind the old one

    def keep(self, id_: str) -> None:
        """The next item of the input is as it should be."""
        place = self._take(id_)
        line = self._journal.parked(id_)
        there = self._before is not None and id_ in self._before
        if line is None and not there:
            raise StoreError(f"{self._journal.path}: the pool of {id_!r} is gone; run the same command again")
        waits = line is not None and not (self._before and there and self._before[id_] == parse_pool(line))
        if waits:
            self._tidy = self._tidy and not there
        else:
            self._settled.append(id_)
        self._ready[place] = (id_, waits)
        self._advance()

    def add(self, pool: Pool) -> None:
        """A pool is done: it goes into the file now, or waits for its turn."""
        id_, line = pool.prompt.id, dump_pool(pool)
        place = self._place[id_]
        waits = not self.unordered and place != self._turn
        self._ready[place] = (id_, waits)
        if not waits:
            self._append(id_, line)
        elif self._bytes_at_hand + len(line) <= _BYTES_AT_HAND:
            self._at_hand[id_] = line
            self._bytes_at_hand += len(line)
        else:
            self._journal.park(id_, line)
        self._advance()

    def finish(self) -> None:
        """Put the file into the order of the input, pools of other prompts behind; nothing to do where it is."""
        self._settle()
        if self._tidy and self.path.exists():
            return
        self._file.close()
        if not self.path.exists():
            write_pools(self.path, ())
            return
        with PoolFile(self.path, tolerate_truncated_tail=True) as pools:
            wanted = () if self.unordered else self._place
            rest = set(pools).difference(wanted)
            order = (*(id_ for id_ in wanted if id_ in pools), *(id_ for id_ in pools if id_ in rest))
            write_pools(self.path, (pools[id_] for id_ in order))

    def close(self) -> None:
        """Close the files; pools whose turn has not come are left in the journal. Closing twice is fine."""
        with suppress(StoreError):  # whoever met it first tells of it, and the draws themselves are recorded
            for id_, line in self._at_hand.items():
                self._journal.park(id_, line)
        self._at_hand.clear()
        self._file.close()
        if self._before is not None:
            self._before.close()

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, id_: str) -> int:
        if id_ in self._place:
            raise UsageError(f"two prompts have the id {id_!r}: give each its own")
        place = self._place[id_] = len(self._place)
        if self._before is not None and place < len(self._before) and next(self._in_place) != id_:
            self._tidy = self._tidy and self.unordered
        return place

    def _advance(self) -> None:
        while self._turn in self._ready:
            id_, waits = self._ready.pop(self._turn)
            if waits:
                self._append(id_, self._waited(id_))
            self._turn += 1

    def _waited(self, id_: str) -> bytes:
        """The line of a pool whose turn has come."""
        line = self._at_hand.pop(id_, None)
        if line is not None:
            self._bytes_at_hand -= len(line)
            return line
        line = self._journal.parked(id_)
        if line is None:
            raise StoreError(f"{self._journal.path}: the pool of {id_!r} is gone; run the same command again")
        return line

    def _append(self, id_: str, line: bytes) -> None:
        self._file.append(line)
        self._settled.append(id_)
        self._unsynced += len(line)
        if len(self._settled) >= _POOLS_AT_ONCE or self._unsynced >= _BYTES_AT_ONCE:
            self._settle()

    def _settle(self) -> None:
        """Let the journal forget what lies in the file for good."""
        self._file.sync()
        self._journal.forget(self._settled)
        self._settled.clear()
        self._unsynced = 0


def _ended(path: Path) -> bool:
    """Whether the last line of a file is whole: its writer may have been stopped in the middle of it."""
    with path.open("rb") as file:
        return file.seek(0, os.SEEK_END) == 0 or (file.seek(-1, os.SEEK_END) >= 0 and file.read(1) == b"\n")
