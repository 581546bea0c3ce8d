"""GGUF files: what one holds, and its weights as F16; which engine then runs it is decided elsewhere."""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from bon.errors import MissingExtra, ModelError
from bon.models.cache import cache_directory, locked, replacing

__all__ = ["Header", "Progress", "architecture", "as_f16", "f16_path", "read_header"]

Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Is told (stage, bytes done, bytes in all or None where unknown)."""

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_F32, _F16 = 0, 1
_FLOATS = {_F32: "F32", _F16: "F16", 28: "F64", 30: "BF16"}
_FILE_TYPE_F16 = 1
_ROWS = 4096
"""Rows of a tensor that are dequantised at once: what bounds the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a GGUF says of itself before its weights."""

    metadata: Mapping[str, Any]
    """Every key whose value is a number, a flag or a text; arrays (the vocabulary) are left out."""
    tensor_types: Mapping[str, int]
    """GGML type number of each tensor."""

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture", ""))

    @property
    def context_length(self) -> int | None:
        """Tokens the model was trained to attend to, where the file says so."""
        length = self.metadata.get(f"{self.architecture}.context_length")
        return length if isinstance(length, int) else None

    @property
    def quantised(self) -> bool:
        return any(kind not in _FLOATS for kind in self.tensor_types.values())

    @property
    def f16(self) -> bool:
        """Whether it is an F16 file, matrices in F16 and vectors in F32, and says so: what openvino-genai reads."""
        kinds = set(self.tensor_types.values())
        return self.metadata.get("general.file_type") == _FILE_TYPE_F16 and _F16 in kinds <= {_F32, _F16}


class _Cursor:
    """Reads little-endian values one after another."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 0

    def number(self, code: str) -> Any:
        value: Any = struct.unpack_from("<" + code, self._data, self._at)[0]
        self._at += struct.calcsize("<" + code)
        return value

    def text(self) -> str:
        size = self.number("Q")
        raw = self._data[self._at : self._at + size]
        if len(raw) < size:
            raise struct.error("a text goes beyond the end of the file")
        self._at += size
        return raw.decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        """One metadata value; an array is passed over and gives None."""
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            return self.number(_SCALARS[kind])
        item, count = self.number("I"), self.number("Q")
        if item in _SCALARS:
            self._at += count * struct.calcsize("<" + _SCALARS[item])
        else:
            for _ in range(count):
                self.value(item)
        return None


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read what a GGUF says of itself; the weights are not touched. Raises ModelError if it is no whole GGUF."""
    path = Path(path)
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data[:4] != b"GGUF":
                raise ModelError(f"{str(path)!r} is not a GGUF file: it begins with {bytes(data[:4])!r}")
            return _parse(_Cursor(data))
    except OSError as error:
        raise ModelError(f"cannot read the model {str(path)!r}: {error.strerror or error}") from error
    except (struct.error, KeyError, ValueError, OverflowError) as error:
        raise ModelError(f"the GGUF file {str(path)!r} is damaged or cut short ({error}): fetch it again") from error


def _parse(cursor: _Cursor) -> Header:
    cursor.number("I")
    version, tensors, fields = cursor.number("I"), cursor.number("Q"), cursor.number("Q")
    if version not in (2, 3):
        raise ValueError(f"version {version}; 2 and 3 can be read")
    metadata: dict[str, Any] = {}
    for _ in range(fields):
        key = cursor.text()
        value = cursor.value(cursor.number("I"))
        if value is not None:
            metadata[key] = value
    types: dict[str, int] = {}
    for _ in range(tensors):
        name = cursor.text()
        for _ in range(cursor.number("I")):
            cursor.number("Q")
        types[name] = cursor.number("I")
        cursor.number("Q")
    return Header(metadata=metadata, tensor_types=types)


def architecture(path: str | os.PathLike[str]) -> str:
    """The architecture a GGUF holds ("llama", "qwen2", ...). Raises ModelError if it is no whole GGUF."""
    return read_header(path).architecture


def as_f16(path: str | os.PathLike[str], *, progress: Progress | None = None) -> Path:
    """A GGUF whose matrices are F16: `path` itself where it is one, else a copy made once, in the cache.

    The copy is named by the content's sha256, keeps all metadata and the tokenizer, holds matrices in F16 and vectors
    (norms, biases) in F32, and appears whole or not at all. Memory stays at a slice of one tensor. Raises ModelError
    for a file that cannot be read or whose quantisation the `gguf` package does not know.
    """
    path = Path(path)
    header = read_header(path)
    if header.f16:
        return path
    if int(header.metadata.get("split.count", 1)) > 1:
        raise ModelError(f"{str(path)!r} is one part of a split GGUF: merge the parts first (llama-gguf-split --merge)")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    target = f16_path(path, digest)
    if not target.exists():
        with locked(target):
            if not target.exists():
                with replacing(target) as part:
                    _dequantise(path, part, progress=progress)
    return target


def f16_path(path: Path, sha256: str) -> Path:
    """Where in the cache the F16 copy of a GGUF of this name and content lies, or will."""
    return cache_directory() / "f16" / f"{path.stem}.{sha256[:16]}.F16.gguf"


def _dequantise(source: Path, target: Path, *, progress: Progress | None) -> None:
    try:
        from gguf import GGUFReader, GGUFWriter
    except ImportError as error:
        raise MissingExtra("gguf", extra="local", needed_for=f"running the quantised model {str(source)!r}") from error
    try:
        reader = GGUFReader(source)
        writer = GGUFWriter(target, reader.fields["general.architecture"].contents(), endianess=reader.endianess)
        _copy_metadata(reader, writer)
        _copy_weights(reader, writer, progress=progress)
    except (ValueError, KeyError, NotImplementedError, IndexError) as error:
        raise ModelError(f"cannot dequantise {str(source)!r}: {error}") from error


def _copy_metadata(reader: Any, writer: Any) -> None:
    from gguf import GGUFValueType

    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.quantization_version"):
            continue
        value = _FILE_TYPE_F16 if field.name == "general.file_type" else field.contents()
        kind = field.types[0]
        writer.add_key_value(field.name, value, kind, field.types[-1] if kind == GGUFValueType.ARRAY else None)
    if "general.file_type" not in reader.fields:
        writer.add_file_type(_FILE_TYPE_F16)
    writer.data_alignment = int(reader.alignment)


def _copy_weights(reader: Any, writer: Any, *, progress: Progress | None) -> None:
    sizes = [tensor.n_elements * _dtype(tensor).itemsize for tensor in reader.tensors]
    for tensor, size in zip(reader.tensors, sizes, strict=True):
        writer.add_tensor_info(tensor.name, _shape(tensor), _dtype(tensor), size)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for index, tensor in enumerate(reader.tensors):
        writer.write_tensor_data(_floats(tensor))
        if progress is not None:
            progress("dequantising", sum(sizes[: index + 1]), sum(sizes))
    writer.close()


def _shape(tensor: Any) -> tuple[int, ...]:
    """GGUF lists a tensor's fastest dimension first, numpy its slowest."""
    return tuple(int(size) for size in reversed(tensor.shape))


def _dtype(tensor: Any) -> np.dtype[Any]:
    return np.dtype(np.float32 if len(tensor.shape) == 1 else np.float16)


def _floats(tensor: Any) -> npt.NDArray[Any]:
    from gguf import dequantize

    out = np.empty(_shape(tensor), _dtype(tensor))
    for start in range(0, len(out), _ROWS):
        rows = slice(start, start + _ROWS)
        out[rows] = dequantize(tensor.data[rows], tensor.tensor_type)
    return out
