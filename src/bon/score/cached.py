"""A scorer whose scores are kept: what it scored before, shown in the same way, is not scored, nor paid for, again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from bon.errors import UsageError
from bon.protocols import Scorer
from bon.store.keys import Keys, exact, keys_of
from bon.store.plain import encode
from bon.store.responses import Mode, Responses
from bon.types import Candidate, Pool, Prompt, Score

__all__ = ["CachedScorer"]

_FORMAT = "bon score 1"


class CachedScorer:
    """Scores with another scorer, and keeps its scores; a score found is `cached` and costs nothing.

    What scores are found by: the scorer's `identity` (whatever its scores depend on beside what is shown to it: model,
    prompt, a hash of its code; its own attribute, or given here), the prompt (messages, reference, request without
    the seed, metadata), and the content of the candidates in the order shown; of a pointwise scorer each score by
    its own candidate. The names and scores of other scorers, ids, indices and seeds are not looked at.

    `mode` is as in `generate.cached`. A pool with an unscored candidate is not kept, nor is an unscored candidate; no
    more is a score with a missing part, for it may come of an error that has passed by the next time, nor one of which
    the scorer says that it is not `lasting`.
    """

    def __init__(self, inner: Scorer, responses: Responses, *, mode: Mode = "write", identity: Any = None) -> None:
        self.inner = inner
        self.responses = responses
        self.identity = getattr(inner, "identity", None) if identity is None else identity
        if self.identity is None or keys_of(self.identity) is None:
            has = "no `identity`" if self.identity is None else f"the `identity` {self.identity!r}, which is no JSON,"
            raise UsageError(f"{inner!r} cannot be cached: it has {has} to tell its scores from others'")
        self._finds, self._adds = mode != "refresh", mode != "read"

    def __getattr__(self, attribute: str) -> Any:
        if attribute == "inner" or attribute.startswith("__"):
            raise AttributeError(attribute)
        return getattr(self.inner, attribute)

    async def __call__(self, pool: Pool) -> Sequence[Score]:
        keys = _keys(self.identity, pool.prompt)
        if getattr(self.inner, "pointwise", False):
            return await self._each(pool, keys)
        key = _key(keys, pool.candidates)
        found = self._found(key)
        if found is not None and len(found) == len(pool):
            return found
        scores = await self.inner(pool)
        self._keep(key, scores)
        return scores

    async def _each(self, pool: Pool, keys: Keys | None) -> Sequence[Score]:
        """Ask a pointwise scorer about those candidates that it has not scored before."""
        by_place = [_key(keys, [candidate]) for candidate in pool.candidates]
        scores = [found[0] if (found := self._found(key)) else None for key in by_place]
        missing = [place for place, score in enumerate(scores) if score is None]
        if missing:
            asked = tuple(pool.candidates[place] for place in missing)
            given = await self.inner(pool if len(asked) == len(pool) else Pool(prompt=pool.prompt, candidates=asked))
            if len(given) != len(asked):
                return given  # which the engine refuses, in words of its own
            for place, score in zip(missing, given, strict=True):
                scores[place] = score
                self._keep(by_place[place], [score])
        return [score for score in scores if score is not None]

    def _found(self, key: bytes | None) -> tuple[Score, ...] | None:
        value = self.responses.get(key) if key is not None and self._finds else None
        if value is None:
            return None
        try:
            return tuple(replace(score, cached=True) for score in _decoder.decode(value))
        except msgspec.MsgspecError:
            return None  # of a version that had another Score

    def _keep(self, key: bytes | None, scores: Sequence[Score]) -> None:
        if key is None or not self._adds or not all(isinstance(score, Score) for score in scores):
            return
        if not scores or any(s.value is None or None in s.parts.values() or s.cached for s in scores):
            return
        lasting = getattr(self.inner, "lasting", None)
        if lasting is not None and not all(map(lasting, scores)):
            return
        try:
            value = encode(scores)
            if _decoder.decode(value) == tuple(scores):  # JSON holds it exactly
                self.responses.put(key, value)
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError):
            return


def _keys(identity: Any, prompt: Prompt) -> Keys | None:
    request = {name: value for name, value in prompt.request.items() if name != "seed"}
    return keys_of(_FORMAT, identity, prompt.messages, prompt.reference, request, prompt.metadata)


def _key(keys: Keys | None, candidates: Sequence[Candidate]) -> bytes | None:
    """The key of some candidates in their order, by what a scorer can see of them; None where nothing is exact."""
    try:
        return None if keys is None else keys(exact([_content(candidate) for candidate in candidates]))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


def _content(candidate: Candidate) -> list[Any]:
    logprobs = candidate.logprobs
    return [
        candidate.text,
        candidate.reasoning,
        candidate.tool_calls,
        candidate.answer,
        candidate.finish_reason,
        candidate.token_ids,
        logprobs and [logprobs.tokens, logprobs.top, logprobs.certainty],
    ]


_decoder = msgspec.json.Decoder(tuple[Score, ...])
