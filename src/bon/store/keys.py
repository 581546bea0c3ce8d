"""The keys of the response cache: one hash for all spellings of the same JSON, another for whatever differs."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import msgspec

from bon.store.plain import plain

__all__ = ["Keys", "exact", "keys_of"]

_WHOLE = 2**53
"""Floats up to here hold whole numbers exactly."""


class Keys:
    """The keys of everything that has its first parts in common, which are hashed once."""

    def __init__(self, *common: Any) -> None:
        self._hash = hashlib.sha256(b"[" + exact(common) + b",")

    def __call__(self, own: bytes) -> bytes:
        """32 bytes: sha256 of the JSON of `[common parts, own]`; `own` is JSON already."""
        copy = self._hash.copy()
        copy.update(own + b"]")
        return copy.digest()


def keys_of(*common: Any) -> Keys | None:
    """The keys of what has these parts in common.

    None where JSON cannot hold them exactly (NaN, half a character, an object of yours): others might have the same.
    """
    try:
        return Keys(*common)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


def exact(parts: Sequence[Any]) -> bytes:
    """Parts as the JSON of a list, keys in order, equal numbers spelt alike; no two texts become one.

    Raises TypeError, ValueError, OverflowError or RecursionError for what JSON cannot hold exactly.
    """
    return _encoder.encode([_spelt(part) for part in parts])


def _spelt(value: Any) -> Any:
    """A value as `plain` has it, with whole numbers as integers: 1.0 as 1."""
    kind = type(value)
    if kind is str or kind is int or value is None:
        return value
    if kind is float and math.isfinite(value):
        return int(value) if value.is_integer() and abs(value) <= _WHOLE else value
    if kind is dict:
        return {key: _spelt(inner) for key, inner in value.items()}
    if kind is list or kind is tuple:
        return [_spelt(inner) for inner in value]
    plainly = plain(value, "a key")
    return plainly if type(plainly) is kind else _spelt(plainly)


_encoder = msgspec.json.Encoder(order="deterministic")
