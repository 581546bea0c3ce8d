"""Opens a model in the worker process: a GGUF is converted once into the cache, and openvino-genai reads the result."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bon.errors import ModelError
from bon.generate.embedded.wire import Open
from bon.models.cache import cache_directory, locked, replacing
from bon.models.gguf import as_f16, read_header

__all__ = ["ARCHITECTURES", "BLOCK", "Model", "load", "plain", "reads"]

ARCHITECTURES = ("llama", "qwen2", "qwen3")
"""What openvino-genai builds from a GGUF."""
BLOCK = 32
"""Tokens of a block of the cache of keys and values, on CPUs."""
_PLACE = re.compile(r"^(\[[\d:]+\] )?\S+\.\w+:\d+: ")
_UNKNOWN_CONTEXT = 2048
"""Tokens of context where a model does not say."""


def reads(path: str | os.PathLike[str]) -> bool:
    """Whether this engine runs the model: an OpenVINO folder, or a GGUF of one of `ARCHITECTURES`.

    Raises ModelError where there is neither.
    """
    path = Path(path)
    return _is_openvino(path) or read_header(path).architecture in ARCHITECTURES


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """An opened model."""

    folder: Path
    tokenizer: Any
    context_length: int
    """Tokens of prompt and answer together, as far as the cache reaches."""
    opened: Open

    def pipeline(self) -> Any:
        """A new pipeline, with an empty cache. Raises ModelError where the model cannot be compiled."""
        import openvino_genai as genai

        scheduler = genai.SchedulerConfig()
        scheduler.num_kv_blocks = -(-self.opened.cache_tokens // BLOCK)
        scheduler.enable_prefix_caching = not self.opened.deterministic
        properties: dict[str, Any] = {}
        if self.opened.threads is not None:
            properties["INFERENCE_NUM_THREADS"] = self.opened.threads
        if self.opened.deterministic:
            properties["INFERENCE_PRECISION_HINT"] = "f32"
            # A prompt that is read in pieces is rounded otherwise than one that is read whole, and where the pieces
            # end would depend on what else runs.
            scheduler.dynamic_split_fuse = False
            scheduler.max_num_batched_tokens = max(self.context_length, scheduler.max_num_batched_tokens)
        try:
            return genai.ContinuousBatchingPipeline(self.folder, self.tokenizer, scheduler, "CPU", **properties)
        except RuntimeError as error:
            raise ModelError(f"openvino-genai cannot run {self.opened.path!r}: {plain(error)}") from error


def load(opened: Open) -> Model:
    """Find, convert where needed, and open the tokenizer of a model. Raises ModelError with what would work."""
    forbid_telemetry()
    import openvino_genai as genai

    path = Path(opened.path)
    if _is_openvino(path):
        folder, context = path, _context_of_folder(path)
    else:
        header = read_header(path)
        if header.architecture not in ARCHITECTURES:
            raise ModelError(
                f"{opened.path!r} holds the architecture {header.architecture!r}; openvino-genai reads GGUF files of "
                f"{', '.join(ARCHITECTURES)}, and OpenVINO folders; use engine=llama.cpp for this one"
            )
        folder, context = _converted(path), header.context_length or _UNKNOWN_CONTEXT
    try:
        tokenizer = genai.Tokenizer(folder)
    except RuntimeError as error:
        raise ModelError(f"openvino-genai cannot read the tokenizer of {opened.path!r}: {plain(error)}") from error
    usable = min(context, opened.cache_tokens - 4 * BLOCK)
    return Model(folder=folder, tokenizer=tokenizer, context_length=usable, opened=opened)


def forbid_telemetry() -> None:
    """Make `import openvino_telemetry` fail in this process, which OpenVINO takes as its not being installed.

    It has no setting for one program: its consent file is the user's, and is left alone.
    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # what the import system takes for "not there"


def plain(error: BaseException) -> str:
    """The part of a C++ exception's message that says something: its last line, without the place in its sources."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return _PLACE.sub("", lines[-1]) if lines else type(error).__name__


def _is_openvino(path: Path) -> bool:
    if path.is_dir() and not (path / "openvino_model.xml").is_file():
        raise ModelError(f"the folder {str(path)!r} holds no openvino_model.xml: name a GGUF file, or a model's folder")
    return path.is_dir()


def _context_of_folder(folder: Path) -> int:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return int(config["max_position_embeddings"])
    except (OSError, ValueError, KeyError, TypeError):
        return _UNKNOWN_CONTEXT


def _converted(gguf: Path) -> Path:
    """The model as OpenVINO's own files, which open several times faster; made once per file and library version."""
    import openvino_genai as genai

    floats = as_f16(gguf).resolve()
    stat = floats.stat()
    key = hashlib.sha256(f"{floats}\0{stat.st_size}\0{stat.st_mtime_ns}".encode()).hexdigest()[:16]
    target = cache_directory() / f"openvino-{genai.__version__}" / f"{floats.stem}.{key}"
    if not target.exists():
        with locked(target):
            if not target.exists():
                with replacing(target) as part:
                    _convert(floats, part)
    return target


def _convert(gguf: Path, folder: Path) -> None:
    import openvino_genai as genai

    folder.mkdir()
    link = folder / "model.gguf"  # what is converted is saved beside the file it came from
    for put in (os.symlink, os.link, shutil.copyfile):
        try:
            put(gguf, link)
            break
        except OSError:
            continue
    try:
        tokenizer = genai.Tokenizer(link, enable_save_ov_model=True)
        genai.ContinuousBatchingPipeline(link, tokenizer, genai.SchedulerConfig(), "CPU", enable_save_ov_model=True)
    except RuntimeError as error:
        raise ModelError(f"openvino-genai cannot read {str(gguf)!r}: {plain(error)}") from error
    link.unlink()
    if not (folder / "openvino_model.xml").is_file():
        raise ModelError(f"openvino-genai {genai.__version__} did not save {str(gguf)!r} in its own format")
