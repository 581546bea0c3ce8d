"""How a model is optimised and what comes of it, as frozen values; nothing here computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

from bon.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Done", "Hook", "Objective", "Reading", "Recipe", "Step", "Task"]

R = TypeVar("R")

Objective: TypeAlias = Callable[[Any, Sequence[R]], "tuple[Tensor, Mapping[str, Tensor]]"]
"""(model, rows) -> one loss a row, shape `(rows,)`, and named values to log, one a row, each of shape `(rows,)`.

It calls the model itself rather than a part of it, so that several processes can share the work. What it gives must not
depend on which other rows it is given, dropout aside: how a step is cut into passes is no matter of the result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How weights are optimised: AdamW (Loshchilov and Hutter 2019) over rows in a seeded order."""

    epochs: int = 1
    """How often each row is met."""
    steps: int | None = None
    """Steps of the optimiser at the most; None: as many as the epochs have."""
    lr: float = 1e-5
    """Learning rate at its height."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How it falls to 0 over all steps, after the warm-up."""
    warmup: float = 0.0
    """Share of the steps in which it rises from 0."""
    batch: int = 32
    """Rows a step."""
    tokens: int | None = None
    """Tokens a pass, padding included, at the most; a step is as many passes as it takes. None: one pass a step."""
    adam_eps: float = 1e-8
    """What is added to the root of the second moment; a larger one moves weights less whose gradients are small."""
    weight_decay: float = 0.0
    clip: float | None = 1.0
    """Gradients of a larger norm are scaled down to it; None: never."""
    evaluate: int | None = None
    """Steps between two evaluations on held-out rows; None: after each epoch."""
    patience: int | None = None
    """Evaluations without a better figure before it stops; None: it goes on to the end."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """What passes are computed in; weights that are trained keep their own."""
    seed: int = 0
    """Of the order of rows and of dropout."""
    save_seconds: float = field(default=300.0, compare=False)
    """Seconds after which a checkpoint is due; each evaluation makes one too."""

    def __post_init__(self) -> None:
        for name in ("epochs", "steps", "batch", "tokens", "evaluate", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value!r}: give a whole number from 1")
        if not self.adam_eps > 0:
            raise UsageError(f"adam_eps is {self.adam_eps!r}: give a number above 0")
        if not (
            self.lr > 0 and 0 <= self.warmup < 1 and self.weight_decay >= 0 and (self.clip is None or self.clip > 0)
        ):
            raise UsageError(
                f"lr is {self.lr!r}, warmup {self.warmup!r}, weight_decay {self.weight_decay!r}, clip {self.clip!r}: "
                "wanted are lr and clip above 0, warmup (a share of the steps) from 0 to below 1, weight_decay from 0"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Generic[R]):
    """What is learned: rows, what is minimised on them, and how well it does on rows held out."""

    rows: Sequence[R]
    objective: Objective[R]
    length: Callable[[R], int] = lambda _: 1
    """Tokens of a row, in the longest of its sequences times how many there are, for `Recipe.tokens`."""
    weight: Callable[[R], float] = lambda _: 1.0
    """The loss of a step is the sum of its rows' losses over the sum of their weights: 1 for a mean over rows; the
    number of labelled tokens, for an objective that sums over them, for a mean over tokens."""
    held_out: Callable[[Any], Mapping[str, float]] | None = None
    """The model, in eval mode and without gradients, -> figures on held-out rows."""
    watch: str = "loss"
    """The figure that says which weights are best."""
    higher: bool = False
    """Whether more of it is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a progress hook is told after each step of the optimiser."""

    step: int
    """How many were made, from 1; 0 for the evaluation before the first."""
    steps: int
    """How many there are in all, if it does not stop early."""
    epoch: float
    figures: Mapping[str, float]
    """`loss`, `lr`, `grad_norm` (before clipping) and the objective's own, over the rows of this step."""
    held_out: Mapping[str, float] | None = None
    """Figures on held-out rows, where they were measured after this step."""
    seconds: float = 0.0
    """Since this run of it began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a progress hook is told while hidden states are read, before the first step."""

    done: int
    """Rows that were read."""
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of a training; the model has the best weights it saw."""

    steps: int
    """Steps that were made, those of runs that this one continued included."""
    epoch: float
    stopped: Literal["done", "patience"]
    best_step: int
    """After which step the weights were best; the last, where nothing is held out."""
    first: Mapping[str, float]
    """Figures on held-out rows before the first step; empty where nothing is held out."""
    best: Mapping[str, float]
    """The same after `best_step`."""
    loss: float | None
    """The training loss of the last step."""


Hook: TypeAlias = Callable[[Step | Reading], None]
"""What is told how a training comes on."""
