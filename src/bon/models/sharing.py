"""Which shortcuts a model allows: padding its rows, and sharing prefixes; read from its configuration, and tried."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bon.models.prefixes import Past, read_on

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Shortcuts", "shortcuts_of"]

_PROVEN = frozenset(
    ("gemma2", "gemma3_text", "gpt2", "gpt_neox", "llama", "mistral", "phi3", "qwen2", "qwen3", "qwen3_moe")
)
"""Kinds of models for which tests hold that both shortcuts give what plain forward passes give."""
_TRIED, _PREFIX = 24, 10
"""Tokens of the row that a model of another kind is tried with, and of the prefix in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortcuts:
    """What may be done with a decoder's rows without changing what comes of them."""

    padding: bool
    """Whether rows may be padded at the right and read together."""
    windows: tuple[int | None, ...] | None
    """How many tokens back each layer sees, None for all of them; None in all where prefixes cannot be shared."""
    steady: int | None
    """Rows longer than this count their positions differently, all of them: they share with nobody. None: never."""


def shortcuts_of(model: Any) -> Shortcuts:
    """What a decoder allows. A kind that is not among the proven ones is tried with a small row, in inference mode."""
    config = model.config.get_text_config()
    windows, steady = _windows(model), _steady_length(config)
    if config.model_type in _PROVEN:
        return Shortcuts(padding=True, windows=windows, steady=steady)
    row = [(7 * i + 3) % config.vocab_size for i in range(_TRIED)]
    if not _padding_holds(model, row):
        return Shortcuts(padding=False, windows=None, steady=steady)
    holds = windows is not None and _sharing_holds(model, row, windows)
    return Shortcuts(padding=True, windows=windows if holds else None, steady=steady)


def _windows(model: Any) -> tuple[int | None, ...] | None:
    """None where a layer remembers something else than keys and values: recurrent, compressed, chunked, borrowed."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    takes = set(inspect.signature(model.forward).parameters)
    if not {"past_key_values", "position_ids"} <= takes:
        return None
    if getattr(model.config.get_text_config(), "attention_chunk_size", None):
        return None
    layers = DynamicCache(config=model.config).layers
    if not layers or any(type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers):
        return None
    return tuple(getattr(layer, "sliding_window", None) for layer in layers)


def _steady_length(config: Any) -> int | None:
    """Where LongRoPE changes from its short to its long factors, for all positions of a row."""
    rope = getattr(config, "rope_parameters", None) or {}
    kinds = [rope, *(value for value in rope.values() if isinstance(value, dict))]
    limits = [kind["original_max_position_embeddings"] for kind in kinds if kind.get("rope_type") == "longrope"]
    return min(limits, default=None)


def _padding_holds(model: Any, row: list[int]) -> bool:
    long, short = tuple(row), tuple(row[:_PREFIX])
    both = read_on(model, [long, short], [None, None], windows=None).hidden
    alone = read_on(model, [short], [None], windows=None).hidden[0]
    return _alike(both[1, : len(short)], alone)


def _sharing_holds(model: Any, row: list[int], windows: tuple[int | None, ...]) -> bool:
    """Whether rows after prefixes of different lengths come out as rows that are read whole."""
    whole = tuple(row)
    read = read_on(model, [whole], [None], windows=windows, keep=True)
    if read.layers is None or len(read.layers) != len(windows):
        return False  # layers that do not keep their own keys and values
    past: Past = read.past(0, whole, None)
    pasts = [past.head(_PREFIX), past.head(_PREFIX // 2)]
    new = [whole[_PREFIX:], whole[_PREFIX // 2 : _PREFIX]]
    found = read_on(model, new, pasts, windows=windows).hidden
    plain = read_on(model, [whole], [None], windows=None).hidden[0]
    return all(
        _alike(found[place, : len(ids)], plain[len(before.ids) : len(before.ids) + len(ids)])
        for place, (ids, before) in enumerate(zip(new, pasts, strict=True))
    )


def _alike(first: Tensor, second: Tensor) -> bool:
    """Whether states differ by rounding only."""
    import torch

    allowed = 1e-3 if second.dtype == torch.float32 else 0.1
    off, size = (first - second).float().norm(), second.float().norm()
    return bool(off <= allowed * size)
