"""An endpoint of reward models for tests, in the shapes of vLLM, SGLang and our own, that goes wrong on purpose."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from bon.testing.faults import Faults
from bon.testing.server.faulty import Faulty, Made, refusal
from bon.types import Usage

__all__ = ["RewardServer", "Rewards"]

Rewards: TypeAlias = Callable[[str, str], "float | Sequence[float] | None"]
"""From the text before an answer, and the answer as far as it is read, to a number, or one a class."""

_BOS = 1
_FIRST = 2
"""Ids from here on are characters: a token is a character, so that what was read can be read back."""
_TURN = re.compile(r"<\|(\w+)\|>(.*?)(?:<\|end\|>|$)", re.DOTALL)


def _by_length(before: str, answer: str) -> float:
    return len(answer) / 10 - len(before) / 1000


class RewardServer(Faulty):
    """`async with RewardServer(score) as server:` serves reward models at `server.root`.

    Told apart by their fields: /classify as vLLM (messages) and SGLang (input_ids) have it, /pooling and /rerank as
    vLLM, /v1/rerank and /v1/score as SGLang, /score as vLLM (text_1) and as ours (candidates), and /tokenize, which
    both have. As vLLM does, it puts numbers through a sigmoid or softmax unless told not to, does not know a model of
    another name, and refuses what is longer than `context` tokens.

    What it may do wrong all the time: `bos` other than 1 puts that many before a chat; `truncates` cuts what is too
    long instead of refusing it; `padding` is added to a score for each token by which it is shorter than the longest
    of its request. `separator` makes /pooling give a row for what stands before each.
    """

    def __init__(
        self,
        score: Rewards = _by_length,
        *,
        context: int = 32_768,
        faults: Faults = None,
        bos: int = 1,
        truncates: bool = False,
        padding: float = 0.0,
        separator: str | None = None,
    ) -> None:
        shapes: Mapping[str, Callable[[Mapping[str, Any]], Made]] = {
            "/classify": self._classify,
            "/pooling": self._pooling,
            "/score": self._score,
            "/rerank": self._rerank,
            "/v1/rerank": self._rerank_list,
            "/v1/score": self._score_items,
            "/tokenize": self._tokenize,
        }
        super().__init__(lambda path, body, _: self._guarded(shapes[path], body), paths=list(shapes), faults=faults)
        self._reward = score
        self._context = context
        self._bos = bos
        self._truncates = truncates
        self._padding = padding
        self._separator = separator

    def _guarded(self, shape: Callable[[Mapping[str, Any]], Made], body: Mapping[str, Any]) -> Made:
        if body.get("model") not in (None, "test-model"):
            return refusal(404, f"The model `{body['model']}` does not exist.", "NotFoundError")
        try:
            return shape(body)
        except (KeyError, TypeError, ValueError) as error:
            return refusal(400, str(error), "BadRequestError")

    # What is read

    def _read(self, ids: Sequence[int]) -> Sequence[int]:
        """As much of a row as is read. Raises ValueError for one that is too long."""
        if len(ids) <= self._context:
            return ids
        if self._truncates:
            return ids[: self._context]
        raise ValueError(f"the input has {len(ids)} tokens, and the model's context length is {self._context}")

    def _chat_ids(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        text = "".join(f"<|{message['role']}|>{message['content']}<|end|>" for message in messages)
        return [_BOS] * self._bos + [ord(character) + _FIRST for character in text]

    def _numbers(self, rows: Sequence[Sequence[int]]) -> list[list[float | None]]:
        """The numbers of a batch of conversations."""
        read = [self._read(ids) for ids in rows]
        longest = max(map(len, read), default=0)
        return [self._padded(self._said(*_turns(ids)), longest - len(ids)) for ids in read]

    def _pairs(self, first: str, texts: Sequence[str]) -> list[list[float | None]]:
        """The numbers of a batch of pairs."""
        read = [self._read([ord(character) for character in text]) for text in texts]
        longest = max(map(len, read), default=0)
        return [self._padded(self._said(first, "".join(map(chr, ids))), longest - len(ids)) for ids in read]

    def _said(self, before: str, answer: str) -> list[float | None]:
        said = self._reward(before, answer)
        return list(said) if isinstance(said, Sequence) else [said]

    def _padded(self, numbers: list[float | None], short: int) -> list[float | None]:
        return [None if number is None else number + self._padding * short for number in numbers]

    # The shapes

    def _classify(self, body: Mapping[str, Any]) -> Made:
        if "messages" in body:
            ids = self._chat_ids(body["messages"])
            (numbers,) = self._numbers([ids])
            return _listed([{"index": 0, "label": "LABEL_0", **_probs(numbers, body)}], len(ids))
        rows = body["input_ids"]
        return _json(
            [
                {"embedding": numbers, "meta_info": {"id": f"r{place}", "prompt_tokens": len(rows[place])}}
                for place, numbers in enumerate(self._numbers(rows))
            ],
            sum(map(len, rows)),
        )

    def _pooling(self, body: Mapping[str, Any]) -> Made:
        ids = self._chat_ids(body["messages"])
        before, answer = _turns(self._read(ids))
        if self._separator is None:
            data: Any = _active(self._said(before, answer), body)
        else:
            ends = [found.start() for found in re.finditer(re.escape(self._separator), answer)]
            data = [_active(self._said(before, answer[:end]), body) for end in ends]
        return _listed([{"index": 0, "object": "pooling", "data": data}], len(ids))

    def _score(self, body: Mapping[str, Any]) -> Made:
        if "candidates" in body:
            return self._own(body)
        texts = body["text_2"]
        scores = [_active(numbers, body)[0] for numbers in self._pairs(body["text_1"], texts)]
        rows = [{"index": place, "object": "score", "score": score} for place, score in enumerate(scores)]
        return _listed(rows, sum(map(len, texts)))

    def _own(self, body: Mapping[str, Any]) -> Made:
        texts = [candidate["text"] for candidate in body["candidates"]]
        before = "".join(str(message["content"]) for message in body["messages"])
        rows = [
            {"index": candidate["index"], "value": numbers[0], "reason": "read", "parts": {"length": float(len(text))}}
            for candidate, text, numbers in zip(body["candidates"], texts, self._pairs(before, texts), strict=True)
        ]
        usage = {"prompt_tokens": sum(map(len, texts)), "completion_tokens": 0}
        return _json({"scores": rows, "usage": usage}, usage["prompt_tokens"])

    def _rerank(self, body: Mapping[str, Any]) -> Made:
        texts = body["documents"]
        scores = [_active(numbers, body)[0] or 0.0 for numbers in self._pairs(body["query"], texts)]
        best_first = sorted(range(len(texts)), key=lambda place: -scores[place])
        rows = [
            {"index": place, "document": {"text": texts[place]}, "relevance_score": scores[place]}
            for place in best_first
        ]
        read = sum(map(len, texts))
        usage = {"prompt_tokens": read, "total_tokens": read}
        return _json({"id": "r", "model": "test-model", "usage": usage, "results": rows}, read)

    def _rerank_list(self, body: Mapping[str, Any]) -> Made:
        texts = body["documents"]
        if not all(text.strip() for text in texts):
            raise ValueError("Each document cannot be empty or whitespace only")
        scores = [numbers[0] or 0.0 for numbers in self._pairs(body["query"], texts)]
        best_first = sorted(range(len(texts)), key=lambda place: -scores[place])
        rows = [
            {"score": scores[at], "document": texts[at], "index": at, "meta_info": {"prompt_tokens": len(texts[at])}}
            for at in best_first
        ]
        return _json(rows, sum(map(len, texts)))

    def _score_items(self, body: Mapping[str, Any]) -> Made:
        rows = self._pairs(body["query"], body["items"])
        wanted = body.get("label_token_ids")
        if wanted is not None:
            rows = [[(row[0] or 0.0) + label for label in wanted] for row in rows]
        rows = [_softmax(row) if body.get("apply_softmax") else row for row in rows]
        read = sum(map(len, body["items"]))
        return _json({"scores": rows, "model": "m", "usage": {"prompt_tokens": read}, "object": "scoring"}, read)

    def _tokenize(self, body: Mapping[str, Any]) -> Made:
        ids = self._chat_ids(body["messages"])
        return _json({"tokens": ids, "count": len(ids), "max_model_len": self._context}, 0)


def _turns(ids: Sequence[int]) -> tuple[str, str]:
    """The text before the answer, and the answer, out of the tokens of a conversation."""
    text = "".join(chr(token - _FIRST) for token in ids if token != _BOS)
    turns = [found[2] for found in _TURN.finditer(text)]
    return "\n".join(turns[:-1]), turns[-1] if turns else ""


def _active(numbers: list[float | None], body: Mapping[str, Any]) -> list[float | None]:
    """As vLLM gives them: through a sigmoid or softmax, unless the request says not to."""
    if body.get("use_activation") is False:
        return numbers
    if len(numbers) == 1:
        return [None if numbers[0] is None else 1 / (1 + math.exp(-numbers[0]))]
    return _softmax(numbers)


def _softmax(numbers: Sequence[float | None]) -> list[float | None]:
    powers = [math.exp(number or 0.0) for number in numbers]
    return [power / sum(powers) for power in powers]


def _probs(numbers: list[float | None], body: Mapping[str, Any]) -> dict[str, Any]:
    return {"probs": _active(numbers, body), "num_classes": len(numbers)}


def _listed(rows: Sequence[Any], read: int) -> Made:
    usage = {"prompt_tokens": read, "total_tokens": read, "completion_tokens": 0}
    return _json({"id": "x", "object": "list", "created": 0, "model": "test-model", "data": rows, "usage": usage}, read)


def _json(answer: Any, read: int) -> Made:
    return Made(pieces=[json.dumps(answer).encode()], usage=Usage(prompt_tokens=read))
