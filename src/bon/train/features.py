"""Hidden states of rows, read once and kept on disk: what a head alone is trained on; knows nothing of losses."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bon.store.plain import canonical
from bon.train.files import as_store_error, whole

if TYPE_CHECKING:
    from torch import Tensor

    from bon.models.reading import Reader, Row

__all__ = ["features_of", "folded", "spread", "standardised"]

_ROWS = 256
"""Rows of a file: what is lost when something stops the reading."""
_LEAST = 1e-6
"""The smallest standard deviation that is divided by, as a share of the largest."""


def features_of(
    reader: Reader,
    rows: Sequence[Row],
    *,
    folder: Path,
    identity: Mapping[str, Any],
    progress: Callable[[int, int], None] | None = None,
) -> list[Tensor]:
    """The hidden states at each row's positions, `(len(at), H)` float32; those that `folder` has are not read again.

    `identity` says what they are of besides the rows: base, revision, dtype. Rows are read a few hundred at a time, in
    the order of their ids, so that those with a prefix in common come together; each such part is a file that is whole
    or not there. `progress` is told (rows done, rows in all).
    """
    from safetensors.torch import load_file, save_file

    distinct = sorted({(row.ids, row.at, row.types) for row in rows}, key=lambda key: (key[0], key[1]))
    known = {(row.ids, row.at, row.types): row for row in rows}
    found: dict[Any, Tensor] = {}
    for begin in range(0, len(distinct), _ROWS):
        part = distinct[begin : begin + _ROWS]
        file = folder / f"{_digest(part, identity)}.safetensors"
        if not file.is_file():
            states = reader.read([known[key] for key in part])
            with as_store_error("features", folder):
                folder.mkdir(parents=True, exist_ok=True)
                with whole(file) as unfinished:
                    save_file({str(place): state.contiguous() for place, state in enumerate(states)}, unfinished)
        loaded = load_file(file)
        found |= {key: loaded[str(place)] for place, key in enumerate(part)}
        if progress:
            progress(min(begin + _ROWS, len(distinct)), len(distinct))
    return [found[row.ids, row.at, row.types] for row in rows]


def standardised(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each dimension, shapes `(H,)`, of features `(n, H)`.

    One that hardly varies is divided by little more than the rounding of the others, never by 0.
    """
    mean, sd = features.mean(dim=0), features.std(dim=0, correction=0)
    return mean, sd.clamp_min(float(sd.max()) * _LEAST or 1.0)


def folded(head: Any, mean: Tensor, sd: Tensor) -> Any:
    """A head on standardised states, as a head on the states themselves; its first layer must have a bias."""
    import copy

    import torch

    found = copy.deepcopy(head)
    first = _first_layer(found)
    with torch.no_grad():
        weight = first.weight.double().cpu() / sd.double()
        first.bias.copy_(first.bias.double().cpu() - weight @ mean.double())
        first.weight.copy_(weight)
    return found


def spread(head: Any, mean: Tensor, sd: Tensor) -> None:
    """The inverse of `folded`, in place."""
    import torch

    first = _first_layer(head)
    with torch.no_grad():
        weight = first.weight.double().cpu()
        first.bias.copy_(first.bias.double().cpu() + weight @ mean.double())
        first.weight.copy_(weight * sd.double())


def _first_layer(head: Any) -> Any:
    return head if hasattr(head, "weight") else head[0]


def _digest(part: Sequence[Any], identity: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(canonical(identity))
    digest.update(repr(part).encode())
    return digest.hexdigest()[:32]
