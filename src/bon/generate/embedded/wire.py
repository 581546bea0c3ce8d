"""What the parent and the worker process say to each other: messages, and their frames on a pipe."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import IO, Any, TypeAlias

import msgspec

__all__ = [
    "Begun",
    "Broken",
    "Cancel",
    "Done",
    "Draw",
    "Grown",
    "Open",
    "Refused",
    "Reply",
    "Request",
    "Sampling",
    "Sequence",
    "decode_reply",
    "decode_request",
    "read_frame",
    "write_frame",
]

_LENGTH = struct.Struct("<I")


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How the tokens of a draw are chosen."""

    max_tokens: int | None = None
    temperature: float = 1.0
    """0 is greedy."""
    top_p: float = 1.0
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False
    json_schema: str | None = None
    """The answer is JSON of this schema."""
    beams: int = 1
    """Above 1: beam search, and all the beams are the answer."""
    beam_groups: int = 1
    diversity_penalty: float = 0.0


class Open(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The first message: which model, and how it runs."""

    path: str
    deterministic: bool = False
    cache_tokens: int
    """Tokens whose keys and values are kept, of all draws together; memory is taken as they come."""
    threads: int | None = None


class Draw(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One draw is wanted."""

    id: int = 0
    messages: tuple[dict[str, Any], ...]
    sampling: Sampling
    template: dict[str, Any] = {}
    """Extra variables for the chat template."""
    tools: tuple[dict[str, Any], ...] = ()
    """Shown to the model by its chat template."""
    grow: bool = False
    """Whether `Grown` messages are wanted."""


class Cancel(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A draw is no longer wanted; it is not answered."""

    id: int


class Begun(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A draw has its first token."""

    id: int


class Grown(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """More text of a draw."""

    id: int
    text: str


class Sequence(msgspec.Struct, frozen=True, kw_only=True):
    """One finished answer."""

    text: str
    """What was drawn, after a `<think>` where the chat template wrote that itself."""
    finish_reason: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]


class Done(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A draw is finished: one sequence, or the beams, the best first."""

    id: int
    sequences: tuple[Sequence, ...]
    prompt_tokens: int
    first_token: float
    """Seconds since the worker was asked."""
    total: float


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A draw cannot be made, and asking again would not help."""

    id: int
    message: str


class Broken(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The model cannot be opened; the worker ends."""

    message: str


Request: TypeAlias = Open | Draw | Cancel
Reply: TypeAlias = Begun | Grown | Done | Refused | Broken

decode_request: Callable[[bytes], Request] = msgspec.json.Decoder(Request).decode
decode_reply: Callable[[bytes], Reply] = msgspec.json.Decoder(Reply).decode


def write_frame(pipe: IO[bytes], message: Request | Reply) -> None:
    """Write one message: its length in four bytes, then its JSON."""
    body = msgspec.json.encode(message)
    pipe.write(_LENGTH.pack(len(body)) + body)
    pipe.flush()


def read_frame(pipe: IO[bytes]) -> bytes | None:
    """The JSON of the next message, or None where the pipe has ended."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    body = pipe.read(_LENGTH.unpack(head)[0])
    return body if len(body) == _LENGTH.unpack(head)[0] else None
