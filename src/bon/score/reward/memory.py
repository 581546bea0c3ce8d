"""What a model that scores will need of this machine's memory, and whether it is there, before anything is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    source = checkpoint.folder
    if checkpoint.reward is not None and checkpoint.reward.get("adapted") == "head":
        from bon.models.from_gguf import resolved
        from bon.models.weights import folder_of

        source = folder_of(resolved(str(checkpoint.reward["base"])), checkpoint.reward.get("revision"))
    return place, need_of(source, dtype=dtype, tokens=tokens or TOKENS, name=name)


def said(checkpoint: Checkpoint, options: Options, *, name: str, tokens: int | None) -> str:
    """The memory that a checkpoint needs against what is there, in a line.

    Raises ModelError that says what would fit where it does not, and MissingExtra without torch.
    """
    from bon.models.memory import planned, there

    place, need = need_on(checkpoint, options, name=name, tokens=tokens)
    return planned([need], there(place), device=place)
