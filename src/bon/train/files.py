"""Files that a training writes: whole or not there, by one process at a time; what is in them is not known here."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bon.errors import StoreError
from bon.store.pathlock import PathLock
from bon.store.sqlite_errors import Busy

__all__ = ["as_store_error", "owned", "sync", "whole"]


@contextmanager
def as_store_error(what: str, folder: Path) -> Iterator[None]:
    """What a disk, or safetensors, says when it refuses, as a StoreError that says what to do."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        raise StoreError(
            f"{what} cannot be written to {str(folder)!r}: {error}; what was there before is whole: make room, or mend "
            "its permissions, and run the same command again, which goes on from there"
        ) from error


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Hold a folder against other processes. Raises StoreError where one has it."""
    with as_store_error("a training", folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = PathLock(folder / ".training")
        except Busy as error:
            raise StoreError(
                f"another process is training into {str(folder)!r}: wait for it, or name another"
            ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A path to write a file or a folder to, that becomes `target` when the block ends well, and is gone otherwise."""
    part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        for file in part.iterdir() if part.is_dir() else (part,):
            sync(file)
        part.replace(target)
        sync(target.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        with suppress(OSError):
            part.unlink()


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, would outlive a power cut."""
    if path.is_dir():
        with suppress(OSError):  # systems where a folder cannot be opened
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        return
    with path.open("rb+") as file:
        os.fsync(file.fileno())
