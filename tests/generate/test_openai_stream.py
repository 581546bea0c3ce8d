"""Draws shown as they grow: whole or an error, never a part; and what closing one does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import msgspec
import pytest

from bon.errors import BadReply, DrawError, Rejected, TimedOut, Truncated, Unavailable
from bon.generate.openai import OpenAIGenerator
from bon.generate.request import draw_seed
from bon.testing.completions import Answer, as_events
from bon.testing.faults import Fault, Faults
from bon.testing.server import Answers, FaultServer
from bon.transport import Endpoint, Retries, Timeouts
from bon.types import Candidate, Delta, Prompt, Usage

PROMPT = Prompt(id="p1", messages=({"role": "user", "content": "one two"},), request={"seed": 4})


@asynccontextmanager
async def streaming(
    faults: Faults = None, *, answers: Answers = ("four or five",), pace: float = 0.0, timeouts: Timeouts | None = None
) -> AsyncIterator[tuple[FaultServer, OpenAIGenerator]]:
    async with FaultServer(answers=answers, faults=faults, pace=pace) as server:
        endpoint = Endpoint(server.url, retries=Retries(attempts=2, base=0.01), timeouts=timeouts)
        generator = OpenAIGenerator("m", url=endpoint)
        try:
            yield server, generator
        finally:
            generator.close()


async def stream(generator: OpenAIGenerator, index: int = 0) -> list[Delta]:
    return [delta async for delta in generator.stream(PROMPT, index)]


def last(deltas: list[Delta]) -> Candidate:
    assert all(delta.candidate is None for delta in deltas[:-1])
    assert deltas[-1].candidate is not None
    return deltas[-1].candidate


async def test_a_draw_grows_and_ends_in_its_candidate() -> None:
    said = Answer(text="four or five", reasoning="let me see")
    async with streaming(answers=[said], pace=0.005) as (server, generator):
        deltas = await stream(generator, 3)
        made = last(deltas)
        assert "".join(delta.text for delta in deltas) == made.text == "four or five"
        assert "".join(delta.reasoning for delta in deltas) == made.reasoning == "let me see"
        assert (made.index, made.seed, made.generator) == (3, draw_seed(4, "p1", 3), "openai:m")
        assert made.usage == Usage(prompt_tokens=2, completion_tokens=6) == server.ledger.billed
        assert made.seconds is not None
        assert made.seconds.first_token is not None
        assert 0 < made.seconds.first_token < made.seconds.total
        sent = server.ledger.calls[0].request
        assert (sent["stream"], sent["stream_options"], sent["seed"]) == (True, {"include_usage": True}, made.seed)


async def test_a_stream_and_a_draw_are_the_same_candidate() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"x": [1, 2, 3]}'}}
    for said in ("plain", Answer(text="<think>hm hm</think> yes", finish_reason="length"), Answer(tool_calls=[call])):
        async with streaming(answers=[said]) as (_, generator):
            shown = last(await stream(generator))
            (drawn,) = [draw async for draw in generator(PROMPT, 1)]
            assert isinstance(drawn, Candidate)
            for field in ("text", "reasoning", "tool_calls", "finish_reason", "usage", "seed"):
                assert getattr(shown, field) == getattr(drawn, field)


async def test_without_a_finish_reason_it_is_truncated() -> None:
    async with streaming(Fault(no_finish=True)) as (_, generator):
        with pytest.raises(Truncated, match="after 12 characters without a finish_reason"):
            await stream(generator)


async def test_closing_a_stream_ends_the_draw_upstream() -> None:
    async with streaming(answers=["word " * 1000], pace=0.01) as (server, generator):
        async with aclosing(generator.stream(PROMPT, 0)) as deltas:
            async for delta in deltas:
                assert delta.text == "word "
                break
        await server.ledger.until(timeout=2)
        assert len(server.ledger.aborted) == 1
        assert generator.endpoint.pace.slots.taken == 0


async def test_cancelling_the_reader_ends_the_draw_upstream() -> None:
    async with streaming(Fault(stall=(200, 30))) as (server, generator):
        reading = asyncio.create_task(stream(generator))
        await server.ledger.until(started=1)
        await asyncio.sleep(0.05)
        reading.cancel()
        await asyncio.wait([reading])
        await server.ledger.until(timeout=2)
        assert len(server.ledger.aborted) == 1
        assert generator.endpoint.pace.slots.taken == 0


async def test_a_stalled_stream_is_timed_out() -> None:
    async with streaming(Fault(stall=(400, 30)), timeouts=Timeouts(between_bytes=0.1)) as (_, generator):
        with pytest.raises(TimedOut):
            await stream(generator)


async def test_what_stalls_after_the_answer_costs_only_the_bill() -> None:
    events = as_events({"model": "m", "stream_options": {"include_usage": True}}, [Answer(text="four or five")])
    stall = (sum(map(len, events[:-2])), 30.0)
    async with streaming(Fault(stall=stall), timeouts=Timeouts(between_bytes=0.2)) as (_, generator):
        made = last(await stream(generator))
        assert (made.text, made.usage) == ("four or five", None)


def event(value: Any) -> bytes:
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


CHUNK = event({"choices": [{"index": 0, "delta": {"content": "half"}, "finish_reason": None}]})


@pytest.mark.parametrize(
    ("tail", "error"),
    [
        (event({"error": {"message": "out of memory"}}), Unavailable),
        (event({"error": {"message": "bad", "code": 400}}), Rejected),
        (event({"choices": [{"delta": {"content": ""}, "finish_reason": "error"}]}), Unavailable),
        (b"data: {oops\n\n", BadReply),
        (b"data: [DONE]\n\n", Truncated),
        (b": ping\n\n", Truncated),
    ],
)
async def test_an_error_inside_of_a_stream(tail: bytes, error: type[DrawError]) -> None:
    fault = Fault(body=b": hello\n\n" + CHUNK + tail, content_type="text/event-stream")
    async with streaming(fault) as (_, generator):
        with pytest.raises(error):
            await stream(generator)


async def test_an_endpoint_that_cannot_stream_answers_in_one_piece() -> None:
    body = {"choices": [{"message": {"content": "all of it"}, "finish_reason": "stop"}]}
    async with streaming(Fault(body=msgspec.json.encode(body))) as (_, generator):
        deltas = await stream(generator)
        assert [delta.text for delta in deltas] == ["all of it", ""]
        assert last(deltas).text == "all of it"


async def test_a_page_of_html_is_a_bad_reply() -> None:
    async with streaming(Fault(body=b"<html>Welcome</html>", content_type="text/html")) as (_, generator):
        with pytest.raises(BadReply, match="Welcome"):
            await stream(generator)


async def test_an_endpoint_that_does_not_know_stream_options_is_asked_without() -> None:
    refusal = b'{"error": {"message": "Unknown field: stream_options"}}'
    async with streaming([Fault(status=400, body=refusal)]) as (server, generator):
        assert last(await stream(generator)).text == "four or five"
        assert last(await stream(generator)).usage is None
        assert ["stream_options" in call.request for call in server.ledger.calls] == [True, False, False]


async def test_a_refused_stream_is_refused_once() -> None:
    async with streaming(Fault(status=404)) as (server, generator):
        with pytest.raises(Rejected):
            await stream(generator)
        assert len(server.ledger.calls) == 1
