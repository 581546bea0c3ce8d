"""What a decoder remembers of a prefix, and reading rows that go on from prefixes; which rows is not its business."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Memory", "Past", "Read", "read_on"]

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What a model remembers of a row of `P` tokens."""

    ids: Ids
    layers: tuple[tuple[Tensor, Tensor], ...]
    """Keys and values of each layer, `(1, heads, P, size of a head)`; of all tokens, sliding windows or not."""
    hidden: Tensor
    """The last hidden states, `(P, H)`."""

    def head(self, length: int) -> Past:
        """What it remembers of its first tokens: a view, nothing is copied."""
        if length == len(self.ids):
            return self
        layers = tuple((keys[:, :, :length], values[:, :, :length]) for keys, values in self.layers)
        return Past(ids=self.ids[:length], layers=layers, hidden=self.hidden[:length])


class Memory:
    """The last prefixes that were read, `tokens` of them at most; those that were not asked for longest go first."""

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens
        self._pasts: OrderedDict[Ids, Past] = OrderedDict()

    @property
    def ids(self) -> list[Ids]:
        """The rows that are remembered."""
        return list(self._pasts)

    def find(self, ids: Ids) -> Past | None:
        """What is remembered of exactly these tokens."""
        for row, past in reversed(self._pasts.items()):
            if row[: len(ids)] == ids:
                self._pasts.move_to_end(row)
                return past.head(len(ids))
        return None

    def keep(self, past: Past) -> None:
        """Remember one more row, which takes the place of those it begins with."""
        if len(past.ids) > self._tokens:
            return
        for row in [row for row in self._pasts if past.ids[: len(row)] == row]:
            del self._pasts[row]
        self._pasts[past.ids] = past
        while sum(map(len, self._pasts)) > self._tokens:
            self._pasts.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._pasts.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What came of reading a batch of rows."""

    hidden: Tensor
    """`(rows, S, H)`: of the tokens that were read, each row at the left."""
    layers: tuple[tuple[Tensor, Tensor], ...] | None
    """Keys and values of those tokens, `(rows, heads, S, size of a head)`, where they were to be kept."""

    def past(self, row: int, new: Ids, before: Past | None) -> Past:
        """What is remembered of a row, whose `new` ids were read here; a copy, which does not hold on to the batch."""
        import torch

        assert self.layers is not None  # noqa: S101  # the caller asked for them
        hidden = self.hidden[row, : len(new)]
        layers = [(k[row : row + 1, :, : len(new)], v[row : row + 1, :, : len(new)]) for k, v in self.layers]
        if before is None:
            return Past(ids=new, layers=tuple((k.clone(), v.clone()) for k, v in layers), hidden=hidden.clone())
        joined = tuple(
            (torch.cat([old_k, k], dim=2), torch.cat([old_v, v], dim=2))
            for (old_k, old_v), (k, v) in zip(before.layers, layers, strict=True)
        )
        return Past(ids=(*before.ids, *new), layers=joined, hidden=torch.cat([before.hidden, hidden]))


def read_on(
    model: Any,
    rows: Sequence[Ids],
    pasts: Sequence[Past | None],
    *,
    windows: tuple[int | None, ...] | None,
    keep: bool = False,
) -> Read:
    """Read the ids of each row after what is remembered of it, all in one forward pass.

    Prefixes are padded at the left and what is read at the right, so that the tokens of a row are neighbours, by which
    sliding windows are counted. Padding at the right needs no mask: nothing looks ahead. Without any past and `keep`,
    this is the model's plain forward pass.
    """
    import torch
    from transformers import Cache
    from transformers.cache_utils import CacheLayerMixin

    CacheLayerMixin.register(_Layer)  # a subclass would need transformers when this module is imported
    device = model.get_input_embeddings().weight.device
    most, longest = max(0 if p is None else len(p.ids) for p in pasts), max(map(len, rows))
    ids = torch.tensor([[*row, *[row[-1]] * (longest - len(row))] for row in rows], device=device)
    if not most and not keep:
        return Read(hidden=model(input_ids=ids, use_cache=False).last_hidden_state, layers=None)
    assert windows is not None  # noqa: S101  # who has a past, has a cache
    groups: dict[int, tuple[Past, list[int]]] = {}
    for row, past in enumerate(pasts):
        if past is not None:
            groups.setdefault(id(past), (past, []))[1].append(row)
    layers = [_Layer([*groups.values()], layer, window, keep=keep) for layer, window in enumerate(windows)]
    given: dict[str, Any] = {}
    if most:
        before = torch.tensor([0 if past is None else len(past.ids) for past in pasts], device=device)[:, None]
        last = before + torch.tensor([len(row) - 1 for row in rows], device=device)[:, None]
        given["position_ids"] = torch.minimum(before + torch.arange(longest, device=device), last)
        if bool((before != most).any()):
            given["attention_mask"] = (torch.arange(most + longest, device=device) >= most - before).long()
    out = model(input_ids=ids, past_key_values=Cache(layers=layers), use_cache=True, **given)
    return Read(
        hidden=out.last_hidden_state,
        layers=tuple(layer.kept for layer in layers if layer.kept) if keep else None,
    )


class _Layer:
    """One layer of a transformers `Cache`: it shows the rows' pasts for the length of one forward pass.

    The pasts of all rows stand side by side only while their layer is computed, so that the memory this takes is one
    layer's, not all layers'.
    """

    is_compileable = False
    is_initialized = True
    keys = values = None

    def __init__(self, groups: Sequence[tuple[Past, list[int]]], layer: int, window: int | None, *, keep: bool) -> None:
        self._groups, self._layer, self._keep = groups, layer, keep
        self._most = max((len(past.ids) for past, _ in groups), default=0)
        self.is_sliding = window is not None
        self._seen = self._most if window is None else min(self._most, window - 1)
        self.kept: tuple[Tensor, Tensor] | None = None

    def update(self, keys: Tensor, values: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        if self._keep:
            self.kept = (keys, values)
        if not self._seen:
            return keys, values
        return self._after(keys, 0), self._after(values, 1)

    def _after(self, new: Tensor, which: int) -> Tensor:
        """The pasts' last tokens that this layer sees, then the new ones: `(rows, heads, seen + S, size)`."""
        import torch

        past, rows = self._groups[0]
        if len(rows) == len(new):  # all rows have the same
            seen = past.layers[self._layer][which][:, :, len(past.ids) - self._seen :]
            return torch.cat([seen.to(new.device).expand(len(new), -1, -1, -1), new], dim=2)
        joined = new.new_zeros((*new.shape[:2], self._seen + new.shape[2], new.shape[3]))
        joined[:, :, self._seen :] = new
        for past, rows in self._groups:
            count = min(len(past.ids), self._seen)
            seen = past.layers[self._layer][which][:, :, len(past.ids) - count :]
            joined[rows, :, self._seen - count : self._seen] = seen.to(new.device)
        return joined

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._seen + query_length, self._most - self._seen

    def get_seq_length(self) -> int:
        return self._most

    def get_max_length(self) -> int:
        return -1
