"""The folder of a reward model that bon trained: what its bon_reward.json says, and its backbone; heads are elsewhere.

bon_reward.json      this module's Manifest
head.safetensors     the head (`bon.models.heads`)
README.md            the model card
and, where the base was adapted, either the whole backbone as transformers saves it (config.json, model.safetensors)
or a LoRA adapter as peft saves it; with the tokenizer.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from bon.errors import ModelError

if TYPE_CHECKING:
    from bon.models.backbone import Backbone

__all__ = ["HEAD", "MANIFEST", "Manifest", "load_base", "read_manifest", "write_manifest"]

MANIFEST, HEAD = "bon_reward.json", "head.safetensors"
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a reward model of ours is, besides its tensors."""

    kind: Literal["rm", "prm"]
    base: str
    """What was trained from: a folder, a hub id, `local` or `gguf:FILE`."""
    adapted: Literal["full", "lora", "head"]
    """What of the base was changed: all weights, an adapter beside them, or nothing."""
    head: Literal["linear", "mlp"]
    outputs: int = 1
    """Numbers the head gives for a position."""
    max_length: int | None = None
    """Most tokens of a row in training; longer ones were left out."""
    revision: str | None = None
    """Of a base on a hub."""
    separator: str | None = None
    """What follows a step (prm)."""
    steps: str | None = None
    """How a text is cut into steps, by its name; None where that is seen from the text (prm)."""
    loss: str = "bradley-terry"
    """What was minimised: it says how outputs are read. A prm: "ce" (softmax of two outputs, the second is right),
    "bce" (sigmoid of one), "mse" (one, as it is)."""
    version: int = _VERSION
    """Of this format."""


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write bon_reward.json; the last file of a folder, so that one without it is not whole."""
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(asdict(manifest)), indent=2) + b"\n")


def read_manifest(folder: str | Path) -> Manifest:
    """What a folder's bon_reward.json says. Raises ModelError where there is none, or it is of another version."""
    path = Path(folder).expanduser() / MANIFEST
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise ModelError(
            f"{str(folder)!r} is no reward model that bon trained: {MANIFEST} cannot be read ({error.strerror}); "
            "`bon train rm DATA -o FOLDER` writes one, last of all"
        ) from error
    except ValueError as error:
        raise ModelError(f"{str(path)!r} is not as bon writes it: {error}") from error
    if found.version != _VERSION:
        raise ModelError(f"{str(path)!r} has version {found.version}; this bon reads {_VERSION}: install a newer one")
    return found


def load_base(
    folder: str | Path, manifest: Manifest, *, dtype: str | None = None, device: str | None = None
) -> Backbone:
    """The backbone of a folder of ours: its own weights, its adapter merged into the base, or the base as it is."""
    from bon.models.backbone import load_backbone
    from bon.models.from_gguf import resolved

    if manifest.adapted == "head":
        return load_backbone(resolved(manifest.base), dtype=dtype, device=device, revision=manifest.revision)
    return load_backbone(folder, dtype=dtype, device=device)
