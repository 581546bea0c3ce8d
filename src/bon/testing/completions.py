"""Makes OpenAI-shaped chat completions out of scripted answers, whole or as stream events; counts words as tokens."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec

from bon.types import Usage, text_of

__all__ = ["Answer", "as_events", "as_reply", "tokens", "usage_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the endpoint says in one choice."""

    text: str = ""
    reasoning: str | None = None
    reasoning_field: Literal["reasoning_content", "reasoning"] = "reasoning_content"
    tool_calls: Sequence[Mapping[str, Any]] = ()
    finish_reason: str | None = "stop"

    def limited(self, max_tokens: int | None) -> Answer:
        """This answer as `max_tokens` leaves it."""
        pieces = tokens(self.text)
        if max_tokens is None or len(pieces) <= max_tokens:
            return self
        return replace(self, text="".join(pieces[:max_tokens]), finish_reason="length")

    @property
    def billed(self) -> int:
        return len(tokens(self.text)) + len(tokens(self.reasoning or ""))


def tokens(text: str) -> list[str]:
    """The text in pieces that add up to it: each word with the space behind it."""
    return re.findall(r"\S+\s*|\s+", text)


def usage_of(request: Mapping[str, Any], answers: Sequence[Answer]) -> Usage:
    """What a request and its answers cost."""
    asked = sum(len(tokens(text_of(message))) for message in request.get("messages", ()))
    return Usage(prompt_tokens=asked, completion_tokens=sum(answer.billed for answer in answers))


def _usage(request: Mapping[str, Any], answers: Sequence[Answer]) -> dict[str, Any]:
    usage = usage_of(request, answers)
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def _logprobs(request: Mapping[str, Any], text: str) -> dict[str, Any] | None:
    """Invented ones, always the same for the same token."""
    if not request.get("logprobs"):
        return None
    most = request.get("top_logprobs") or 0
    content = []
    for token in tokens(text):
        value = -(zlib.crc32(token.encode()) % 1000) / 1000
        top = [{"token": token, "logprob": value - rank, "bytes": None} for rank in range(most)]
        content.append({"token": token, "logprob": value, "bytes": None, "top_logprobs": top})
    return {"content": content}


def _head(request: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-test", "object": kind, "created": 0, "model": request.get("model", "")}


def as_reply(request: Mapping[str, Any], answers: Sequence[Answer]) -> bytes:
    """A whole chat completion."""
    choices = []
    for index, answer in enumerate(answers):
        message: dict[str, Any] = {"role": "assistant", "content": answer.text}
        if answer.reasoning is not None:
            message[answer.reasoning_field] = answer.reasoning
        if answer.tool_calls:
            message["tool_calls"] = list(answer.tool_calls)
        choices.append(
            {
                "index": index,
                "message": message,
                "finish_reason": answer.finish_reason,
                "logprobs": _logprobs(request, answer.text),
            }
        )
    return msgspec.json.encode(
        {**_head(request, "chat.completion"), "choices": choices, "usage": _usage(request, answers)}
    )


def as_events(request: Mapping[str, Any], answers: Sequence[Answer]) -> list[bytes]:
    """The same as server-sent events: a chunk a token, the finish_reason, the usage if asked for, and [DONE]."""
    head = _head(request, "chat.completion.chunk")
    chunks: list[dict[str, Any]] = []
    for index, answer in enumerate(answers):
        chunks += [{**head, "choices": [{"index": index, **piece}]} for piece in _pieces(request, answer)]
    if (request.get("stream_options") or {}).get("include_usage"):
        chunks.append({**head, "choices": [], "usage": _usage(request, answers)})
    return [b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks] + [b"data: [DONE]\n\n"]


def _pieces(request: Mapping[str, Any], answer: Answer) -> Iterator[dict[str, Any]]:
    yield {"delta": {"role": "assistant", "content": ""}, "finish_reason": None}
    for token in tokens(answer.reasoning or ""):
        yield {"delta": {answer.reasoning_field: token}, "finish_reason": None}
    for token in tokens(answer.text):
        yield {"delta": {"content": token}, "finish_reason": None, "logprobs": _logprobs(request, token)}
    for place, call in enumerate(answer.tool_calls):
        function = dict(call.get("function", {}))
        arguments = str(function.pop("arguments", ""))
        opening = {**call, "index": place, "function": {**function, "arguments": ""}}
        yield {"delta": {"tool_calls": [opening]}, "finish_reason": None}
        for begin in range(0, len(arguments), 5):
            piece = {"index": place, "function": {"arguments": arguments[begin : begin + 5]}}
            yield {"delta": {"tool_calls": [piece]}, "finish_reason": None}
    yield {"delta": {}, "finish_reason": answer.finish_reason}
