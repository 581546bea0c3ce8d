"""A format of process reward models: how it is told, how steps become token ids, and what is read of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bon.score.reward.family import Checkpoint, Options
from bon.types import Message

if TYPE_CHECKING:
    import torch

    from bon.models.backbone import Backbone
    from bon.models.reading import Row

__all__ = ["Critic", "Format", "named"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Critic:
    """A process reward model that is loaded."""

    backbone: Backbone
    encode: Callable[[Sequence[Message], Sequence[str]], Row]
    """`(messages, steps)`, one position a step. Raises ScoreError or UsageError for a chat that cannot be read."""
    judge: Callable[[torch.Tensor], list[float]]
    """From the hidden states at the row's positions, shape `(steps, H)`, float32: how likely each step is right."""
    limit: int | None
    """Most tokens a row may have; None where nothing sets a limit."""
    steps: str
    """How a text is cut into steps where nobody says: a name of `bon.score.process.steps.SPLITTERS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format in which process reward models are published."""

    name: str
    source: str
    """Where it was read: repository, file, version."""
    fits: Callable[[Checkpoint], bool]
    load: Callable[[Checkpoint, Options], Critic]
    reads: tuple[str, ...] = ()
    """Which of the options output, template and instruct it heeds."""


def named(checkpoint: Checkpoint, pattern: str) -> bool:
    """Whether a language model goes by a name: nothing else tells one that was trained to say + or - from any other."""
    names = f"{checkpoint.source} {checkpoint.config.get('_name_or_path', '')}"
    return checkpoint.architecture.endswith("ForCausalLM") and re.search(pattern, names, re.IGNORECASE) is not None
