"""OpenAIGenerator against a server that goes wrong on purpose: what is sent, what comes back, what fails how."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from bon.errors import UsageError
from bon.events import Event, Retried, Spending
from bon.generate.endpoints import OPENAI_URL
from bon.generate.openai import OpenAIGenerator
from bon.generate.request import DEFAULT_REQUEST, draw_seed
from bon.protocols import Generator, StreamingGenerator
from bon.testing.completions import Answer
from bon.testing.faults import Fault, Faults
from bon.testing.server import Answers, FaultServer
from bon.transport import Endpoint, Limits, Retries, Timeouts
from bon.types import Candidate, Draw, Failure, Prompt, Usage

QUICK = Retries(attempts=4, base=0.01, random=Random(1))
ONCE = Retries(attempts=1)
PROMPT = Prompt(id="p1", messages=({"role": "user", "content": "one two three"},))
SEEDED = replace(PROMPT, request={"seed": 11})


@asynccontextmanager
async def drawing(
    faults: Faults = None,
    *,
    answers: Answers | None = None,
    retries: Retries = QUICK,
    timeouts: Timeouts | None = None,
    slots: int = 64,
    **options: Any,
) -> AsyncIterator[tuple[FaultServer, OpenAIGenerator]]:
    async with FaultServer(answers=answers, faults=faults) as server:
        hook = {"hook": options["hook"]} if "hook" in options else {}
        endpoint = Endpoint(server.url, retries=retries, timeouts=timeouts, limits=Limits(slots=slots), **hook)
        generator = OpenAIGenerator("m", url=endpoint, **options)
        try:
            yield server, generator
        finally:
            generator.close()


async def draws(generator: Generator, prompt: Prompt = SEEDED, n: int = 8, start: int = 0) -> list[Draw]:
    return [draw async for draw in generator(prompt, n, start=start)]


def candidates(landed: Sequence[Draw]) -> list[Candidate]:
    return sorted((draw for draw in landed if isinstance(draw, Candidate)), key=lambda draw: draw.index)


def failures(landed: Sequence[Draw]) -> list[Failure]:
    return [draw for draw in landed if isinstance(draw, Failure)]


def billed(landed: Sequence[Draw]) -> Usage:
    return sum((made.usage for made in candidates(landed) if made.usage), Usage())


# What is sent


async def test_a_draw_is_what_the_endpoint_said() -> None:
    async with drawing(answers=lambda request, _: f"seed {request['seed']}") as (server, generator):
        made = candidates(await draws(generator, n=3, start=2))
        for index, draw in zip((2, 3, 4), made, strict=True):
            seed = draw_seed(11, "p1", index)
            assert (draw.index, draw.seed, draw.text) == (index, seed, f"seed {seed}")
            assert (draw.finish_reason, draw.generator) == ("stop", "openai:m")
            assert draw.usage == Usage(prompt_tokens=3, completion_tokens=2)
            assert draw.seconds is not None
            assert draw.seconds.first_token is None
        assert {call.request["model"] for call in server.ledger.calls} == {"m"}
        assert isinstance(generator, StreamingGenerator)


async def test_defaults_are_sent_and_the_prompt_overrides_them() -> None:
    async with drawing(defaults={**DEFAULT_REQUEST, "chat_template_kwargs": {"enable_thinking": False}}) as (
        server,
        generator,
    ):
        await draws(generator, PROMPT, n=1)
        await draws(generator, replace(PROMPT, request={"max_tokens": 5, "top_p": None, "stop": ["\n"]}), n=1)
        plain, own = (call.request for call in server.ledger.calls)
        assert {field: plain[field] for field in DEFAULT_REQUEST} == dict(DEFAULT_REQUEST)
        assert plain["chat_template_kwargs"] == {"enable_thinking": False}
        assert not {"n", "seed", "stream"} & plain.keys()
        assert (own["max_tokens"], own["stop"], "top_p" in own) == (5, ["\n"], False)


async def test_messages_tools_images_and_unknown_fields_pass_untouched() -> None:
    messages = (
        {"role": "system", "content": "be brief", "name": "boss"},
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "é ☃ \u0000"},
    )
    request = {
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
        "logit_bias": {"50256": -100},
        "brand_new_field": [1, {"a": None}],
    }
    async with drawing() as (server, generator):
        await draws(generator, Prompt(id="p", messages=messages, request=request), n=1)
        sent = server.ledger.calls[0].request
        assert sent["messages"] == list(messages)
        assert {field: sent[field] for field in request} == request


async def test_fields_that_are_the_generators_own_are_not_the_prompts() -> None:
    request = {"model": "other", "n": 5, "stream": True, "messages": [], "stream_options": {}}
    async with drawing() as (server, generator):
        assert len(await draws(generator, replace(PROMPT, request=request), n=1)) == 1
        sent = server.ledger.calls[0].request
        assert (sent["model"], sent["messages"]) == ("m", list(PROMPT.messages))
        assert not {"n", "stream", "stream_options"} & sent.keys()


async def test_max_completion_tokens_takes_the_place_of_the_default() -> None:
    async with drawing() as (server, generator):
        await draws(generator, replace(PROMPT, request={"max_completion_tokens": 7}), n=1)
        await draws(generator, replace(PROMPT, request={"max_completion_tokens": 7, "max_tokens": 8}), n=1)
        first, second = (call.request for call in server.ledger.calls)
        assert ("max_tokens" in first, second["max_tokens"]) == (False, 8)


async def test_temperature_0_is_dropped_because_it_is_falsy() -> None:
    greedy = replace(SEEDED, request={"seed": 1, "temperature": 0, "top_logprobs": 0, "logprobs": False})
    async with drawing() as (server, generator):
        with pytest.warns(UserWarning, match="temperature is 0, so all candidates may be the same"):
            await draws(generator, greedy, n=2)
        await draws(generator, greedy, n=2)  # said once
        for call in server.ledger.calls:
            assert (call.request["temperature"], call.request["top_logprobs"], call.request["logprobs"]) == (
                0,
                0,
                False,
            )


async def test_one_greedy_draw_is_nothing_to_warn_of() -> None:
    async with drawing() as (_, generator):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            await draws(generator, replace(SEEDED, request={"temperature": 0.0}), n=1)
        assert not caught


async def test_what_is_no_json_is_the_callers_mistake() -> None:
    async with drawing() as (server, generator):
        with pytest.raises(UsageError, match="'p1' cannot be sent"):
            await draws(generator, replace(PROMPT, request={"x": object()}))
        assert not server.ledger.calls


# What comes back


async def test_reasoning_tool_calls_logprobs_and_length() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    said: list[str | Answer] = [
        Answer(text="four", reasoning="two and two"),
        Answer(text="five", reasoning="two and three", reasoning_field="reasoning"),
        Answer(text="<think>hm</think>six"),
        Answer(tool_calls=[call], finish_reason="tool_calls"),
        "a b c d e f g h",
    ]
    prompt = replace(SEEDED, request={"seed": 1, "logprobs": True, "top_logprobs": 3, "max_tokens": 4})
    async with drawing(answers=said, slots=1) as (_, generator):
        made = candidates(await draws(generator, prompt, n=5))
    assert [(draw.text, draw.reasoning) for draw in made[:3]] == [
        ("four", "two and two"),
        ("five", "two and three"),
        ("six", "hm"),
    ]
    assert made[3].tool_calls == (call,)
    assert made[3].finish_reason == "tool_calls"
    assert (made[4].text, made[4].finish_reason, made[4].complete) == ("a b c d ", "length", False)
    assert made[4].logprobs is not None
    assert len(made[4].logprobs.tokens) == 4
    assert made[4].logprobs.top is not None
    assert all(len(top) == 3 for top in made[4].logprobs.top)


async def test_equal_texts_stay() -> None:
    async with drawing(answers=["same"]) as (_, generator):
        for prompt in (PROMPT, SEEDED):
            assert [draw.text for draw in candidates(await draws(generator, prompt))] == ["same"] * 8


async def test_candidates_are_yielded_as_they_land() -> None:
    slow_first = [Fault(delay=0.3), None, None]
    async with drawing(slow_first) as (_, generator):
        order = [draw.index for draw in await draws(generator, n=3)]
    assert order[-1] == 0


# What fails

PASSING = {
    "429": (Fault(status=429), "RateLimited"),
    "429 inside": (Fault(body=b'{"error": {"message": "slow down", "code": 429}}'), "RateLimited"),
    "500": (Fault(status=500), "Unavailable"),
    "503 page": (Fault(status=503, body=b"<html>busy</html>", content_type="text/html"), "Unavailable"),
    "error as choice": (
        Fault(body=b'{"choices": [{"message": {"content": "Provider error"}, "finish_reason": "error"}]}'),
        "Unavailable",
    ),
    "reset before": (Fault(reset="before"), "Unreachable"),
    "reset after": (Fault(reset="after"), "Unreachable"),
    "cut": (Fault(cut=50), "Unreachable"),
    "no finish_reason": (Fault(no_finish=True), "Truncated"),
    "silent": (Fault(delay=30), "TimedOut"),
    "stalled": (Fault(stall=(50, 30)), "TimedOut"),
}
IMPATIENT = Timeouts(first_byte=0.25, between_bytes=0.25)


@pytest.mark.parametrize("kind", PASSING)
async def test_what_passes_is_drawn_again_and_nothing_is_missing(kind: str) -> None:
    fault, error = PASSING[kind]
    events: list[Event] = []
    async with drawing([fault] * 3, timeouts=IMPATIENT, hook=events.append) as (server, generator):
        landed = await draws(generator)
        assert len(candidates(landed)) == 8
        assert len(server.ledger.calls) == 11
        assert [event.error for event in events if isinstance(event, Retried)] == [error] * 3


async def test_a_truncated_candidate_is_never_one_and_its_price_is_told() -> None:
    events: list[Event] = []
    async with drawing([Fault(no_finish=True)], answers=["half an"], hook=events.append) as (server, generator):
        landed = await draws(generator, n=1)
        lost = [event.usage for event in events if isinstance(event, Spending)]
        assert lost == [Usage(prompt_tokens=3, completion_tokens=2)]
        assert server.ledger.billed == billed(landed) + Usage(prompt_tokens=3, completion_tokens=2)


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_hopeless_refusal_is_not_asked_for_again(status: int) -> None:
    async with drawing(Fault(status=status), slots=4) as (server, generator):
        landed = await draws(generator, n=100)
        assert sorted(draw.index for draw in failures(landed) if draw.index is not None) == list(range(100))
        assert all(str(status) in failure.message for failure in failures(landed))
        assert len(server.ledger.calls) <= 8
        assert generator.endpoint.pace.slots.taken == 0


# Cancelling


async def test_cancelling_leaves_the_server_generating() -> None:
    async with drawing(Fault(delay=30)) as (server, generator):
        async with aclosing(generator(SEEDED, 8)) as landing:
            waiting = asyncio.ensure_future(anext(landing))
            await server.ledger.until(started=8)
            waiting.cancel()
            await asyncio.wait([waiting])
        await server.ledger.until(timeout=2)
        assert len(server.ledger.aborted) == 8
        assert generator.endpoint.pace.slots.taken == 0


async def test_leaving_early_ends_the_rest() -> None:
    async with drawing([None, *[Fault(delay=30)] * 7]) as (server, generator):
        async with aclosing(generator(SEEDED, 8)) as landing:
            async for _ in landing:
                await server.ledger.until(started=8)
                break
        await server.ledger.until(timeout=2)
        assert (len(server.ledger.finished), len(server.ledger.aborted)) == (1, 7)
        assert generator.endpoint.pace.slots.taken == 0


async def test_fifty_clients_of_eight_draws_leaving_at_random_leave_nothing_behind() -> None:
    """Thirteen stay. What was under way of the others ends upstream at once, what was queued is never sent."""
    random = Random(5)
    left: dict[str, float] = {}
    async with drawing(Fault(delay=0.3), slots=200) as (server, generator):

        async def client(number: int) -> list[Draw]:
            prompt = replace(SEEDED, id=str(number), messages=({"role": "user", "content": f"client {number}"},))
            task = asyncio.create_task(draws(generator, prompt))
            if number % 4:
                await server.ledger.until(started=random.randrange(1, 200))
                await asyncio.sleep(random.uniform(0, 0.05))
                task.cancel()
                left[f"client {number}"] = time.monotonic()
            await asyncio.wait([task])
            return [] if task.cancelled() else task.result()

        ends = await asyncio.gather(*map(client, range(50)))
        assert all(len(candidates(end)) == 8 for end in ends[::4])
        await server.ledger.until(timeout=2)
        calls = [(call, left.get(call.request["messages"][0]["content"])) for call in server.ledger.calls]
        cut = [(call, moment) for call, moment in calls if moment is not None and call.end != "finished"]
        assert {call.end for call, _ in cut} == {"aborted"}
        assert len(cut) >= 50
        assert len(server.ledger.aborted) == len(cut)
        assert all(call.started <= moment + 2.0 for call, moment in cut), "nothing is sent for those who have left"
        latest = max(call.ended - moment for call, moment in cut if call.ended is not None)
        assert latest < 2.0, "tens of milliseconds on a machine that has nothing else to do"
        slots = generator.endpoint.pace.slots
        assert (slots.taken, slots.waiting) == (0, 0)
        assert len(await draws(generator)) == 8


# Keys and addresses


async def sent_key(server: FaultServer, generator: OpenAIGenerator) -> str | None:
    await draws(generator, n=1)
    generator.close()
    return server.ledger.calls[-1].headers.get("authorization")


async def test_the_environments_key_goes_to_the_environments_url_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FaultServer() as server, FaultServer() as other:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url + "/")
        monkeypatch.setenv("OPENAI_API_KEY", " canary \n")
        assert await sent_key(server, OpenAIGenerator("m")) == "Bearer canary"
        assert await sent_key(server, OpenAIGenerator("m", url=server.url)) == "Bearer canary"
        assert await sent_key(other, OpenAIGenerator("m", url=other.url)) is None
        assert await sent_key(other, OpenAIGenerator("m", url=other.url, key="mine")) == "Bearer mine"
        assert await sent_key(server, OpenAIGenerator("m", key="mine")) == "Bearer mine"


def test_openai_itself_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UsageError, match="set OPENAI_API_KEY, or name an endpoint of your own"):
        OpenAIGenerator("gpt-x")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    generator = OpenAIGenerator("gpt-x")
    assert generator.endpoint.name == OPENAI_URL
    assert "canary" not in repr(generator) + repr(vars(generator)) + repr(generator.endpoint)


async def test_one_generator_in_two_event_loops() -> None:
    async with drawing(Fault(delay=0.02), slots=4) as (server, generator):
        others = [asyncio.to_thread(asyncio.run, draws(generator)) for _ in range(2)]
        for landed in await asyncio.gather(draws(generator), *others):
            assert len(candidates(landed)) == 8
        assert server.ledger.most_at_once <= 4


@pytest.mark.parametrize("slots", [1, 3, 64])
async def test_the_same_seed_gives_the_same_draws_whatever_the_concurrency(slots: int) -> None:
    async with drawing(answers=lambda request, _: f"{request['seed']}", slots=slots) as (_, generator):
        eight = candidates(await draws(generator, n=8))
        sixteen = candidates(await draws(generator, n=16))
    assert [draw.text for draw in sixteen[:8]] == [draw.text for draw in eight]
    assert [draw.text for draw in sixteen] == [str(draw_seed(11, "p1", index)) for index in range(16)]
