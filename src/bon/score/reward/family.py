"""What a family of reward models is made of: how it is told, how text becomes token ids, and what states are worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bon.types import Message

if TYPE_CHECKING:
    import torch

    from bon.models.backbone import Backbone
    from bon.models.reading import Row
    from bon.models.weights import Weights

__all__ = ["Checkpoint", "Family", "Judge", "Options", "Verdict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a reward model says of one answer, or of one ordered pair of answers."""

    value: float
    parts: Mapping[str, float] = field(default_factory=dict)
    """Named sub-scores: objectives, labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """A reward model that is loaded."""

    backbone: Backbone
    encode: Callable[[Sequence[Message], Sequence[str]], Row]
    """`(messages, answers)`: one answer, or the two of a pair where `pairwise`. Raises ScoreError for a chat that
    cannot be read."""
    judge: Callable[[torch.Tensor], Verdict]
    """From the hidden states at the row's positions, shape `(len(at), H)`, float32."""
    limit: int | None
    """Most tokens a row may have; None where nothing sets a limit."""
    pairwise: bool = False
    """Whether it compares two answers instead of judging one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the caller says of a reward model beyond where it is."""

    dtype: str | None = None
    device: str | None = None
    revision: str | None = None
    max_length: int | None = None
    """Most tokens of a row, where that is not the model's own limit."""
    output: str | int | None = None
    """Which of several outputs is the reward: its index from 0, or its label."""
    template: str | None = None
    """A file with a Jinja chat template, for a tokenizer that has none or another."""
    instruct: str | None = None
    """What a reranker is told to look for."""

    @property
    def loading(self) -> dict[str, Any]:
        """The options of `bon.models.backbone.load_backbone`."""
        return {"dtype": self.dtype, "device": self.device, "revision": self.revision}


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A model folder, looked at and not yet loaded."""

    source: str
    """What the caller named."""
    folder: Path
    config: Mapping[str, Any]
    """Its config.json, or that of the base it is laid on; empty for a head alone."""
    reward: Mapping[str, Any] | None
    """Its bon_reward.json, where bon trained it."""
    base: Path | None = None
    """The folder of the base, where this one is a LoRA adapter's."""

    @cached_property
    def weights(self) -> Weights:
        """Its tensors, by their published names, each read when it is asked for."""
        from bon.models.weights import Weights

        return Weights(self.folder)

    @property
    def names(self) -> frozenset[str]:
        """The names of its tensors; none for a folder without weights of its own."""
        return frozenset(self.weights) if any(self.folder.glob("*.safetensors")) else frozenset()

    @property
    def architecture(self) -> str:
        """The class it was saved from."""
        stated = self.config.get("architectures") or [""]
        return str(stated[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A shape in which reward models are published."""

    name: str
    source: str
    """Where its formula was read: repository, file, version."""
    fits: Callable[[Checkpoint], bool]
    load: Callable[[Checkpoint, Options], Judge]
    reads: tuple[str, ...] = ("template",)
    """Which of the options output, template and instruct it heeds."""
    pairwise: bool = False
