"""The memory that models need and the memory there is, before anything is loaded; it neither loads nor reserves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bon.errors import ModelError, UsageError
from bon.models.loading import base_and_adapter
from bon.models.weights import Weights, folder_of

__all__ = ["Need", "need_of", "planned", "there"]

_BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
_REMEMBERED = 3
"""Times the tokens of a batch that keys and values are kept of: of the batch, of its prefixes, of the last calls."""
_LIBRARIES = 128 << 20
"""What a first forward pass takes besides, whatever the model: kernels, threads and their work space."""
_LEAST_TOKENS = 512
_MEMINFO = Path("/proc/meminfo")
_CGROUPS = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Limit and use of the memory of a container, as version 2 and version 1 of control groups have them, and what of the
use are pages of files, which make room when it is needed."""
_UNKNOWN = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What one model needs, in bytes."""

    name: str
    weights: int
    cache: int = 0
    """Keys and values of what is remembered of rows."""
    activations: int = 0
    """What a forward pass of a batch takes at its most."""
    dtype: str = ""
    tokens: int = 0
    """Tokens of a batch, which `cache` and `activations` grow with; 0 where they do not."""

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.activations


def need_of(source: str | Path, *, dtype: str = "float32", tokens: int = 8192, name: str | None = None) -> Need:
    """What a model needs to read batches of `tokens`, by its configuration and its files' headers.

    `source` is a folder or a hub id. An estimate from above: the weights are exact, of activations the widest layer is
    counted. Raises ModelError where there is no such model, UsageError for a dtype whose size is not known.
    """
    if dtype not in _BYTES:
        raise UsageError(f"dtype {dtype!r} is none of {', '.join(_BYTES)}")
    folder = folder_of(source)
    base, _ = base_and_adapter(folder, None)
    folder = folder_of(base)
    config = _text_config(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    size = _BYTES[dtype]
    return Need(
        name=name or str(source),
        weights=sum(kept.count for kept in Weights(folder).kept.values()) * size,
        cache=_REMEMBERED * tokens * _kept_numbers(config) * size,
        activations=(tokens * _widest(config) + _attended(config, tokens)) * size + _LIBRARIES,
        dtype=dtype,
        tokens=tokens,
    )


def there(device: str = "cpu") -> int:
    """The bytes that are free: of a GPU, or of the machine and the container that this process runs in."""
    if device.startswith("cuda") or device == "auto":
        import torch

        if torch.cuda.is_available():
            places = range(torch.cuda.device_count()) if device == "auto" else [torch.device(device).index or 0]
            return sum(torch.cuda.mem_get_info(place)[0] for place in places)
    return min(_available(), *(_left(*group) for group in _CGROUPS))


def planned(needs: Sequence[Need], there: int, *, device: str = "cpu") -> str:
    """One line that says what models will take of what there is.

    Raises ModelError where they do not fit together; it says what each needs and what would fit.
    """
    needed = sum(need.total for need in needs)
    each = "; ".join(_said(need) for need in needs)
    if needed <= there:
        return f"memory on {device}: {_gb(needed)} of {_gb(there)} ({each})"
    raise ModelError(
        f"{' and '.join(repr(need.name) for need in needs)} need {_gb(needed)} on {device}, and {_gb(there)} are there "
        f"({each}). {_would_fit(needs, there)}"
    )


def _said(need: Need) -> str:
    batch = "" if not need.tokens else f", {_gb(need.cache + need.activations)} for batches of {need.tokens} tokens"
    return f"{need.name}: {_gb(need.weights)} of weights{f' in {need.dtype}' if need.dtype else ''}{batch}"


def _would_fit(needs: Sequence[Need], there: int) -> str:
    """The smallest change that would do, and otherwise what is left to try."""
    options = []
    weights = sum(need.weights for need in needs)
    working = sum(need.cache + need.activations for need in needs if need.tokens)
    tokens = max((need.tokens for need in needs), default=0)
    narrow = sum(need.total // 2 if need.dtype in ("float32", "float64") else need.total for need in needs)
    fixed = weights + sum(need.cache + need.activations for need in needs if not need.tokens)
    while tokens > _LEAST_TOKENS and fixed + working > there:
        tokens, working = tokens // 2, working // 2
    if working and fixed + working <= there:
        options.append(f"tokens={tokens}")
    if narrow <= there:
        options.append("dtype=bfloat16")
    if not options and len(needs) > 1:
        options.extend([f"{need.name!r} alone" for need in needs if need.total <= there][:1])
    found = f"What would fit: {' or '.join(options)}; or" if options else "Take"
    return f"{found} a smaller model, or another device (device=)"


def _text_config(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, **config["text_config"]} if isinstance(config.get("text_config"), dict) else config


def _first(config: dict[str, Any], *names: str, default: int) -> int:
    return next((int(config[name]) for name in names if isinstance(config.get(name), int)), default)


def _sizes(config: dict[str, Any]) -> tuple[int, int, int]:
    """Hidden size, layers and heads, under the names that configurations have for them."""
    hidden = _first(config, "hidden_size", "n_embd", "d_model", "dim", default=4096)
    return (
        hidden,
        _first(config, "num_hidden_layers", "n_layer", "num_layers", "n_layers", default=32),
        _first(config, "num_attention_heads", "n_head", "num_heads", "n_heads", default=max(1, hidden // 64)),
    )


def _kept_numbers(config: dict[str, Any]) -> int:
    """Numbers that are kept of a token: keys and values of all layers, and its last hidden state."""
    hidden, layers, heads = _sizes(config)
    groups = _first(config, "num_key_value_heads", default=heads)
    return 2 * layers * groups * _first(config, "head_dim", default=hidden // heads) + hidden


def _widest(config: dict[str, Any]) -> int:
    """Numbers of a token that exist at one time: hidden states and their copies, and the inside of a feed-forward."""
    hidden, _, heads = _sizes(config)
    inside = _first(config, "intermediate_size", "n_inner", "d_inner", "hidden_dim", default=4 * hidden)
    attention = 4 * heads * _first(config, "head_dim", default=hidden // heads)
    return 6 * hidden + max(4 * inside, attention)


def _attended(config: dict[str, Any], tokens: int) -> int:
    """Numbers of attention weights, where attention is not fused: scores and probabilities of one whole row."""
    eager = (
        config.get("attn_logit_softcapping") or config.get("relative_attention") or config.get("model_type") == "bloom"
    )
    if not eager:
        return 0
    longest = min(tokens, _first(config, "max_position_embeddings", default=tokens))
    return 3 * _sizes(config)[2] * tokens * longest


def _available() -> int:
    try:
        for line in _MEMINFO.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    import os

    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return _UNKNOWN  # the system itself will say


def _left(group: Path, limit: str, used: str, files: str) -> int:
    """What a container's limit leaves."""
    try:
        most, taken = (int((group / name).read_text(encoding="ascii")) for name in (limit, used))
        stat = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):  # no such control group, or the limit is "max"
        return _UNKNOWN
    return max(0, most - taken + int(stat.get(files, 0)))


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
