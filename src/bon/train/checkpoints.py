"""Checkpoints of a training: whole or not there, without pickles; knows tensors by name, and nothing of training."""

from __future__ import annotations

import hashlib
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bon.errors import StoreError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BEST", "OPTIMIZER", "WEIGHTS", "Checkpoint", "latest", "save"]

WEIGHTS, OPTIMIZER, BEST = "weights.safetensors", "optimizer.safetensors", "best.safetensors"
_STATE = "state.json"
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint on disk that is whole."""

    folder: Path
    state: Mapping[str, Any]

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors of one of its files, on the CPU."""
        from safetensors.torch import load_file

        return load_file(self.folder / name)


def latest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint of a folder that is whole; None where there is none.

    One whose files are not those that were written (a folder half copied, a disk that lost something) is passed over
    with a warning.
    """
    for place in sorted(folder.glob("step-*"), reverse=True) if folder.is_dir() else ():
        if place.suffix:
            continue  # what was being written when something stopped it
        try:
            state = msgspec.json.decode((place / _STATE).read_bytes(), type=dict[str, Any])
            whole = all(_sum(place / name) == known for name, known in state["files"].items())
        except (OSError, ValueError, KeyError):
            whole = False
        if whole:
            return Checkpoint(folder=place, state=state)
        warnings.warn(f"{place} is not whole, and passed over: an earlier one is used, if there is one", stacklevel=2)
    return None


def save(
    folder: Path,
    step: int,
    state: Mapping[str, Any],
    tensors: Mapping[str, Mapping[str, Tensor]],
    *,
    best: Path | None,
) -> Checkpoint:
    """Write a checkpoint; those before it are removed once it is safe on disk.

    `tensors` are by file. `best` is a file of weights that becomes `BEST`: a link, where the disk can; None: the
    `WEIGHTS` of this one. Raises StoreError where the disk refuses; then those before it are as they were.
    """
    from safetensors.torch import save_file

    final, part = folder / f"step-{step:010}", folder / f"step-{step:010}.part"
    with _as_store_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(part, ignore_errors=True)
        try:
            part.mkdir()
            for name, group in tensors.items():
                save_file({key: value.detach().cpu().contiguous() for key, value in group.items()}, part / name)
            _linked(best or part / WEIGHTS, part / BEST)
            files = {name: _sum(part / name) for name in (*tensors, BEST)}
            (part / _STATE).write_bytes(msgspec.json.encode({**state, "files": files}))
            for file in part.iterdir():
                _sync(file)
            shutil.rmtree(final, ignore_errors=True)  # one of this step that was not whole
            part.replace(final)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        _sync(folder)
    for place in folder.glob("step-*"):
        if place != final:
            shutil.rmtree(place, ignore_errors=True)
    return Checkpoint(folder=final, state={**state, "files": files})


def _linked(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)


def _sum(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _sync(path: Path) -> None:
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


@contextmanager
def _as_store_error(folder: Path) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        raise StoreError(
            f"no checkpoint can be written to {str(folder)!r}: {error}; what was there before is whole: make room, or "
            "mend its permissions, and run the same command again, which goes on from there"
        ) from error
