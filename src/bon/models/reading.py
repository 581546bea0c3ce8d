"""Reads the hidden states at positions of many rows, fast: common prefixes once, batches within a budget of tokens."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bon.errors import ModelError, UsageError
from bon.models.backbone import Backbone
from bon.models.batches import in_chunks, packed, shared_lengths
from bon.models.prefixes import Memory, Past, read_on
from bon.models.sharing import Shortcuts, shortcuts_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LEAST", "TOKENS", "WASTE", "Reader", "Row"]

Ids = tuple[int, ...]

TOKENS = 8192
"""Tokens of a batch, padding and what is known of its rows included."""
LEAST = 64
"""Tokens that sharing must save: less is not worth another forward pass."""
WASTE = 256
"""Tokens of padding that a batch may compute: more is not cheaper than another forward pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of tokens, and where in it the hidden states are wanted."""

    ids: tuple[int, ...]
    at: tuple[int, ...]
    """Positions in `ids`, from 0."""
    types: tuple[int, ...] | None = None
    """An encoder's `token_type_ids`, one a token; None where it has none."""


class Reader:
    """Hidden states at positions of rows, as a forward pass of each row by itself would give them (up to rounding).

    Rows of a decoder that begin alike have their common prefix read once, also when they come in calls one after
    another; where its cache cannot be shared they are read whole. Rows of an encoder are batched by length. Calls from
    several threads wait for one another.

    `tokens` bounds the memory: rows times padded length of a batch, prefixes included, and in the same way what is
    remembered of prefixes, of the batch and of the last calls. `least` and `waste` are what another forward pass is
    worth, in tokens: what sharing must save, and what padding may cost. They change how fast it is and nothing else.
    """

    def __init__(self, backbone: Backbone, *, tokens: int = TOKENS, least: int = LEAST, waste: int = WASTE) -> None:
        if tokens < 1:
            raise UsageError(f"tokens is how many tokens a batch may have, 1 or more, not {tokens!r}")
        self._backbone = backbone
        self._tokens, self._least, self._waste = tokens, least, waste
        # DeBERTa's positions are relative: its context is what it was trained with, and no limit.
        absolute = getattr(backbone.model.config, "position_biased_input", True)
        self._limit = backbone.context if absolute else None
        self._memory = Memory(tokens)
        self._lock = threading.Lock()

    def read(self, rows: Sequence[Row]) -> list[Tensor]:
        """One tensor a row, in their order: float32 on the CPU, `(len(at), H)`.

        Raises UsageError for a row without tokens or longer than the model's context, and for a position that is not
        in its row; ModelError for a token that the model does not have.
        """
        import torch

        words = self._backbone.model.get_input_embeddings().weight.shape[0]
        for row in rows:
            _check(row, self._limit)
            if max(row.ids) >= words:
                raise ModelError(
                    f"the tokenizer of {self._backbone.name!r} makes the token {max(row.ids)}, and the model has "
                    f"{words}: it is another model's; put the one beside the weights that was published with them"
                )
        keys = [(row.ids, None if self._backbone.causal else row.types) for row in rows]
        ats: dict[tuple[Ids, Ids | None], set[int]] = {}
        for key, row in zip(keys, rows, strict=True):
            ats.setdefault(key, set()).update(row.at)
        wanted = {key: sorted(some) for key, some in ats.items()}
        places = {key: {at: i for i, at in enumerate(some)} for key, some in wanted.items()}
        with self._lock, torch.inference_mode():
            if self._backbone.causal:
                found = self._decoded({ids: some for (ids, _), some in wanted.items()})
                states = {key: found[key[0]] for key in wanted}
            else:
                states = self._encoded(wanted)
        # Picked outside of inference mode, so that a head can be trained on them.
        return [states[key][[places[key][at] for at in row.at]] for key, row in zip(keys, rows, strict=True)]

    def forget(self) -> None:
        """Give back what is remembered of prefixes."""
        with self._lock:
            self._memory.clear()

    @cached_property
    def _allowed(self) -> Shortcuts:
        return shortcuts_of(self._backbone.model)

    def _decoded(self, wanted: Mapping[Ids, Sequence[int]]) -> dict[Ids, Tensor]:
        steady = self._allowed.steady
        beyond = [row for row in wanted if steady is not None and len(row) > steady]
        rows = [row for row in wanted if steady is None or len(row) <= steady]
        shares = [0] * len(rows)
        if self._allowed.windows is not None:
            shares = shared_lengths(rows, held=self._memory.ids, least=self._least)
        alone = [row for row, shared in zip(rows, shares, strict=True) if not shared]
        # They are remembered where all of them have room, for others to come.
        keep = self._allowed.windows is not None and sum(map(len, alone)) <= self._tokens
        found = self._read_whole(beyond, wanted, keep=False) | self._read_whole(alone, wanted, keep=keep)
        groups: dict[Ids, list[Ids]] = {}
        for row, shared in zip(rows, shares, strict=True):
            if shared:
                groups.setdefault(row[:shared], []).append(row)
        prefixes = list(groups)
        for chunk in in_chunks([len(prefix) for prefix in prefixes], tokens=self._tokens):
            pasts = self._pasts([prefixes[place] for place in chunk])
            found |= self._read_after([(row, pasts[prefixes[p]]) for p in chunk for row in groups[prefixes[p]]], wanted)
        return found

    def _read_whole(self, rows: Sequence[Ids], wanted: Mapping[Ids, Sequence[int]], *, keep: bool) -> dict[Ids, Tensor]:
        """Rows that share nothing."""
        model, windows = self._backbone.model, self._allowed.windows
        found: dict[Ids, Tensor] = {}
        tokens = self._tokens if self._allowed.padding else 1
        for batch in packed([(0, len(row)) for row in rows], tokens=tokens, waste=self._waste):
            ids = [rows[place] for place in batch]
            read = read_on(model, ids, [None] * len(ids), windows=windows, keep=keep)
            found |= zip(ids, _gathered(read.hidden, [wanted[row] for row in ids]), strict=True)
            if keep:
                for place, row in enumerate(ids):
                    self._memory.keep(read.past(place, row, None))
        return found

    def _read_after(self, rows: Sequence[tuple[Ids, Past]], wanted: Mapping[Ids, Sequence[int]]) -> dict[Ids, Tensor]:
        """Rows whose prefixes are known."""
        import torch

        found: dict[Ids, Tensor] = {}
        known = {row: past.hidden[[at for at in wanted[row] if at < len(past.ids)]] for row, past in rows}
        for row, past in rows:
            if len(row) == len(past.ids):
                found[row] = known[row].float().cpu()
        left = [(row, past) for row, past in rows if len(row) > len(past.ids)]
        lengths = [(len(past.ids), len(row) - len(past.ids)) for row, past in left]
        for batch in packed(lengths, tokens=self._tokens, waste=self._waste):
            ids, pasts = [left[place][0] for place in batch], [left[place][1] for place in batch]
            new = [row[len(past.ids) :] for row, past in zip(ids, pasts, strict=True)]
            read = read_on(self._backbone.model, new, pasts, windows=self._allowed.windows)
            ats = [
                [at - len(past.ids) for at in wanted[row] if at >= len(past.ids)]
                for row, past in zip(ids, pasts, strict=True)
            ]
            for row, states in zip(ids, _gathered(read.hidden, ats), strict=True):
                found[row] = torch.cat([known[row].float().cpu(), states])
        return found

    def _pasts(self, prefixes: Iterable[Ids]) -> dict[Ids, Past]:
        """What is remembered of prefixes; those that are not known are read, what they share among them once."""
        pasts: dict[Ids, Past] = {}
        missing: list[Ids] = []
        for prefix in prefixes:
            past = self._memory.find(prefix)
            if past is None:
                missing.append(prefix)
            else:
                pasts[prefix] = past
        if not missing:
            return pasts
        shares = shared_lengths(missing, held=self._memory.ids, least=self._least)
        # A prefix that others begin with is a root itself. The longest is none, so there is less to read every time.
        roots = self._pasts({prefix[:n]: None for prefix, n in zip(missing, shares, strict=True) if n})
        pasts |= {prefix: roots[prefix] for prefix in missing if prefix in roots}
        rest = [(p, roots.get(p[:n])) for p, n in zip(missing, shares, strict=True) if p not in roots]
        return pasts | self._extended(rest)

    def _extended(self, prefixes: Sequence[tuple[Ids, Past | None]]) -> dict[Ids, Past]:
        """Prefixes read after the pasts that they begin with, and remembered."""
        pasts: dict[Ids, Past] = {}
        known = [0 if past is None else len(past.ids) for _, past in prefixes]
        lengths = [(length, len(ids) - length) for (ids, _), length in zip(prefixes, known, strict=True)]
        for batch in packed(lengths, tokens=self._tokens, waste=self._waste):
            new = [prefixes[place][0][known[place] :] for place in batch]
            before = [prefixes[place][1] for place in batch]
            read = read_on(self._backbone.model, new, before, windows=self._allowed.windows, keep=True)
            for row in range(len(batch)):
                past = read.past(row, new[row], before[row])
                pasts[past.ids] = past
                self._memory.keep(past)
        return pasts

    def _encoded(self, wanted: Mapping[tuple[Ids, Ids | None], Sequence[int]]) -> dict[tuple[Ids, Ids | None], Tensor]:
        """Rows of an encoder, padded at the right and masked."""
        import torch

        model, rows = self._backbone.model, list(wanted)
        found: dict[tuple[Ids, Ids | None], Tensor] = {}
        for batch in packed([(0, len(ids)) for ids, _ in rows], tokens=self._tokens, waste=self._waste):
            some = [rows[place] for place in batch]
            longest = max(len(ids) for ids, _ in some)
            pad = model.config.pad_token_id or 0  # by which RoBERTa counts its positions
            columns: dict[str, Any] = {
                "input_ids": [[*ids, *[pad] * (longest - len(ids))] for ids, _ in some],
                "attention_mask": [[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in some],
            }
            if any(types is not None for _, types in some):
                columns["token_type_ids"] = [[*(t or [0] * len(i)), *[0] * (longest - len(i))] for i, t in some]
            device = model.get_input_embeddings().weight.device
            out = model(**{name: torch.tensor(column, device=device) for name, column in columns.items()})
            found |= zip(some, _gathered(out.last_hidden_state, [wanted[row] for row in some]), strict=True)
        return found


def _gathered(hidden: Tensor, ats: Sequence[Sequence[int]]) -> list[Tensor]:
    """The states at positions of each row of `(rows, S, H)`: one float32 tensor a row, on the CPU."""
    import torch

    rows = [row for row, some in enumerate(ats) for _ in some]
    picked = hidden[rows, [at for some in ats for at in some]].float().cpu()
    return list(torch.split(picked, [len(some) for some in ats]))


def _check(row: Row, context: int | None) -> None:
    if not row.ids:
        raise UsageError("a row to read has no tokens")
    if context is not None and len(row.ids) > context:
        raise UsageError(f"a row of {len(row.ids)} tokens is longer than the model's context of {context}")
    wrong = [at for at in row.at if not 0 <= at < len(row.ids)]
    if wrong:
        raise UsageError(f"positions {wrong!r} are not in a row of {len(row.ids)} tokens")
    if row.types is not None and len(row.types) != len(row.ids):
        raise UsageError(f"a row of {len(row.ids)} tokens has {len(row.types)} token types")
