"""The tensors of a checkpoint by their published names, each read when asked for; it builds no model."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bon.errors import MissingExtra, ModelError
from bon.models.loading import ADAPTER, refuse_pickles

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Kept", "Weights", "folder_of"]

_FETCHED = ("*.json", "*.safetensors", "*.jinja", "*.txt", "*.model", "*.tiktoken")
"""What is fetched of a model on a hub: configuration, weights, templates and tokenizers; no code and no pickles."""
_BITS = {"BOOL": 8, "F4": 4, "F64": 64, "I64": 64, "U64": 64, "F32": 32, "I32": 32, "U32": 32}
_OWN = "bon_reward.json"
"""What makes a folder one that bon trained: it may hold a head alone."""
_MOST_HEADER = 100 << 20


def folder_of(source: str | Path, revision: str | None = None) -> Path:
    """The folder of a model: `source` itself, or where what it names on a hub was fetched to, now or before.

    Nothing but configuration, tokenizer files and safetensors is fetched. Raises ModelError where there is no such
    model or it cannot be reached, where it has no configuration, and where its weights are pickled.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        refuse_pickles(source if folder == Path(source) else folder)
        folder = _fetched(str(source), revision)
    if not (folder / ADAPTER).is_file() and not (folder / _OWN).is_file():
        refuse_pickles(folder)
    return folder


def _fetched(name: str, revision: str | None) -> Path:
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtra("huggingface_hub", extra="torch", needed_for=f"the model {name!r}") from error
    try:
        place = huggingface_hub.snapshot_download(
            name, revision=revision, allow_patterns=list(_FETCHED), ignore_patterns=["*/*"]
        )
        return Path(place)
    except Exception as error:  # its errors are of the HTTP client, of the hub and of the disk; all mean the same here
        said = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(
            f"there is no folder {name!r}, and it cannot be fetched as a hub id"
            f"{'' if revision is None else f' at revision {revision!r}'}: check the name and the connection, or fetch "
            f"it elsewhere and name its folder ({said})"
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How a tensor is kept in its file."""

    dtype: str
    """As safetensors names it: "F32", "BF16", "F16", "F8_E4M3" ..."""
    shape: tuple[int, ...]
    file: Path

    @property
    def count(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """How many bytes it has."""
        bits = _BITS.get(self.dtype) or (16 if "16" in self.dtype else 8)
        return self.count * bits // 8


class Weights(Mapping[str, "Tensor"]):
    """The tensors of a checkpoint: of a folder with one safetensors file or shards with their index (an adapter's where
    it is one), or of a file.

    `weights[name]` reads that tensor, on the CPU and in the dtype it is kept in; `kept[name]` says its shape without
    reading it. Raises ModelError for a folder without such files, and for files that are not whole.
    """

    def __init__(self, source: str | Path) -> None:
        place = Path(source).expanduser()
        self.kept: dict[str, Kept] = {}
        for file in [place] if place.is_file() else _files(place):
            self.kept.update(_header(file))

    def __getitem__(self, name: str) -> Tensor:
        kept = self.kept[name]
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(kept.file), framework="pt") as file:
                tensor: Tensor = file.get_tensor(name)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{str(kept.file)!r} cannot be read: {error}") from error
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self.kept)

    def __len__(self) -> int:
        return len(self.kept)

    def __contains__(self, name: object) -> bool:
        return name in self.kept


def _files(folder: Path) -> list[Path]:
    for name in ("model.safetensors", "adapter_model.safetensors"):
        index = folder / f"{name}.index.json"
        if index.is_file():
            try:
                shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ModelError(f"{str(index)!r} is no index of shards: {error}") from error
            return [folder / shard for shard in sorted(set(shards))]
        if (folder / name).is_file():
            return [folder / name]
    found = sorted(folder.glob("*.safetensors"))
    if len(found) == 1:
        return found
    raise ModelError(
        f"{str(folder)!r} has {len(found)} .safetensors files and none is model.safetensors or has an index: "
        "save it again with save_pretrained()"
    )


def _header(path: Path) -> dict[str, Kept]:
    """What a safetensors file says it holds (its format: 8 bytes of length, JSON, and the numbers)."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _MOST_HEADER:
                raise ModelError(f"{str(path)!r} is no safetensors file: its header would have {length} bytes")
            header: dict[str, Any] = json.loads(file.read(length))
        return {
            name: Kept(dtype=str(entry["dtype"]), shape=tuple(map(int, entry["shape"])), file=path)
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except FileNotFoundError as error:
        raise ModelError(f"{str(path)!r} is named by the index of its shards, and is not there") from error
    except OSError as error:
        raise ModelError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{str(path)!r} is no whole safetensors file: {error}") from error
