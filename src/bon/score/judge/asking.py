"""Asks a model for verdicts: so many at a time, and once more where one cannot be read; it knows no way of judging."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from bon.concurrency import close
from bon.errors import HOPELESS, BadReply, CapReached
from bon.events import kept
from bon.protocols import Generator
from bon.score.judge.manners import Manner, Manners
from bon.score.judge.verdicts import Unreadable
from bon.types import Candidate, Draw, Failure, Logprobs, Message, Prompt, Usage

__all__ = ["Answer", "Asker", "Question", "digest"]

V = TypeVar("V")

_BRIEF = 200
"""Characters of a reason, for engines on this machine; a longer bound takes them a second a token."""
_AGAIN_AT = 0.7
"""The temperature of a second attempt, which at 0 would say the same again."""
_AGAIN = (
    "Your last answer to this could not be read. Answer once more, with nothing but the JSON object that was asked for."
)
"""Without a word of that answer: what a judge repeats of a candidate must not come out of its fence by this."""
_SHORTER = (
    "Your last answer to this was too long and was cut off. Answer once more, in few words, with nothing but the JSON "
    "object that was asked for."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(Generic[V]):
    """One thing to ask a judge."""

    messages: tuple[Message, ...]
    schema: Mapping[str, Any]
    """The JSON schema of the verdict, for judges that keep to one."""
    read: Callable[[str], V]
    """Raises Unreadable."""
    id: str = ""
    """What the seeds of its draws come from: the `digest` of the messages, for who has it already."""
    repeat: int = 0
    """Which time this same question is asked; it decides the seed."""
    temperature: float = 0.0
    logprobs: bool = False
    """Whether the log-probabilities of the verdict's tokens are wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[V]):
    """What came of a question: a verdict, or why there is none; and what it took, whatever came of it."""

    verdict: V | None = None
    why: str = ""
    """Why there is no verdict: the error's class name, a colon, and words."""
    first: str = ""
    """Why the first answer could not be read, where a second one was asked for."""
    logprobs: Logprobs | None = None
    usage: Usage | None = None
    seconds: float = 0.0
    calls: int = 0
    """How often the judge was called for it, refused and failed calls included; what was found in the cache is none."""
    cut: bool = False
    """Whether it was cut off."""


class Asker:
    """Asks one model; at most `at_once` questions are with it at a time, of all event loops together.

    A verdict that cannot be read is asked for once more. An endpoint that refuses a request is asked for less, see
    `Manners`.
    """

    def __init__(
        self,
        generator: Generator,
        *,
        at_once: int = 16,
        max_tokens: int = 512,
        seed: int = 0,
    ) -> None:
        from bon.transport.slots import Slots

        self.generator = generator
        self.name = getattr(generator, "name", "") or "the judge"
        self.at_once = at_once
        self.max_tokens = max_tokens
        self.seed = seed
        structured = getattr(generator, "structured", None)
        self._local = structured is True
        """Whether it is an engine of this machine, whose small models ramble where nothing ends a text."""
        self._slots = Slots(at_once)
        self._manners = Manners(structured=structured)

    async def ask(self, question: Question[V]) -> Answer[V]:
        """Ask, and ask once more if need be."""
        async with self._slots:
            first = await self._once(question, index=2 * question.repeat)
            if first.verdict is not None or not first.why.startswith(Unreadable.__name__):
                return first
            again = replace(
                question,
                messages=_reminded(question.messages, _SHORTER if first.cut else _AGAIN),
                temperature=max(question.temperature, _AGAIN_AT),
            )
            second = await self._once(again, index=2 * question.repeat + 1)
        return replace(
            second,
            first=first.why,
            usage=_sum(first.usage, second.usage),
            seconds=first.seconds + second.seconds,
            calls=first.calls + second.calls,
        )

    async def _once(self, question: Question[V], *, index: int) -> Answer[V]:
        began = time.monotonic()
        made: list[Draw] = []

        async def ask(manner: Manner) -> Draw:
            made.append(await self._draw(question, manner, index))
            return made[-1]

        keep = kept()
        key = self._key(question, index) if keep else ""
        draw: Draw | None = keep.get(key) if keep else None
        if draw is not None:
            made.append(draw)  # by an earlier run
        else:
            draw = await self._manners.drawn(question.logprobs, ask)
            if keep and isinstance(draw, Candidate) and not draw.cached:
                keep.put(key, draw)
        taken: dict[str, Any] = {"seconds": time.monotonic() - began, "calls": sum(map(_sent, made))}
        for one in made:
            if isinstance(one, Candidate) and not one.cached:
                taken["usage"] = _sum(taken.get("usage"), one.usage or Usage())
        if isinstance(draw, Failure):
            return Answer(why=f"{draw.error}: {draw.message}", **taken)
        try:
            if not draw.complete:
                raise Unreadable(f"it was cut off after {self.max_tokens} tokens (max_tokens)")
            return Answer(verdict=question.read(draw.text), logprobs=draw.logprobs, **taken)
        except Unreadable as error:
            return Answer(why=f"{Unreadable.__name__}: {error}", cut=not draw.complete, **taken)

    def _key(self, question: Question[Any], index: int) -> str:
        """What the answer to a question is kept by: all it depends on but the manner, which is found out anew."""
        model = getattr(self.generator, "identity", None) or self.name
        said = [model, self.max_tokens, self.seed, question.temperature, question.logprobs, index, question.schema]
        whole = json.dumps([*said, question.messages], sort_keys=True, default=str)
        return hashlib.sha256(whole.encode()).hexdigest()

    async def _draw(self, question: Question[V], manner: Manner, index: int) -> Draw:
        request = {
            "temperature": question.temperature,
            "top_p": 1.0,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            **manner.fields(_brief(question.schema) if self._local else question.schema),
        }
        prompt = Prompt(id=question.id or digest(question.messages), messages=question.messages, request=request)
        draws = self.generator(prompt, 1, start=index)
        try:
            async for draw in draws:
                return draw
            return Failure.of(BadReply("it gave no answer"), stage="generate", index=index, by=self.name)
        except HOPELESS:
            raise
        except Exception as error:  # noqa: BLE001  # a failure is data
            return Failure.of(error, stage="generate", index=index, by=self.name)
        finally:
            await close(draws)


def _sent(draw: Draw) -> bool:
    """Whether a draw was asked for: neither found in a cache, nor kept back by a cap."""
    return not draw.cached if isinstance(draw, Candidate) else draw.error != CapReached.__name__


def _reminded(messages: Sequence[Message], words: str) -> tuple[Message, ...]:
    """The messages with some more words at their end; in the same turn, since some models insist on turns."""
    *before, last = messages
    content = last.get("content")
    if isinstance(content, str):
        return (*before, {**last, "content": f"{content}\n\n{words}"})
    return (*before, {**last, "content": [*(content or ()), {"type": "text", "text": words}]})


def digest(messages: Sequence[Message]) -> str:
    """What tells a question from others: a hash of its words, and of nothing else."""
    return "judge-" + hashlib.sha256(json.dumps(messages, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _brief(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema whose reason is bounded, if there is one that is not."""
    properties = schema.get("properties", {})
    reason = properties.get("reason")
    if not isinstance(reason, Mapping) or reason.get("type") != "string" or "maxLength" in reason:
        return schema
    return {**schema, "properties": {**properties, "reason": {**reason, "maxLength": _BRIEF}}}


def _sum(one: Usage | None, other: Usage | None) -> Usage | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other
