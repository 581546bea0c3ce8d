"""What a draw is asked with: the merged request, and the seed that only this draw has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from bon.types import Message, Prompt, Usage

__all__ = ["DEFAULT_N", "DEFAULT_REQUEST", "at_most", "draw_seed", "merged"]

DEFAULT_N = 8
DEFAULT_REQUEST: Mapping[str, Any] = {"temperature": 0.7, "top_p": 0.9, "max_tokens": 512}


def merged(defaults: Mapping[str, Any], prompt: Prompt) -> dict[str, Any]:
    """The request of a prompt after defaults: what the prompt says wins; None takes a field away."""
    return {key: value for key, value in {**defaults, **prompt.request}.items() if value is not None}


def draw_seed(run_seed: int, prompt_id: str, index: int) -> int:
    """The seed of one draw, in [0, 2**31): it depends on nothing but its arguments, so N=16 begins with N=8's draws."""
    digest = hashlib.sha256(f"{run_seed}\0{prompt_id}\0{index}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


_A_CHAT = 256
"""Tokens that a chat template may add on its own, at the most: its own system message, words around the tools."""
_A_MESSAGE = 16
"""Tokens that it may put around a message."""
_A_PART = 4096
"""Tokens of a part that is no text: an image, a sound, a file."""


def at_most(prompt: Prompt, request: Mapping[str, Any], *, draws: int = 1) -> Usage | None:
    """An upper bound of what one call for `draws` draws can take; None where nothing bounds the answer (no max_tokens).

    A tokenizer that falls back on bytes makes at most one token of a byte, so the bytes of all text, of the tools and
    of the response format are enough, with some more for the template and for parts that are no text.
    """
    bounds = [request[field] for field in ("max_tokens", "max_completion_tokens") if field in request]
    if not bounds or not all(isinstance(bound, int) for bound in bounds):
        return None
    read = _A_CHAT + sum(map(_message_size, prompt.messages))
    read += sum(_size(request[field]) for field in ("tools", "response_format") if field in request)
    return Usage(prompt_tokens=read, completion_tokens=draws * max(bounds))


def _message_size(message: Message) -> int:
    size = _A_MESSAGE
    for field, value in message.items():
        if field == "content" and isinstance(value, list | tuple):
            size += sum(_part_size(part) for part in value)
        else:
            size += _size(value)
    return size


def _part_size(part: object) -> int:
    text = part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else None
    return _size(text) if isinstance(text, str) else _A_PART


def _size(value: object) -> int:
    """The bytes of a text, or of a value as a template writes it out."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
    return 0 if value is None else len(json.dumps(value, indent=4, default=str))
