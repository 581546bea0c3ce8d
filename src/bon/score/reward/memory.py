"""What a model that scores will need of this machine's memory, and whether it is there, before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bon.errors import ModelError
from bon.score.reward.family import Checkpoint, Options

if TYPE_CHECKING:
    from bon.models.memory import Need

__all__ = ["need_on", "said"]


def need_on(checkpoint: Checkpoint, options: Options, *, name: str, tokens: int | None) -> tuple[str, Need]:
    """The device that a checkpoint will be loaded on, and what it needs there to read batches of `tokens`."""
    from bon.models.loading import chosen_device, chosen_dtype, libraries
    from bon.models.memory import need_of
    from bon.models.reading import TOKENS

    libraries(name)
    place = chosen_device(options.device)
    dtype = str(chosen_dtype(options.dtype, place)).removeprefix("torch.")
    trained = checkpoint.reward or {}
    source = _below(checkpoint) if trained.get("adapted") == "head" else checkpoint.folder
    try:
        return place, need_of(source, dtype=dtype, tokens=tokens or TOKENS, name=name)
    except ModelError as error:
        if trained.get("adapted") != "lora":
            raise
        raise _gone(checkpoint, error) from error


def _below(checkpoint: Checkpoint) -> Path:
    """The folder of the base that a head alone lies on."""
    from bon.models.from_gguf import resolved
    from bon.models.weights import folder_of

    trained = checkpoint.reward or {}
    try:
        return folder_of(resolved(str(trained["base"])), trained.get("revision"))
    except ModelError as error:
        raise _gone(checkpoint, error) from error


def _gone(checkpoint: Checkpoint, error: ModelError) -> ModelError:
    base = (checkpoint.reward or {}).get("base")
    return ModelError(f"{checkpoint.source!r} was trained on {base!r}, and needs it: {error}")


def said(checkpoint: Checkpoint, options: Options, *, name: str, tokens: int | None) -> str:
    """The memory that a checkpoint needs against what is there, in a line.

    Raises ModelError that says what would fit where it does not, and MissingExtra without torch.
    """
    from bon.models.memory import planned, there

    place, need = need_on(checkpoint, options, name=name, tokens=tokens)
    return planned([need], there(place), device=place)
