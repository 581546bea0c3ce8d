"""An answer cut at every byte, and one that comes in pieces of any size, is an error or the whole answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest

from bon.errors import DrawError, Truncated
from bon.generate.openai import OpenAIGenerator
from bon.testing.completions import Answer, as_events, as_reply
from bon.testing.faults import Fault
from bon.testing.server import FaultServer
from bon.transport import Endpoint, Retries
from bon.types import Candidate, Failure, Prompt, Usage

PROMPT = Prompt(id="p", messages=({"role": "user", "content": "one two"},))
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"x": "é"}'}}
SAID = Answer(text="víer ☃ 𝄞", reasoning="let mé see", tool_calls=[CALL], finish_reason="tool_calls")
"""Two-, three- and four-byte characters, reasoning and a tool call: a cut may fall into any of them."""
REQUEST = {"messages": PROMPT.messages, "model": "m", "stream_options": {"include_usage": True}}
EVENTS = as_events(REQUEST, [SAID])
WHOLE = len(b"".join(EVENTS))
FINISHED = len(b"".join(EVENTS[:-2]))
"""Bytes after which the finish_reason is there: only the usage and [DONE] are missing."""
COST = Usage(prompt_tokens=2, completion_tokens=6)


@asynccontextmanager
async def serving(faults: Callable[[int], Fault]) -> AsyncIterator[tuple[FaultServer, OpenAIGenerator]]:
    async with FaultServer(answers=[SAID], faults=faults) as server:
        generator = OpenAIGenerator("m", url=Endpoint(server.url, retries=Retries(attempts=1)), defaults={})
        try:
            yield server, generator
        finally:
            generator.close()


async def shown(generator: OpenAIGenerator) -> Candidate | DrawError:
    """What a stream ends in; what it showed on the way is the beginning of that."""
    text = reasoning = ""
    try:
        async for delta in generator.stream(PROMPT, 0):
            text, reasoning = text + delta.text, reasoning + delta.reasoning
            if delta.candidate is not None:
                assert (delta.candidate.text, delta.candidate.reasoning) == (text, reasoning)
                return delta.candidate
    except DrawError as error:
        assert SAID.text.startswith(text)
        assert (SAID.reasoning or "").startswith(reasoning)
        return error
    raise AssertionError("a stream ends with its candidate or an error")


def is_whole(made: object, *, usage: Usage | None) -> bool:
    return isinstance(made, Candidate) and (
        made.text,
        made.reasoning,
        made.tool_calls,
        made.finish_reason,
        made.usage,
    ) == (SAID.text, SAID.reasoning, (CALL,), "tool_calls", usage)


async def test_a_stream_cut_at_every_byte() -> None:
    async with serving(lambda cut: Fault(cut=cut)) as (server, generator):
        for cut in range(WHOLE + 1):
            ended = await shown(generator)
            if cut < FINISHED:
                assert isinstance(ended, Truncated), cut
            else:
                usage = COST if cut >= len(b"".join(EVENTS[:-1])) else None
                assert is_whole(ended, usage=usage), cut
        assert len(server.ledger.calls) == WHOLE + 1
        assert generator.endpoint.pace.slots.taken == 0


async def test_a_whole_answer_cut_at_every_byte() -> None:
    size = len(as_reply(REQUEST, [SAID]))
    async with serving(lambda cut: Fault(cut=cut) if cut < size else Fault()) as (_, generator):
        for cut in range(size + 1):
            (draw,) = [draw async for draw in generator(PROMPT, 1)]
            if cut < size:
                assert isinstance(draw, Failure), cut
                assert draw.error == "Unreachable"
            else:
                assert is_whole(draw, usage=COST)


@pytest.mark.parametrize("seed", range(4))
async def test_a_stream_in_pieces_of_any_size_cut_anywhere(seed: int) -> None:
    random = Random(seed)
    faults = [
        Fault(
            pieces=tuple(random.choice([1, 2, 3, 7, 64, 1000]) for _ in range(random.randrange(1, 9))),
            cut=random.choice([None, random.randrange(WHOLE)]),
        )
        for _ in range(40)
    ]
    async with serving(lambda number: faults[number]) as (_, generator):
        for fault in faults:
            ended = await shown(generator)
            if fault.cut is None:
                assert is_whole(ended, usage=COST), fault
            elif fault.cut < FINISHED:
                assert isinstance(ended, Truncated), fault
            else:
                assert isinstance(ended, Candidate), fault
                assert is_whole(ended, usage=ended.usage), fault


async def test_a_stream_byte_by_byte() -> None:
    async with serving(lambda _: Fault(pieces=(1,))) as (_, generator):
        assert is_whole(await shown(generator), usage=COST)
