"""What the reference says of the rows of a training: computed once, kept on disk until the training is done."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bon.store.plain import canonical
from bon.train.files import as_store_error, whole
from bon.train.order import passes
from bon.train.place import Place
from bon.train.policy.examples import Example
from bon.train.policy.logprobs import sequence_log_probs
from bon.train.policy.model import Policy

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Referred", "forget", "referred", "spoken"]

_FILE = "reference.safetensors"
_ROWS = 256
"""Rows that are sorted by length together: what is held at a time where nothing bounds a pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Referred:
    """A row, and what the reference says of it: log-probabilities of whole responses, in nats."""

    example: Example
    chosen: float = 0.0
    rejected: float = 0.0


def spoken(model: Any, rows: Sequence[Example], *, temperature: float) -> tuple[Tensor, Tensor]:
    """Log pi of the chosen and of the rejected responses of B rows, each of shape `(B,)`, float32, from one pass.

    Where no row has a rejected one the second is 0.
    """
    import torch

    prompts = [row.prompt for row in rows]
    chosen = [row.chosen for row in rows]
    rejected = [row.rejected for row in rows]
    if not any(rejected):
        found = sequence_log_probs(model, prompts, chosen, temperature=temperature)
        return found, torch.zeros_like(found)
    both = sequence_log_probs(model, [*prompts, *prompts], [*chosen, *rejected], temperature=temperature)
    return both[: len(rows)], both[len(rows) :]


def referred(
    policy: Policy,
    rows: Sequence[Example],
    *,
    folder: Path,
    identity: Mapping[str, Any],
    tokens: int | None,
    temperature: float,
    place: Place,
) -> list[Referred]:
    """The rows with what `policy` says of them before its first step, when it is the reference still.

    What `folder` holds of the same `identity` is read instead, so that a training that goes on is held to the same
    bits. Passes have at most `tokens`. Raises StoreError where the disk refuses.
    """
    from safetensors.torch import load_file

    file, stamp = folder / _FILE, hashlib.sha256(canonical(identity)).hexdigest()
    if place.first and _stamp(file) != stamp:
        policy.to(place.device)
        with place.enough_memory():
            said = _read(policy, rows, tokens=tokens, temperature=temperature)
        _save(file, said, stamp)
    place.wait()
    with as_store_error("what the reference says", folder):
        table = load_file(file)["said"].tolist()
    return [
        Referred(example=row, chosen=chosen, rejected=rejected)
        for row, (chosen, rejected) in zip(rows, table, strict=True)
    ]


def forget(folder: Path) -> None:
    """Take away what was kept, once the training is done."""
    with suppress(OSError):
        (folder / _FILE).unlink()


def _read(policy: Policy, rows: Sequence[Example], *, tokens: int | None, temperature: float) -> Tensor:
    """What the policy says of each row: shape `(rows, 2)`, float64."""
    import torch

    said = torch.zeros(len(rows), 2, dtype=torch.float64)
    with torch.no_grad(), policy.computing():
        for begin in range(0, len(rows), _ROWS):
            part = rows[begin : begin + _ROWS]
            for cut in passes([row.tokens for row in part], tokens):
                both = spoken(policy.model, [part[place] for place in cut], temperature=temperature)
                said[[begin + place for place in cut]] = torch.stack(both, dim=1).double().cpu()
    return said


def _save(file: Path, said: Tensor, stamp: str) -> None:
    from safetensors.torch import save_file

    with as_store_error("what the reference says", file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole(file) as part:
            save_file({"said": said}, part, metadata={"identity": stamp})


def _stamp(file: Path) -> str | None:
    """What a file says it is of; None where there is none that can be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            found: str | None = (opened.metadata() or {}).get("identity")
            return found
    except (OSError, SafetensorError):
        return None
