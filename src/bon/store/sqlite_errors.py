"""SQLite's errors as ours: what, which file, and what to do; it opens nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from bon.errors import StoreError

__all__ = ["Busy", "Damaged", "translated"]


class Busy(StoreError):
    """Another process is writing to the same file right now; what was to be written is kept, and tried again."""


class Damaged(StoreError):
    """The file is damaged, or was not made by us."""


def translated(error: sqlite3.Error | OSError, path: Path) -> StoreError:
    """The error to raise instead."""
    if isinstance(error, OSError):
        return StoreError(f"{path}: {error.strerror or error}; check the folder")
    name = getattr(error, "sqlite_errorname", None) or ""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Busy(f"{path}: another process has it locked and does not let go: end that process")
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return Damaged(f"{path}: it is damaged, or no file of bon's ({error}); move it away")
    return StoreError(f"{path}: {_what(name, error)}")


def _what(name: str, error: Exception) -> str:
    if name.startswith("SQLITE_FULL"):
        return "the disk is full; what was written so far is whole: make room and run the same command again"
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
        return f"it cannot be written ({error}); check that the folder is there, and who may write to it"
    if name in ("SQLITE_PROTOCOL", "SQLITE_IOERR_LOCK", "SQLITE_IOERR_SHMOPEN", "SQLITE_IOERR_SHMMAP"):
        return f"files cannot be locked there ({error}); is it a network folder? Choose one on a disk of this machine"
    if name.startswith("SQLITE_IOERR"):
        return (
            f"the disk refused a read or a write ({error}); is there room, or a quota? Then run the same command again"
        )
    return f"{error} ({name or type(error).__name__})"
