"""The small networks on top of a backbone, run from published tensors by their names: float32, on the CPU."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from bon.errors import ModelError

if TYPE_CHECKING:
    import torch

    from bon.models.backbone import Backbone
    from bon.score.reward.family import Checkpoint

__all__ = [
    "activation",
    "chain",
    "fitted",
    "layers_of",
    "linear",
    "outputs_of",
    "part_of",
    "picked",
    "taken",
    "vocabulary_rows",
]

_NUMBERED = re.compile(r"(\d+)\.(?:weight|bias)")
_KINDS = ("weight", "bias")
_FURTHEST = 3
"""Places from a layer to the next: an activation, and perhaps dropout, lie between."""


def taken(weights: Mapping[str, torch.Tensor], names: Iterable[str]) -> dict[str, torch.Tensor]:
    """Tensors by name, in float32. Raises ModelError for those that are not there."""
    wanted = list(names)
    if missing := [name for name in wanted if name not in weights]:
        raise ModelError(_lacks(missing))
    return {name: weights[name].float() for name in wanted}


def fitted(head: Mapping[str, torch.Tensor], layers: Sequence[str], *, size: int) -> None:
    """Raise ModelError where linear layers, one after the other, do not take `size` numbers and then each other's."""
    if missing := [f"{layer}.weight" for layer in layers if f"{layer}.weight" not in head]:
        raise ModelError(_lacks(missing))
    for layer in layers:
        shape = tuple(head[f"{layer}.weight"].shape)
        if len(shape) != 2 or shape[1] != size:
            raise ModelError(
                f"{layer}.weight of the checkpoint has the shape {shape}, and is given {size} numbers: the head is of "
                "another model, or a layer between is missing; fetch the model again"
            )
        size = shape[0]


def part_of(names: Collection[str], *roots: str) -> frozenset[str]:
    """Those names that lie under one of the roots, or are one."""
    return frozenset(name for name in names if any(name == root or name.startswith(f"{root}.") for root in roots))


def vocabulary_rows(checkpoint: Checkpoint, backbone: Backbone, tokens: Sequence[int]) -> torch.Tensor:
    """The language head's rows of these tokens, shape `(len(tokens), H)`: of the embeddings where the two are tied."""
    if "lm_head.weight" in checkpoint.names:
        rows = checkpoint.weights["lm_head.weight"][list(tokens)]
    else:
        rows = backbone.model.get_input_embeddings().weight[list(tokens)]
    return rows.detach().float().cpu()


def linear(head: Mapping[str, torch.Tensor], root: str, states: torch.Tensor) -> torch.Tensor:
    """`states @ W.T + b`, shape `(..., outputs)`; the bias may be missing."""
    from torch.nn import functional

    return functional.linear(states, head[f"{root}.weight"], head.get(f"{root}.bias"))


def chain(
    head: Mapping[str, torch.Tensor],
    root: str,
    states: torch.Tensor,
    *,
    between: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> torch.Tensor:
    """The linear layers under a root in the order of their numbers, with ReLU, or `between`, between them.

    A root without numbers is one layer. Of an `nn.Sequential` only the layers with weights are numbered in a file.
    Raises ModelError where a layer is missing, or something lies there that is no layer.
    """
    import torch

    *inner, last = layers_of(head, root)
    for layer in inner:
        states = (between or torch.relu)(linear(head, layer, states))
    return linear(head, last, states)


def layers_of(head: Mapping[str, torch.Tensor], root: str) -> list[str]:
    """Where the linear layers under a root lie, in their order: the root itself, or its numbered parts.

    A head that begins with another layer than its first, or leaves one out, is not read as a shorter one. Raises
    ModelError for it, and for tensors there that are of no layer.
    """
    names = part_of(head, root)
    numbers = sorted({int(match[1]) for name in names if (match := _NUMBERED.fullmatch(name.removeprefix(f"{root}.")))})
    layers = [f"{root}.{number}" for number in _spaced(numbers)] or [root]
    missing = {f"{layer}.weight" for layer in layers} - names
    left = names - {f"{layer}.{kind}" for layer in layers for kind in _KINDS}
    if missing:
        raise ModelError(_lacks(missing))
    if left:
        raise ModelError(
            f"the checkpoint has tensors at its head that are of no linear layer: {', '.join(sorted(left))}; bon has "
            "no adapter for such a head"
        )
    return layers


def outputs_of(head: Mapping[str, torch.Tensor], root: str) -> int:
    """How many numbers `chain` gives."""
    return int(head[f"{layers_of(head, root)[-1]}.weight"].shape[0])


def activation(name: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """An activation by the name that transformers' configurations use. Raises ModelError for one it does not know."""
    from transformers.activations import ACT2FN

    if name not in ACT2FN:
        raise ModelError(f"the checkpoint's configuration names the activation {name!r}, which transformers has not")
    found: Callable[[torch.Tensor], torch.Tensor] = ACT2FN[name]
    return found


def picked(
    count: int, config: Mapping[str, Any], output: str | int | None, *, source: str
) -> tuple[int, tuple[str, ...]]:
    """Which output is the reward, and the names of all; a head of several outputs is never taken for one of one.

    Raises ModelError where nobody says which of several it is, or says one that is not there.
    """
    stated = config.get("id2label") or {}
    labels = tuple(str(stated.get(str(i), stated.get(i, f"LABEL_{i}"))) for i in range(count))
    if output is None:
        if count != 1:
            raise ModelError(
                f"{source!r} has a head of {count} outputs ({', '.join(labels)}); nothing says which is the reward: "
                "give output=NAME or output=INDEX; a process reward model is prm:, not rm:"
            )
        return 0, labels
    if isinstance(output, int) and not isinstance(output, bool) and 0 <= output < count:
        return output, labels
    if output in labels:
        return labels.index(str(output)), labels
    raise ModelError(f"{source!r} has no output {output!r}; it has {', '.join(labels)}, or 0 to {count - 1}")


def _spaced(numbers: Sequence[int]) -> Sequence[int]:
    """The numbers that layers must have, when these have been seen.

    They begin with 0; an activation, or that and dropout, lie between any two, or nothing.
    """
    if not numbers:
        return ()
    step = min((b - a for a, b in pairwise(numbers)), default=numbers[0] or 1)
    return range(0, numbers[-1] + 1, step if step <= _FURTHEST else _FURTHEST - 1)


def _lacks(names: Iterable[str]) -> str:
    return (
        f"the checkpoint lacks tensors of its head: {', '.join(sorted(names))}; fetch it again, or take another "
        "family= where it was named"
    )
