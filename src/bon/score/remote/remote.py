"""The scorer `remote:`: asks an endpoint for scores, in one of its shapes; how it is called is the transport's."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from functools import partial
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, TypeVar

from bon.concurrency import as_landed
from bon.errors import BadReply, CapReached, Denied, DrawError, Rejected, ScoreError, UsageError
from bon.ledger import Bill, Price
from bon.score.remote import own, sglang, vllm
from bon.score.remote.cost import most_of, shares
from bon.score.remote.reply import parsed, tokens_read
from bon.score.remote.scored import score_of
from bon.score.remote.shape import Ask, Numbers, Shape, Terms, beside_text, chat
from bon.transport import Endpoint
from bon.types import Candidate, Pool, Prompt, Score, Usage

__all__ = ["SHAPES", "RemoteScorer"]

S = TypeVar("S")
T = TypeVar("T")

SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "bon": own.OWN,
        "vllm-classify": vllm.CLASSIFY,
        "vllm-pooling": vllm.POOLING,
        "vllm-score": vllm.SCORE,
        "vllm-rerank": vllm.RERANK,
        "sglang-classify": sglang.CLASSIFY,
        "sglang-score": sglang.SCORE,
        "sglang-rerank": sglang.RERANK,
    }
)
"""By the name that a spec gives them."""

_TOKENIZE = "/tokenize"


class RemoteScorer:
    """A Scorer on an endpoint that scores.

    `endpoint` says where, with which key, how hard it may be used and how often a call is tried again; for all shapes
    but our own it is the server's root. `api` is the shape, a name of `SHAPES`. A call counts in the run's ledger with
    the tokens that the endpoint says it read, at `price`.

    A candidate that the endpoint refuses, or does not answer about, has no score, with its words as the reason. Where
    it refuses several together, or answers about others than those asked, each is asked about alone.

    `pointwise` says whether the score of a candidate depends on itself alone. Only a scorer behind our own shape may
    be another: it is then always shown the whole pool.

    Raises UsageError for a shape that there is not; when it scores, where it is not said which of several numbers is
    the score.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        api: str = "bon",
        terms: Terms | None = None,
        name: str | None = None,
        price: Price | None = None,
        pointwise: bool = True,
    ) -> None:
        if api not in SHAPES:
            raise UsageError(f"api is {api!r}; it must be one of {', '.join(SHAPES)}")
        if not (pointwise or api == "bon"):
            raise UsageError(f"{api} scores each candidate by itself: pointwise=false is for a scorer behind api=bon")
        self.endpoint = endpoint
        self.api = api
        self.terms = terms or Terms()
        self.name = name or f"remote:{endpoint.name}"
        self.price = price
        self.pointwise = pointwise
        self.limit: int | None = None
        """Most tokens that the model reads, once `tokens` was told."""
        self._shape = SHAPES[api]

    def __repr__(self) -> str:
        return f"RemoteScorer({self.endpoint.name!r}, api={self.api!r}, name={self.name!r})"

    @property
    def identity(self) -> dict[str, Any]:
        """What tells its scores from those of other models; see `score.cached`."""
        terms = {key: list(said) if isinstance(said, tuple) else said for key, said in asdict(self.terms).items()}
        return {"kind": "remote", "api": self.api, "url": self.endpoint.name, **terms}

    def close(self) -> None:
        """Close the connections, from any thread."""
        self.endpoint.close()

    async def __call__(self, pool: Pool) -> Sequence[Score]:
        """One Score a candidate, in their order."""
        if self._shape.text and (kinds := beside_text(pool.prompt)):
            reason = f"{self.api} reads text, and this chat holds {', '.join(kinds)}"
            return [Score.missing(reason)] * len(pool)
        most = self._shape.most if self.pointwise else max(len(pool), 1)
        groups = [pool.candidates[start : start + most] for start in range(0, len(pool), most)]
        found = await _in_order(groups, partial(self._group, pool.prompt))
        return [score for scores in found for score in scores]

    async def tokens(self, pool: Pool) -> list[list[int]] | None:
        """The token ids that the endpoint reads of each candidate with its prompt; None where it does not tell.

        Raises ScoreError where it cannot be asked.
        """
        if not self._shape.tokenizes:
            return None
        ask = Ask(prompt=pool.prompt, candidates=pool.candidates, terms=self.terms)
        try:
            return await self._tokens(ask)
        except DrawError as error:
            raise ScoreError(str(error)) from error

    async def _group(self, prompt: Prompt, group: Sequence[Candidate]) -> list[Score]:
        """The scores of candidates that go into one request, or into one each where that fails for what is in it."""
        ask = Ask(prompt=prompt, candidates=group, terms=self.terms)
        bill = Bill(most=most_of(ask), price=self.price, by=self.name)
        began, made = time.monotonic(), 0
        try:
            if self._shape.ids:
                ask = replace(ask, ids=await self._tokens(ask))
            read, made = partial(self._read, ask, bill), 1
            said = await self.endpoint.post(self._shape.path, _encoded(self._shape.body(ask)), read=read, bill=bill)
            scores = [score_of(one, place, ask) for place, one in enumerate(said)]
        except DrawError as error:
            made = 0 if isinstance(error, CapReached) else made
            if len(group) > 1 and self.pointwise and _by_content(error):
                alone = await _in_order([[candidate] for candidate in group], partial(self._group, prompt))
                scores = [score for (score,) in alone]
                return [_added(scores[0], bill.paid, made), *scores[1:]]
            missing = Score.missing(f"{type(error).__name__}: {error}{self._hint(error)}")
            return self._costed([missing] * len(group), ask, bill, calls=made, began=began)
        return self._costed(scores, ask, bill, calls=made, began=began)

    def _hint(self, error: DrawError) -> str:
        """What a 404 is about, where it is not the model's name."""
        lost = isinstance(error, Denied) and error.status == HTTPStatus.NOT_FOUND
        return f"; api={self.api} asks for {self._shape.path}, which a server has for such models only" if lost else ""

    def _read(self, ask: Ask, bill: Bill, body: bytes) -> Sequence[Numbers | Score]:
        found = parsed(body)
        usage = self._shape.usage(found)
        if usage is not None and self.price is not None:
            usage = replace(usage, money=self.price.of(usage))
        bill.paid = usage
        return self._shape.read(found, ask)

    async def _tokens(self, ask: Ask) -> list[list[int]]:
        found = await _in_order(ask.candidates, partial(self._tokens_of, ask))
        self.limit = next((most for _, most in found if most is not None), self.limit)
        return [ids for ids, _ in found]

    async def _tokens_of(self, ask: Ask, candidate: Candidate) -> tuple[list[int], int | None]:
        body = {"messages": chat(ask, candidate), "add_generation_prompt": False, **self.terms.named}
        return await self.endpoint.post(_TOKENIZE, _encoded(body), read=tokens_read)

    def _costed(self, scores: Sequence[Score], ask: Ask, bill: Bill, *, calls: int, began: float) -> list[Score]:
        """The scores of one request, each with its share of what that took; the call is booked on the first."""
        seconds = (time.monotonic() - began) / len(scores)
        usages = shares(bill.paid, [len(candidate.text) for candidate in ask.candidates])
        return [
            replace(score, usage=usage, seconds=seconds, calls=0 if place else calls)
            for place, (score, usage) in enumerate(zip(scores, usages, strict=True))
        ]


def _by_content(error: DrawError) -> bool:
    """Whether what failed may be the matter of one text among several."""
    return isinstance(error, BadReply) or (isinstance(error, Rejected) and not isinstance(error, Denied))


def _added(score: Score, usage: Usage | None, calls: int) -> Score:
    """A score on which a request that came to nothing is booked too."""
    both = score.usage if usage is None else usage if score.usage is None else score.usage + usage
    return replace(score, usage=both, calls=(score.calls or 0) + calls)


def _encoded(body: Mapping[str, Any]) -> bytes:
    """Raises UsageError for what is no JSON: a message may hold anything."""
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise UsageError(f"the prompt cannot be sent as JSON: {error}") from error


async def _in_order(items: Sequence[S], do: Callable[[S], Awaitable[T]]) -> list[T]:
    """What is done of each item, at the same time, in their order; all end when one fails or nobody waits any more."""
    if len(items) == 1:
        return [await do(items[0])]

    async def one(place: int, item: S) -> tuple[int, T]:
        return place, await do(item)

    async with aclosing(as_landed(one(place, item) for place, item in enumerate(items))) as landing:
        found = {place: value async for place, value in landing}
    return [found[place] for place in range(len(items))]
