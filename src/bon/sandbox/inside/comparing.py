"""When a value is as good as one that was written down elsewhere: in JSON, or in a session of an interpreter; pure."""

from __future__ import annotations

import ast
import json

__all__ = ["same", "shown"]

_TOLERANCE = 1e-6
_INF = float("inf")


def _plain(value: object) -> object:
    """A value with its tuples as lists, as JSON has it."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key if isinstance(key, str) else json.dumps(key): _plain(item) for key, item in value.items()}
    return value


def same(value: object, wanted: object) -> bool:
    """Whether a value is what JSON says it should be: floats within 1e-6, relative or absolute, tuples as lists."""
    return _close(_plain(value), _plain(wanted))


def _close(one: object, other: object) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_close, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_close(one[key], other[key]) for key in one)
    if isinstance(one, bool) or isinstance(other, bool) or not isinstance(one, float | int):
        return type(one) is type(other) and one == other
    if isinstance(other, float | int) and float in (type(one), type(other)):
        # One way of writing holds of infinities and of what is no number: not that they are near anything.
        return one == other or repr(one) == repr(other) or abs(one - other) <= _TOLERANCE * max(1.0, abs(other)) < _INF
    return one == other


def shown(value: object, wanted: str) -> bool:
    """Whether a value is what an interpreter's session shows: the same text, or a text for an equal value."""
    if repr(value) == wanted:
        return True
    try:
        stated = ast.literal_eval(wanted)
        return isinstance(stated, bool) is isinstance(value, bool) and bool(stated == value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
