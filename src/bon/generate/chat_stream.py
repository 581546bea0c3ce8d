"""Puts a streamed chat completion together again: text, reasoning, tool calls and logprobs, chunk by chunk; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bon.generate.chat_reply import Choice, Message, Reply, candidate
from bon.types import Candidate, Delta, Seconds, Usage

__all__ = ["ChatStream", "ThinkSplitter"]

_OPEN, _CLOSE = "<think>", "</think>"


class ThinkSplitter:
    """Tells reasoning from answer while a text grows: a leading <think> block is reasoning.

    For showing only: an answer that begins inside of a block which the chat template opened is known as reasoning
    when the block ends, so the finished candidate (`split_reasoning` of the whole) has the last word.
    """

    def __init__(self) -> None:
        self._held = ""
        self._where = "start"

    def feed(self, text: str) -> tuple[str, str]:
        """(reasoning, answer) that this piece adds; a few characters may be held back until they are clear."""
        self._held += text
        if self._where == "start":
            body = self._held.lstrip()
            if _OPEN.startswith(body):  # it may yet become a tag
                return "", ""
            if body.startswith(_OPEN):
                self._where, self._held = "thinking", body[len(_OPEN) :]
            else:
                self._where = "answer"
        if self._where == "thinking":
            thoughts, close, rest = self._held.partition(_CLOSE)
            if not close:
                keep = _overlap(thoughts, _CLOSE)
                self._held = thoughts[len(thoughts) - keep :]
                return thoughts[: len(thoughts) - keep], ""
            self._where, self._held = "gap", ""
            return thoughts, self._answer(rest)
        text, self._held = self._held, ""
        return "", self._answer(text)

    def _answer(self, text: str) -> str:
        if self._where == "gap":  # between the block and the answer
            text = text.lstrip()
            self._where = "answer" if text else "gap"
        return text


def _overlap(text: str, tag: str) -> int:
    """How many characters at the end of the text begin the tag."""
    return next((k for k in range(len(tag) - 1, 0, -1) if text.endswith(tag[:k])), 0)


class ChatStream:
    """One draw as it grows."""

    def __init__(self) -> None:
        self._choice = Choice(message=Message())
        self._splitter = ThinkSplitter()
        self._text: list[str] = []
        self._thoughts: list[str] = []
        self._tools: list[dict[str, Any]] = []
        self._places: dict[Any, int] = {}
        self._reply = Reply()

    @property
    def begun(self) -> bool:
        """Whether a token of any kind has come."""
        return bool(self._tools) or any(self._text) or any(self._thoughts)

    @property
    def ended(self) -> bool:
        """Whether the finish_reason has come: the answer is whole."""
        return bool(self._choice.finish_reason)

    @property
    def usage(self) -> Usage | None:
        """What it took, as far as the endpoint has said."""
        return self._reply.tokens

    def feed(self, chunk: Reply) -> Delta | None:
        """What a chunk adds to see, or None."""
        if chunk.usage is not None:
            self._reply = chunk
        for choice in chunk.choices or ():
            if choice.index == 0:
                return self._add(choice)
        return None

    def candidate(self, *, index: int, seconds: Seconds, seed: int | None, generator: str) -> Candidate:
        """The finished draw. Raises Truncated where the stream ended without a finish_reason."""
        self._choice.message = Message(
            content="".join(self._text), reasoning_content="".join(self._thoughts) or None, tool_calls=self._tools
        )
        return candidate(self._choice, index=index, seconds=seconds, usage=self.usage, seed=seed, generator=generator)

    def _add(self, choice: Choice) -> Delta | None:
        self._choice.finish_reason = choice.finish_reason or self._choice.finish_reason
        if choice.logprobs is not None and choice.logprobs.content:
            if self._choice.logprobs is None or self._choice.logprobs.content is None:
                self._choice.logprobs = choice.logprobs
            else:
                self._choice.logprobs.content += choice.logprobs.content
        piece = choice.delta or choice.message  # an endpoint that cannot stream sends the message in one piece
        if piece is None:
            return None
        for call in piece.tool_calls or ():
            self._merge_call(call)
        self._thoughts.append(piece.thoughts)
        self._text.append(piece.text)
        shown, answer = self._splitter.feed(piece.text)
        delta = Delta(text=answer, reasoning=piece.thoughts + shown)
        return delta if delta.text or delta.reasoning else None

    def _merge_call(self, piece: Mapping[str, Any]) -> None:
        """Add a piece of a tool call to the call of its index; one without an index goes by its id, or to the last."""
        key = piece.get("index", piece.get("id"))
        place = self._places.get(key) if key is not None else (len(self._tools) - 1 if self._tools else None)
        if place is None:
            place = self._places[key] = len(self._tools)
            self._tools.append({})
        _merge(self._tools[place], piece)


def _merge(call: dict[str, Any], piece: Mapping[str, Any]) -> None:
    for key, value in piece.items():
        if key == "index" or value is None:
            continue
        if isinstance(value, Mapping):
            _merge(call.setdefault(key, {}), value)
        elif key == "arguments" and isinstance(value, str):
            call[key] = call.get(key, "") + value
        elif value != "" or key not in call:
            call[key] = value
