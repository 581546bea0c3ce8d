"""A path that belongs to one process at a time, by a lock on a file beside it; what lies at the path it never opens."""

from __future__ import annotations

import os
import sys
import weakref
from contextlib import suppress
from pathlib import Path

from bon.store.sqlite_errors import Busy

__all__ = ["PathLock"]


class PathLock:
    """Holds `<path>-lock` until `release`, or until the process ends: the system then lets go of it.

    SQLite's own locks cannot do this. They are on a file and not on its name: who opens a file that is being removed
    may lock what has no name any more, and would then take the log of the file's successor, which goes by its name,
    for its own. Where the system or the disk knows no such lock nothing is held, and SQLite's have to do.

    Raises `Busy` where another has it, another `PathLock` of this process included, and OSError.
    """

    def __init__(self, path: Path) -> None:
        self._path = Path(f"{path}-lock")
        self._close = weakref.finalize(self, _close, _locked(self._path))

    @property
    def holds(self) -> bool:
        return self._close.alive

    def release(self) -> None:
        """Let go, and leave nothing behind. Releasing twice is fine."""
        if self.holds:
            with suppress(OSError):
                self._path.unlink()  # while it is ours: who has it open sees afterwards that its name is gone
            self._close()


def _locked(path: Path) -> int | None:
    """A descriptor that holds the lock of the file that has this name now."""
    if sys.platform == "win32":
        return None  # a file that somebody has open cannot be removed there
    import fcntl

    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            held = True
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held = False
            except OSError:
                pass  # no such locks on this disk
            named = _names(path, file)
            if held and named:
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)
        if named:
            raise Busy(f"{path}: another process has it locked")


def _names(path: Path, file: int) -> bool:
    """Whether a path is the name of an open file, which keeps its number from being given to another."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except FileNotFoundError:
        return False


def _close(file: int | None) -> None:
    if file is not None:
        os.close(file)
