"""The cache directory: where it is, and how a file gets into it whole, once, whoever else is at it."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bon.errors import ModelError

__all__ = ["cache_directory", "locked", "replacing"]

_in_process = threading.Lock()


def cache_directory() -> Path:
    """Where models are kept: the environment variable BON_CACHE, else the user's cache directory of this platform."""
    import platformdirs

    chosen = os.environ.get("BON_CACHE")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("bon", appauthor=False))


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Hold the lock of a cache entry, against threads and other processes; it ends with the process that holds it."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _in_process, target.with_name(f".{target.name}.lock").open("ab") as file:
            _lock(file.fileno())
            yield
    except OSError as error:
        raise ModelError(
            f"cannot write the cache {str(target.parent)!r}: {error.strerror or error}; "
            "the environment variable BON_CACHE names another directory"
        ) from error


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt
        import time

        while True:
            try:
                return msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
            except OSError:  # LK_LOCK itself gives up after ten seconds
                time.sleep(0.1)
    import fcntl

    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return None


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path to write a file or a folder to, that becomes `target` when the block ends well, and is gone otherwise.

    Only under `locked`: the part's name is always the same, so that what a killed process left is taken away.
    """
    part = target.with_name(f".{target.name}.part")
    _remove(part)
    try:
        yield part
        for file in part.rglob("*") if part.is_dir() else (part,):
            with file.open("rb+") as written:
                os.fsync(written.fileno())
        part.replace(target)
    finally:
        _remove(part)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
