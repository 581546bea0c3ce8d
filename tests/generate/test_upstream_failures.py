"""k of 8 draws arriving is a result, for every k and each way in which the others may fail; errors are no answers."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bon.budgets import Fixed
from bon.engine import Plan, run
from bon.errors import NoCandidates
from bon.generate.openai import OpenAIGenerator
from bon.generate.request import draw_seed
from bon.testing.faults import Fault
from bon.testing.server import FaultServer
from bon.transport import Endpoint, Retries, Timeouts
from bon.types import Pool, Prompt

N = 8
PROMPT = Prompt(id="p", messages=({"role": "user", "content": "one two three"},), request={"seed": 5})
IMPATIENT = Timeouts(first_byte=0.25, between_bytes=0.25)
SAID = "CANARY"
"""Stands in whatever a fault says: it must never be an answer."""


def status(code: int, error: str) -> tuple[Fault, str, str]:
    body = b'{"error": {"message": "%s", "type": "x", "code": %d}}' % (SAID.encode(), code)
    return Fault(status=code, body=body), error, f"{code} .*{SAID}"


def body(text: str, error: str, words: str, *, content_type: str | None = None) -> tuple[Fault, str, str]:
    return Fault(body=text.encode(), content_type=content_type), error, words


KINDS: dict[str, tuple[Fault, str, str]] = {
    **{str(code): status(code, "Rejected") for code in (400, 413, 422)},
    **{str(code): status(code, "Denied") for code in (401, 402, 403, 404, 405, 307)},
    **{str(code): status(code, "Unavailable") for code in (408, 409, 500, 502, 503, 504, 529)},
    "429": status(429, "RateLimited"),
    "reset before": (Fault(reset="before"), "Unreachable", "no answer"),
    "reset after": (Fault(reset="after"), "Unreachable", "broke"),
    "cut at once": (Fault(cut=0), "Unreachable", "broke before the answer was whole"),
    "cut": (Fault(cut=60), "Unreachable", "broke before the answer was whole"),
    "silent": (Fault(delay=30), "TimedOut", "not a byte for 0.25 s"),
    "stalled": (Fault(stall=(60, 30)), "TimedOut", "not a byte for 0.25 s"),
    "no finish_reason": (Fault(no_finish=True), "Truncated", "without a finish_reason"),
    "half of a JSON": body('{"choices": [{"message": {"content": "CANARY', "BadReply", "cannot be read.*CANARY"),
    "no JSON": body("CANARY", "BadReply", "cannot be read.*CANARY"),
    "nothing": body("", "BadReply", "cannot be read"),
    "HTML": body("<html><p>CANARY</p></html>", "BadReply", "cannot be read.*CANARY", content_type="text/html"),
    "HTML of a 503": (
        Fault(status=503, body=b"<html><p>CANARY</p></html>", content_type="text/html"),
        "Unavailable",
        "503 .*CANARY",
    ),
    "another content type": body("CANARY", "BadReply", "cannot be read", content_type="text/plain"),
    "another shape": body('{"completion": "CANARY"}', "BadReply", "no choices"),
    "no choices": body('{"choices": [], "warning": "CANARY"}', "BadReply", "no choices"),
    "no message": body('{"choices": [{"text": "CANARY", "finish_reason": "stop"}]}', "BadReply", "without a message"),
    "an error inside": body('{"error": {"message": "CANARY", "code": 503}}', "Unavailable", "CANARY"),
    "a limit inside": body('{"error": {"message": "CANARY", "code": 429}}', "RateLimited", "CANARY"),
    "a refusal inside": body('{"error": {"message": "CANARY", "code": 400}}', "Rejected", "CANARY"),
    "an error beside": body(
        '{"error": "CANARY", "choices": [{"message": {"content": "CANARY"}, "finish_reason": "stop"}]}',
        "Unavailable",
        "CANARY",
    ),
    "an error as a choice": body(
        '{"choices": [{"message": {"content": "CANARY"}, "finish_reason": "error"}]}', "Unavailable", "error"
    ),
}


@asynccontextmanager
async def drawing(fault: Fault, failing: int) -> AsyncIterator[tuple[FaultServer, OpenAIGenerator]]:
    """An endpoint whose last `failing` requests of eight meet the fault."""
    answers = lambda request, _: f"said {request['seed']}"  # noqa: E731
    async with FaultServer(answers=answers, faults=lambda n: fault if n >= N - failing else None) as server:
        endpoint = Endpoint(server.url, retries=Retries(attempts=1), timeouts=IMPATIENT)
        generator = OpenAIGenerator("m", url=endpoint)
        try:
            yield server, generator
        finally:
            generator.close()


async def pool_of(generator: OpenAIGenerator, *, least: int) -> Pool:
    plan = Plan(generator=generator, budget=Fixed(N), min_candidates=least)
    try:
        pool, lacking = await run(PROMPT, plan), ""
    except NoCandidates as error:
        pool, lacking = error.pool, str(error)
    assert (len(pool) < least) == (f"at least {least} wanted" in lacking)
    return pool


@pytest.mark.parametrize("kind", KINDS)
async def test_one_failed_draw_of_n_kills_the_call(kind: str) -> None:
    """The pool has exactly the others, and says of each of these what failed and why."""
    fault, error, words = KINDS[kind]
    seeds = {draw_seed(5, "p", index): index for index in range(N)}
    for failing in range(N + 1):
        async with drawing(fault, failing) as (server, generator):
            pool = await pool_of(generator, least=1 + failing % 6)
            calls = server.ledger.calls
            assert generator.endpoint.pace.slots.taken == 0
        met = {seeds[call.request["seed"]] for call in calls if call.fault is not None}
        assert len(calls) == N
        assert len(met) == failing
        assert [(made.index, made.text) for made in pool.candidates] == [
            (index, f"said {seed}") for seed, index in seeds.items() if index not in met
        ]
        assert SAID not in repr(pool.candidates)
        assert [failure.index for failure in pool.failures] == sorted(met)
        for failure in pool.failures:
            assert (failure.stage, failure.error, failure.by) == ("generate", error, "openai:m")
            assert re.search(words, failure.message), failure.message


async def test_all_of_one_kind_after_another_in_one_pool() -> None:
    """Every draw fails in its own way, and is said to."""
    kinds = [
        KINDS[name] for name in ("400", "429", "503", "cut", "reset before", "HTML", "no finish_reason", "nothing")
    ]
    async with drawing(Fault(), 0) as (server, generator):
        server.faults = [fault for fault, _, _ in kinds]
        pool = await pool_of(generator, least=1)
    assert not pool.candidates
    assert sorted(failure.error for failure in pool.failures) == sorted(error for _, error, _ in kinds)
