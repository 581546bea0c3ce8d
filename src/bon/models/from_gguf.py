"""A GGUF file as a folder that transformers loads, trains and saves, made once and kept in the cache."""

from __future__ import annotations

import hashlib
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

from bon.errors import ModelError
from bon.models.cache import cache_directory, locked, replacing
from bon.models.gguf import Progress, read_header
from bon.models.loading import libraries, quiet
from bon.models.pull import pull
from bon.models.stamp import stamp

__all__ = ["from_gguf", "resolved"]

_FORMAT = "2"
"""Of the folder: another number makes it anew."""


def resolved(source: str | Path, *, progress: Progress | None = None) -> str:
    """Where transformers finds a model: `local` (the embedded one) and `gguf:FILE` become folders, others stay.

    Raises ModelError where there is no such file, or transformers cannot read it.
    """
    name = str(source)
    if name == "local":
        found = pull(progress=progress)
        if found.suffix != ".gguf":
            raise ModelError(
                f"BON_MODEL names {str(found)!r}, which is no GGUF file: give a transformers folder instead"
            )
        return str(from_gguf(found))
    if name.startswith("gguf:"):
        return str(from_gguf(Path(name.removeprefix("gguf:")).expanduser()))
    return name


def from_gguf(file: Path) -> Path:
    """The folder of a GGUF's model and tokenizer, its weights unpacked to half precision, as safetensors.

    transformers (5.23) reads GGUF files, and refuses to save what it read from one: the weights are copied into a model
    that is made from the configuration. Half precision holds all that quantised weights say; bfloat16 where float16
    cannot hold the largest. The folder is found again by the file's place, size and time of change.

    Raises ModelError for a file that is not there, or of an architecture that transformers does not read.
    """
    known = hashlib.sha256(repr((_FORMAT, *stamp(file).values())).encode()).hexdigest()[:12]
    target = cache_directory() / f"{file.stem}-{known}-transformers"
    if not target.exists():
        with locked(target):
            if not target.exists():
                with replacing(target) as part:
                    _convert(file, part)
    return target


def _convert(file: Path, folder: Path) -> None:
    torch, transformers = libraries(f"training from {file.name}")
    options = {"gguf_file": file.name}
    with quiet(), redirect_stderr(StringIO()):  # a progress bar of its own, which no setting of transformers' hides
        try:
            read = transformers.AutoModelForCausalLM.from_pretrained(
                str(file.parent),
                dtype=torch.float32,
                quantization_config=transformers.GgufConfig(dequantize=True),
                **options,
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(str(file.parent), **options)
        except (OSError, ValueError, ImportError, KeyError, RuntimeError) as error:
            raise ModelError(
                f"transformers cannot read {str(file)!r}: {error}; give the folder of the model as it was published, "
                "with safetensors"
            ) from error
        dtype = torch.float16 if _largest(read) < torch.finfo(torch.float16).max else torch.bfloat16
        config = read.config
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        made = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype)
        made.load_state_dict(read.state_dict())
        if read.generation_config is not None:
            made.generation_config = read.generation_config
        made.save_pretrained(str(folder))
        tokenizer.save_pretrained(str(folder))
    stated = read_header(file).metadata.get("general.license")
    if isinstance(stated, str):  # where a published model says it, so that whoever trains from it finds it
        (folder / "README.md").write_text(f"---\nlicense: {stated}\n---\n", encoding="utf-8")


def _largest(model: Any) -> float:
    return max(float(weight.detach().abs().max()) for weight in model.parameters())
