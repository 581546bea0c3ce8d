"""Reads what endpoints answer: JSON with numbers that may be none, rows put in order by their index; pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from bon.types import Usage

__all__ = ["in_order", "one_each", "parsed", "shaped", "tokens_read", "usage_of"]

T = TypeVar("T")
V = TypeVar("V")


def parsed(body: bytes) -> Any:
    """The JSON of an answer; NaN and infinities, which are no JSON but which Python's own writer makes, are None.

    One of these costs one candidate its score, and not the whole batch. Raises ValueError for what is no JSON.
    """
    return json.loads(body, parse_constant=lambda _: None)


def shaped(found: Any, kind: type[T]) -> T:
    """An answer as a value of this type. Raises ValueError that says where it is not one."""
    return msgspec.convert(found, type=kind, strict=True)


def in_order(rows: Sequence[tuple[int, V]], count: int) -> list[V]:
    """The values of rows that name their index, in the order asked.

    Raises ValueError unless each index is there once: a row too few or too many is somebody else's score.
    """
    if sorted(index for index, _ in rows) != list(range(count)):
        raise ValueError(f"asked about {count}, it answers about {[index for index, _ in rows]}")
    return [value for _, value in sorted(rows, key=lambda row: row[0])]


def one_each(rows: Sequence[V], count: int) -> list[V]:
    """Rows that name no index, which are in the order asked. Raises ValueError for another number of them."""
    if len(rows) != count:
        raise ValueError(f"asked about {count}, it answers about {len(rows)}")
    return list(rows)


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int | None = 0


class _Paid(msgspec.Struct):
    usage: _Usage | None = None


def usage_of(found: Any) -> Usage | None:
    """What an answer in OpenAI's manner says it took; None where it does not."""
    try:
        usage = shaped(found, _Paid).usage
    except ValueError:
        return None
    if usage is None:
        return None
    return Usage(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens or 0)


class _Tokens(msgspec.Struct):
    tokens: list[int]
    max_model_len: int | None = None


def tokens_read(body: bytes) -> tuple[list[int], int | None]:
    """The ids that /tokenize gives, and how many the model reads at the most, if it says so.

    The same in vLLM 0.33.0 (vllm/entrypoints/serve/tokenize/protocol.py) and SGLang 0.5.23
    (sglang/srt/entrypoints/openai/protocol.py).
    """
    found = shaped(parsed(body), _Tokens)
    most = found.max_model_len
    return found.tokens, most if most is not None and most > 0 else None
