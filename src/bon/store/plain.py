"""Values as JSON can hold them: finite numbers, whole characters, plain containers; no files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

__all__ = ["canonical", "encode", "finite", "finites", "plain", "refuse_deep"]

_AS_THEY_ARE = frozenset({str, int, bool, type(None)})
_DEEPEST = 100
"""Levels of lists and mappings in what is read: far less than Python can descend into when it is written again."""


def plain(value: Any, where: str = "a row") -> Any:
    """A value with mappings as dicts, sequences as lists, and numpy's numbers and arrays as Python's.

    NaN and infinity, which JSON encoders silently turn into null, are refused with a ValueError; what JSON has no word
    for with a TypeError. `where` begins the message.
    """
    if type(value) in _AS_THEY_ARE or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return finite(value, where)
    if isinstance(value, list | tuple):  # this, and then a dict, is what most are: found sooner than what is like them
        return [plain(inner, where) for inner in value]
    if isinstance(value, dict) or isinstance(value, Mapping):  # noqa: SIM101  # the same
        return {key: plain(inner, f"{where}: {key}") for key, inner in value.items()}
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist(), where)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [plain(inner, where) for inner in value]
    raise TypeError(f"{where} holds {value!r} of type {type(value).__name__}, which JSON cannot: convert it first")


def finite(number: float, where: str) -> float:
    """A number as a float. Raises ValueError for NaN and infinity."""
    if not math.isfinite(number):
        raise ValueError(f"{where} holds {number!r}, which JSON cannot: use None, with a reason, for what is missing")
    return float(number)


def finites(numbers: Iterable[float], where: str) -> tuple[float, ...]:
    """Numbers as floats. Raises ValueError where one is NaN or infinite."""
    kept = tuple(map(float, numbers))
    if not all(map(math.isfinite, kept)):
        raise ValueError(f"{where} hold a number that is not finite, which JSON cannot: leave them out (None)")
    return kept


def refuse_deep(value: Any) -> None:
    """Raise RecursionError for lists and mappings that are nested more than 100 levels deep."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list | tuple)
        ]
        if not level:
            return
    raise RecursionError(f"nested more than {_DEEPEST} levels deep")


def encode(row: Any) -> bytes:
    """A row, or a noun of bon, as one line of JSON.

    Half a character (a lone surrogate, as a cut-off emoji leaves) becomes U+FFFD.
    """
    return _encoded(_encoder, row)


def canonical(value: Any) -> bytes:
    """A value as JSON with the keys in order: equal values give equal bytes."""
    return _encoded(_ordering, plain(value))


def _encoded(encoder: msgspec.json.Encoder, value: Any) -> bytes:
    try:
        return encoder.encode(value)
    except UnicodeEncodeError:
        return encoder.encode(_whole_characters(msgspec.to_builtins(value, enc_hook=plain)))


def _whole_characters(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_whole_characters(key): _whole_characters(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_whole_characters(inner) for inner in value]
    return value


_encoder = msgspec.json.Encoder(enc_hook=plain)
_ordering = msgspec.json.Encoder(order="deterministic")
