"""What a finished training leaves beside its model: how it was made, and its report; by which a second run knows it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bon.errors import UsageError
from bon.models.own import HEAD, MANIFEST, Manifest
from bon.models.stamp import stamp
from bon.store.jsonl import write_atomic
from bon.store.plain import encode, plain
from bon.train.parts import Parts, digest
from bon.train.recipe import Recipe
from bon.train.resuming import differing
from bon.train.saving import TRAINING, save_folder
from bon.train.starting import Setup, Start
from bon.train.ways import Way

__all__ = ["FEATURES", "REPORT", "identity_of", "known_report", "leave", "settings_of", "write_report"]

T = TypeVar("T")

_NO_MATTER = frozenset({"device", "checkpointing", "features", "init"})
"""Settings that do not change the result, and one that is told by what it holds."""
REPORT = "report.json"
FEATURES = "features"
"""Where hidden states are kept while a head is trained on them."""


def identity_of(setup: Setup, parts: Parts[Any], **more: Any) -> dict[str, Any]:
    """What makes two trainings the same, beside the recipe."""
    settings = {name: value for name, value in asdict(setup).items() if name not in _NO_MATTER}
    return {
        **settings,
        "init": stamp(setup.init) if setup.init else None,
        **more,
        "data": digest(parts.train),
        "held_out": digest([*parts.watched, *parts.held]),
    }


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """A recipe without what does not change the result."""
    return {name: value for name, value in asdict(recipe).items() if name != "save_seconds"}


def known_report(out: Path, identity: Mapping[str, Any], kind: type[T]) -> T | None:
    """The report of a folder that is done, and was trained in this way; None where there is no result yet.

    Raises UsageError for a folder with another model.
    """
    if not ((out / MANIFEST).is_file() and (out / HEAD).is_file()):
        return None
    try:
        found = msgspec.json.decode((out / TRAINING / REPORT).read_bytes())
        differ = differing(found["identity"], identity)
        if not differ:
            return msgspec.convert(found["report"], kind)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"{str(out)!r} holds a model that is not this training's ({error}): name another out"
        ) from error
    raise UsageError(
        f"{str(out)!r} holds a model that was trained otherwise ({', '.join(differ)} differ): name another out"
    )


def write_report(out: Path, identity: Mapping[str, Any], report: Any) -> None:
    """Write the report of a training that came to its end, with what makes it the same training. Raises StoreError."""
    # Figures stay in the order in which they were made, which is the order they are told in when they are read again.
    row = encode(plain({"identity": identity, "report": asdict(report)}))
    write_atomic(out / TRAINING / REPORT, msgspec.json.format(row, indent=1).splitlines())


def leave(
    out: Path, began: Start, way: Way[Any], report: Any, *, manifest: Manifest, identity: Mapping[str, Any], card: str
) -> None:
    """Write the folder: the report that `known_report` reads, then the model, which says that all is there.

    What a second run would have gone on from is taken away. Raises StoreError where the disk refuses.
    """
    model, head = way.result()
    write_report(out, identity, report)
    save_folder(out, began, model=model, head=head, manifest=manifest, card=card)
    for place in (*(out / TRAINING).glob("step-*"), out / TRAINING / FEATURES):
        shutil.rmtree(place, ignore_errors=True)
