"""The small networks on top of a backbone, run from published tensors by their names: float32, on the CPU."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bon.errors import ModelError

if TYPE_CHECKING:
    import torch

    from bon.models.backbone import Backbone
    from bon.score.reward.family import Checkpoint

__all__ = ["activation", "chain", "linear", "outputs_of", "part_of", "picked", "taken", "vocabulary_rows"]

_NUMBERED = re.compile(r"(\d+)\.weight")


def taken(weights: Mapping[str, torch.Tensor], names: Iterable[str]) -> dict[str, torch.Tensor]:
    """Tensors by name, in float32. Raises ModelError for those that are not there."""
    wanted = list(names)
    if missing := [name for name in wanted if name not in weights]:
        raise ModelError(f"the checkpoint lacks tensors of its head: {', '.join(sorted(missing))}")
    return {name: weights[name].float() for name in wanted}


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
    """
    import torch

    numbers = _numbers(head, root)
    if not numbers:
        return linear(head, root, states)
    for number in numbers[:-1]:
        states = (between or torch.relu)(linear(head, f"{root}.{number}", states))
    return linear(head, f"{root}.{numbers[-1]}", states)


def outputs_of(head: Mapping[str, torch.Tensor], root: str) -> int:
    """How many numbers `chain` gives."""
    numbers = _numbers(head, root)
    last = f"{root}.{numbers[-1]}" if numbers else root
    return int(head[f"{last}.weight"].shape[0])


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


def _numbers(head: Mapping[str, torch.Tensor], root: str) -> list[int]:
    found = (_NUMBERED.fullmatch(name.removeprefix(f"{root}.")) for name in head if name.startswith(f"{root}."))
    return sorted(int(match[1]) for match in found if match)
