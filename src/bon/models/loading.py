"""What loading any transformers model needs: libraries, dtype, device, what is refused; it loads none itself."""

from __future__ import annotations

import ctypes
import gc
import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bon.errors import MissingExtra, ModelError, UsageError

__all__ = [
    "ADAPTER",
    "as_model_error",
    "base_and_adapter",
    "chosen_device",
    "chosen_dtype",
    "libraries",
    "quiet",
    "refuse_pickles",
    "refuse_unreachable",
    "release",
]

ADAPTER = "adapter_config.json"
"""What makes a folder one of a LoRA adapter."""


def libraries(needed_for: str) -> tuple[Any, Any]:
    """The modules torch and transformers. Raises MissingExtra where one is not installed."""
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtra(error.name or "torch", extra="torch", needed_for=needed_for) from error
    return torch, transformers


def chosen_device(device: str | None) -> str:
    """The device asked for ("auto" spreads a model over all accelerators), else a GPU where there is one.

    Raises UsageError for what is no device, and ModelError for one that is not here.
    """
    import torch

    if device == "auto":
        return device
    if device:
        _refuse_absent(device)
        return device
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def _refuse_absent(device: str) -> None:
    import torch

    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise UsageError(f"device {device!r} is none: cpu, cuda, cuda:1, mps, or auto (all there are)") from error
    counts = {"cuda": torch.cuda.device_count, "mps": torch.mps.device_count}
    if place.type in counts and (place.index or 0) >= (count := counts[place.type]()):
        found = f"{count} of its kind" if count else f"no {place.type} device"
        raise ModelError(f"device={device} is not here: torch sees {found}; leave device= out, or name device=cpu")


def chosen_dtype(name: str | None, place: str) -> Any:
    """The torch dtype asked for, else bfloat16 on a GPU and float32 elsewhere. Raises UsageError for what is none."""
    import torch

    name = name or ("float32" if place.startswith(("cpu", "mps")) else "bfloat16")
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise UsageError(f"dtype {name!r} is no floating-point type of torch: float32, bfloat16 or float16")
    return dtype


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' progress bars, which would run through the command's, and peft's use of a retired name."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            yield
    finally:
        if shown:
            logging.enable_progress_bar()


def release() -> None:
    """Give the memory of models that are no longer referred to back: to the device, and to the system."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # a C library that is not glibc keeps what it keeps
            ctypes.CDLL(None).malloc_trim(0)


def base_and_adapter(source: str | Path, adapter: str | Path | None) -> tuple[str | Path, Path | None]:
    """What to load the weights from, and the adapter folder to lay on them, with `~` expanded."""
    folder = Path(source).expanduser()
    if adapter is not None:
        if not (Path(adapter).expanduser() / ADAPTER).is_file():
            raise ModelError(f"{str(adapter)!r} is no LoRA adapter folder: it has no {ADAPTER}")
        return (folder if folder.is_dir() else source), Path(adapter).expanduser()
    if not folder.is_dir() or not (folder / ADAPTER).is_file() or (folder / "config.json").is_file():
        return (folder if folder.is_dir() else source), None
    base = json.loads((folder / ADAPTER).read_text(encoding="utf-8")).get("base_model_name_or_path")
    if not base:
        raise ModelError(f"the adapter {str(source)!r} names no base model: give the base, and the folder as adapter=")
    nearby = folder / base
    return (nearby if nearby.is_dir() else Path(base) if Path(base).is_dir() else base), folder


def refuse_pickles(source: str | Path) -> None:
    """Raise ModelError for a folder that is not there, is no model, or has weights that run code when they are read.

    A hub id is let through: what is fetched of it is looked at when it is here.
    """
    folder, name = Path(source), str(source)
    if not folder.is_dir():
        if folder.is_absolute() or name.startswith((".", "~")) or name.endswith("/") or name.count("/") > 1:
            raise ModelError(
                f"there is no model folder {str(source)!r}: name one that is there, or an id of a hub (OWNER/NAME)"
            )
        return
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{str(source)!r} is no transformers model: it has no config.json; give a folder saved with "
            "save_pretrained(), or an id of a hub (OWNER/NAME)"
        )
    if not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"{str(source)!r} has no .safetensors file, and pickled weights can run code when they are read: "
            "save it again with save_pretrained() somewhere you trust it"
        )


def refuse_unreachable(source: str | Path, revision: str | None) -> None:
    """Raise ModelError for a hub id that is not on this machine where the hub cannot be reached, after two tries.

    transformers tries six times for each of several files, a minute and a half for a folder whose name was mistyped.
    """
    import huggingface_hub
    from huggingface_hub.errors import OfflineModeIsEnabled
    from huggingface_hub.utils import http_backoff  # type: ignore[attr-defined]  # it is documented to be there

    name = str(source)
    if Path(source).is_dir():
        return
    try:
        files = ("config.json", ADAPTER)
        if any(huggingface_hub.try_to_load_from_cache(name, file, revision=revision) for file in files):
            return
        url = huggingface_hub.hf_hub_url(name, files[0], revision=revision)
        http_backoff("HEAD", url, max_retries=1, retry_on_status_codes=(), timeout=10)  # any answer will do
    except OfflineModeIsEnabled:
        return  # then transformers asks nobody either
    except Exception as error:  # of the HTTP client, which differs by version, or of an id that none can be
        said = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(
            f"there is no folder {name!r}, and no hub can be asked for a model of that name ({said}): check the name; "
            "a model of a hub is OWNER/NAME"
        ) from error


@contextmanager
def as_model_error(source: str | Path, *, kind: str = "a causal language model") -> Iterator[None]:
    """Whatever transformers says when it cannot load `source`, as a ModelError that says what to give."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"transformers cannot load {str(source)!r}: {error}\n"
            f"Give the folder of {kind} saved with save_pretrained(), or a hub id that can be reached."
        ) from error
