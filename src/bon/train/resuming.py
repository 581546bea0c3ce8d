"""What any training does to go on from a checkpoint: weights and moments by name, the same training, lines cut."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bon.errors import UsageError
from bon.store.jsonl import read_jsonl, write_atomic
from bon.store.plain import canonical

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

__all__ = ["cut_after", "differing", "moments", "refill", "require_same", "restore"]


def moments(optimizer: Optimizer, trained: Mapping[str, Any]) -> dict[str, Tensor]:
    """The optimiser's tensors, by what they are and the name of the weight they are of, in the order of `trained`."""
    names = list(trained)
    state = optimizer.state_dict()["state"]
    return {f"{kind}.{names[place]}": tensor for place, kinds in state.items() for kind, tensor in kinds.items()}


def restore(optimizer: Optimizer, trained: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser back what `moments` read from it."""
    places = {name: place for place, name in enumerate(trained)}
    state: dict[int, dict[str, Any]] = {}
    for key, tensor in tensors.items():
        kind, _, name = key.partition(".")
        state.setdefault(places[name], {})[kind] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def refill(trained: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors into the weights of their names."""
    import torch

    with torch.no_grad():
        for name, tensor in tensors.items():
            trained[name].copy_(tensor)


def cut_after(path: Path, step: int) -> None:
    """Take away what was recorded after a step: those steps are made again."""
    rows = (row for _, row in read_jsonl(path, tolerate_truncated_tail=True))
    write_atomic(path, [msgspec.json.encode(row) for row in takewhile(lambda row: row["step"] <= step, rows)])


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What two trainings differ in, of which the old one was read from JSON; empty where they are the same."""
    now = msgspec.json.decode(canonical(new))
    return [name for name in {**old, **now} if old.get(name) != now.get(name)]


def require_same(old: Mapping[str, Any], new: Mapping[str, Any], folder: Path) -> None:
    """Raise UsageError where the identity that a checkpoint was made with is not that of the training at hand."""
    differ = differing(old, new)
    if differ:
        now = msgspec.json.decode(canonical(new))
        shown = "; ".join(f"{name} was {_short(old.get(name))}, is now {_short(now.get(name))}" for name in differ)
        raise UsageError(
            f"{str(folder)!r} holds another training, which cannot be continued so: {shown}. Name another output, or "
            "take that folder away"
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
