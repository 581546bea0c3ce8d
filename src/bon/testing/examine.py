"""What `bon doctor` finds out about a generator or a scorer by using it: each finding is something that was seen."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import msgspec

from bon.concurrency import close
from bon.errors import BonError
from bon.protocols import Generator, Scorer
from bon.testing.finding import Finding, alike, finding
from bon.testing.pools import pool_of
from bon.testing.reading import examine_reading
from bon.types import Candidate, Delta, Failure, Logprobs, Pool, Prompt, as_messages

__all__ = ["Finding", "examine_generator", "examine_scorer"]

_SHORT = Prompt(
    id="doctor",
    messages=({"role": "user", "content": "Name a colour and say in one sentence why you like it."},),
    request={"max_tokens": 24, "temperature": 1.0, "top_p": 1.0, "seed": 7},
)
_LONG = replace(
    _SHORT,
    id="doctor-long",
    messages=({"role": "user", "content": "Write a long story about a lighthouse, at least two thousand words."},),
    request={**_SHORT.request, "max_tokens": 1500},
)
_STREAMS = 4
_SLOWER = 3.0
"""How many times slower a short draw may be after an abort before we say that the endpoint went on generating."""
_GRACE = 0.3
"""Seconds that anything may take longer without a meaning."""


async def examine_generator(generator: Generator) -> AsyncGenerator[Finding, None]:
    """Draw a little, and yield what was seen: answers, n, seeds, temperature 0, logprobs, streaming, aborting."""
    first = (await _drawn(generator, _SHORT, 1))[0]
    if isinstance(first, Failure):
        yield finding("answers", False, f"{first.error}: {first.message}")
        return
    seconds = first.seconds.total if first.seconds else None
    took = "" if seconds is None else f" in {seconds:.2f} s"
    yield finding("answers", bool(first.text.strip()), f"{first.generator!r} said {first.text[:60]!r}{took}")
    yield finding("reports tokens", first.usage is not None, f"usage: {first.usage}")
    for check in (_honours_n, _seeds, _greedy, _logprobs, _streams, _aborts):
        try:
            yield await check(generator)
        except BonError as error:
            name = check.__name__.removeprefix("_").replace("_", " ")
            yield Finding(check=name, verdict="unknown", detail=f"{type(error).__name__}: {error}")


async def examine_scorer(scorer: Scorer, *, pool: Pool | None = None) -> AsyncGenerator[Finding, None]:
    """Score a small pool in several ways, and yield what was seen: finite, the same in any order, alone, together.

    A scorer that reads tokens (it has `tokens`) is examined further; see `examine_reading`.
    """
    given = pool or _example()
    try:
        scores = await scorer(given)
    except Exception as error:  # noqa: BLE001  # what it raises is the finding
        yield finding("scores", False, f"{type(error).__name__}: {error}")
        return
    values = [score.value for score in scores]
    missing = [score.reason for score in scores if score.value is None]
    detail = f"values {values}" + (f"; missing because: {missing[0]}" if missing else "")
    yield finding("scores", len(scores) == len(given) and not missing, detail)
    if len(scores) != len(given) or len(missing) == len(given):
        return  # without a score there is nothing to compare
    turned = replace(given, candidates=tuple(reversed(given.candidates)), scores={})
    yield alike("the same in any order", scores, tuple(reversed(await scorer(turned))))
    yield alike("the same again", scores, await scorer(given))
    if getattr(scorer, "pointwise", False):
        alone = [(await scorer(replace(given, candidates=(c,), scores={})))[0] for c in given.candidates]
        yield alike("the same alone as in a batch", scores, alone)
    if callable(getattr(scorer, "tokens", None)):
        async for seen in examine_reading(scorer):
            yield seen


def _example() -> Pool:
    """Four answers with everything a scorer may want to read."""
    pool = pool_of(
        ["4", "The answer is 4.", "I am not sure, maybe 5?", "2 + 2 = 4, because 2 and 2 make 4."],
        answers=["4", "4", "5", "4"],
        prompt=Prompt(id="doctor", messages=as_messages("What is 2 + 2?"), reference="4"),
    )
    sure = [Logprobs(tokens=(-0.1 * (i + 1),) * 3) for i in range(len(pool))]
    candidates = (replace(c, logprobs=logprobs) for c, logprobs in zip(pool.candidates, sure, strict=True))
    return replace(pool, candidates=tuple(candidates))


async def _honours_n(generator: Generator) -> Finding:
    endpoint, model = getattr(generator, "endpoint", None), getattr(generator, "model", None)
    if endpoint is None or model is None:
        return Finding(check="honours n", verdict="unknown", detail="no HTTP endpoint: each draw is its own request")
    request = {key: value for key, value in _SHORT.request.items() if key != "seed"}
    body = {"model": model, "messages": list(_SHORT.messages), "n": 3, **request}

    def count(reply: bytes) -> int:
        return len(msgspec.json.decode(reply).get("choices") or ())

    choices = await endpoint.post("/chat/completions", body, read=count)
    spare = "" if choices == 3 else "; bon draws the missing ones singly"
    return finding("honours n", choices == 3, f"asked for 3 choices in one request, got {choices}{spare}")


async def _seeds(generator: Generator) -> Finding:
    one, other = await _texts(generator, _SHORT, 2)
    (again,) = await _texts(generator, _SHORT, 1)
    if one != again:
        return finding("seed", False, "the same seed gave another text when drawn alone: draws depend on their batch")
    if one == other:
        return finding("seed", False, "two draws with different seeds are the same text")
    return finding("seed", True, "the same seed gave the same text, another seed another one")


async def _greedy(generator: Generator) -> Finding:
    prompt = replace(_SHORT, request={**_SHORT.request, "temperature": 0})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that equal candidates are to be expected is the point here
        one, other = await _texts(generator, prompt, 2)
    return finding("temperature 0", one == other, "two draws alike" if one == other else "two draws differ")


async def _logprobs(generator: Generator) -> Finding:
    prompt = replace(_SHORT, request={**_SHORT.request, "logprobs": True, "top_logprobs": 5})
    (draw,) = await _drawn(generator, prompt, 1)
    found = draw.logprobs if isinstance(draw, Candidate) else None
    if found is None:
        why = f"{draw.error}: {draw.message}" if isinstance(draw, Failure) else "none came back"
        return finding("logprobs", False, f"{why}; selfcertainty will have nothing to score")
    kinds = [f"{len(found.tokens)} tokens"]
    kinds += [f"{len(found.top[0])} alternatives each"] if found.top else []
    kinds += ["exact certainty over the vocabulary"] if found.certainty else []
    return finding("logprobs", True, ", ".join(kinds))


async def _streams(generator: Generator) -> Finding:
    stream = getattr(generator, "stream", None)
    if stream is None:
        return finding("streams", False, "it has no stream")
    started, first, pieces = time.monotonic(), None, 0
    async with aclosing(stream(_SHORT, 0)) as deltas:
        async for delta in deltas:
            pieces += bool(delta.text or delta.reasoning)
            first = first if first is not None or not pieces else time.monotonic() - started
    detail = f"{pieces} pieces, the first after {first or 0.0:.2f} s"
    if pieces == 1:
        return Finding(check="streams", verdict="unknown", detail=f"{detail}: too short an answer to tell")
    return finding("streams", pieces > 1, detail)


async def _aborts(generator: Generator) -> Finding:
    """Whether leaving long draws frees the endpoint: seen by how long a short draw takes before and after."""
    stream = getattr(generator, "stream", None)
    if stream is None:
        return Finding(check="aborts on disconnect", verdict="unknown", detail="it has no stream to leave")
    before = await _timed(generator)
    streams = [stream(_LONG, index) for index in range(_STREAMS)]
    begun = await asyncio.gather(*(_begin(each) for each in streams))
    await asyncio.gather(*(close(each) for each in streams))
    if not any(begun):
        return Finding(check="aborts on disconnect", verdict="unknown", detail="the long draws ended by themselves")
    after = await _timed(generator)
    detail = f"a short draw took {before:.2f} s before and {after:.2f} s after leaving {_STREAMS} long ones"
    return finding("aborts on disconnect", after <= _SLOWER * before + _GRACE, detail)


async def _begin(stream: AsyncIterator[Delta]) -> bool:
    """Read a stream's first piece; whether there is more to come."""
    async for delta in stream:
        return delta.candidate is None
    return False


async def _timed(generator: Generator) -> float:
    """Seconds of a short draw, the quickest of three: whatever else a machine does only makes one slower."""
    seconds = []
    for _ in range(3):
        started = time.monotonic()
        await _texts(generator, _SHORT, 1)
        seconds.append(time.monotonic() - started)
    return min(seconds)


async def _drawn(generator: Generator, prompt: Prompt, n: int) -> list[Any]:
    draws = [draw async for draw in generator(prompt, n, start=0)]
    return sorted(draws, key=lambda draw: -1 if draw.index is None else draw.index)


async def _texts(generator: Generator, prompt: Prompt, n: int) -> list[str]:
    draws = await _drawn(generator, prompt, n)
    for draw in draws:
        if isinstance(draw, Failure):
            raise BonError(f"a draw failed: {draw.error}: {draw.message}")
    return [draw.text for draw in draws]
