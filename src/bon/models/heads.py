"""The heads that bon trains on hidden states: made, saved and loaded; what their outputs mean is not said here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bon.errors import ModelError, UsageError
from bon.models.weights import Weights

__all__ = ["HEADS", "load_head", "make_head", "save_head"]

HEADS = ("linear", "mlp")
"""`linear` is one layer; `mlp` is Linear(H, 512), ReLU, Dropout(0.1), Linear(512, outputs)."""
_INNER, _DROPOUT = 512, 0.1


def make_head(kind: str, *, size: int, outputs: int = 1, bias: bool = True) -> Any:
    """A head with fresh weights, `(..., size)` -> `(..., outputs)`, in float32; its weights are torch's usual ones.

    `bias` is whether the last layer has one. Raises UsageError for a kind that is none of HEADS.
    """
    from torch import nn

    match kind:
        case "linear":
            return nn.Linear(size, outputs, bias=bias)
        case "mlp":
            return nn.Sequential(
                nn.Linear(size, _INNER), nn.ReLU(), nn.Dropout(_DROPOUT), nn.Linear(_INNER, outputs, bias=bias)
            )
    raise UsageError(f"there is no head {kind!r}; there are {' and '.join(map(repr, HEADS))}")


def save_head(path: str | Path, head: Any) -> None:
    """Save a head as safetensors: `weight` and `bias`, or `0.weight`, `0.bias`, `3.weight` and `3.bias`."""
    from safetensors.torch import save_file

    save_file({name: tensor.detach().float().cpu().contiguous() for name, tensor in head.state_dict().items()}, path)


def load_head(folder: str | Path, *, name: str = "head.safetensors") -> Any:
    """The head that was saved in a folder, in eval mode, float32 on the CPU; its kind is seen from its tensors.

    Raises ModelError where there is none or it is not one of ours.
    """
    path = Path(folder).expanduser() / name
    if not path.is_file():
        raise ModelError(
            f"there is no head {str(path)!r}: `bon train` writes one, and the folder is not whole without it"
        )
    weights = Weights(path)
    kind, last = ("linear", "") if "weight" in weights else ("mlp", "3.")
    first = weights.kept.get("weight") or weights.kept.get("0.weight")
    final = weights.kept.get(f"{last}weight")
    if first is None or final is None or len(first.shape) != 2:
        raise ModelError(f"{str(path)!r} is no head of bon: it holds {sorted(weights)!r}")
    head = make_head(kind, size=first.shape[1], outputs=final.shape[0], bias=f"{last}bias" in weights)
    try:
        head.load_state_dict({key: weights[key].float() for key in weights})
    except RuntimeError as error:
        raise ModelError(f"{str(path)!r} is no head of bon: {error}") from error
    return head.eval()
