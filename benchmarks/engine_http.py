"""CPU time per call of our HTTP path against a raw asyncio loop and bare aiohttp, in one run.

The server is a process of its own that gives one canned chat completion at once; only this process's CPU time is
counted (user and system), 64 calls in flight. Run it with `python benchmarks/engine_http.py [--calls N] [--uvloop]
[--json]`. A contender is an async function in `CONTENDERS`: `(url, calls)`, which makes that many calls.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import multiprocessing
import multiprocessing.connection
import os
import resource
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from pathlib import Path

import aiohttp
import msgspec

from bon.api import make_job
from bon.api.files import sample_file
from bon.budgets import Fixed
from bon.engine import Plan, run_many
from bon.generate.openai import OpenAIGenerator
from bon.ledger import Caps, Ledger, Price
from bon.protocols import Scorer
from bon.registry import Builder, Config
from bon.score import heuristic
from bon.types import Candidate, Prompt

AT_ONCE = 64
MESSAGES = ({"role": "user", "content": "Why is the sky blue? " * 10},)
REQUEST = {"temperature": 0.7, "top_p": 0.9, "max_tokens": 512}
BODY = msgspec.json.encode({"model": "m", "messages": MESSAGES, **REQUEST})
REPLY = msgspec.json.encode(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Because of Rayleigh scattering. " * 12},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "usage": {"prompt_tokens": 60, "completion_tokens": 72, "total_tokens": 132},
    }
)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(REPLY), REPLY)


class _Canned(asyncio.Protocol):
    """Gives the same answer to every request that has arrived whole."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while True:
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            if not found:
                return
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            if len(rest) < length:
                return
            self.buffer = rest[length:]
            self.transport.write(ANSWER)  # type: ignore[attr-defined]  # it is a stream's


def serve(ready: multiprocessing.connection.Connection) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(_Canned, "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


async def raw(url: str, calls: int) -> None:
    """What asyncio itself costs: keep-alive connections, hand-written HTTP/1.1, the JSON read."""
    host, port = url.removeprefix("http://").removesuffix("/v1").split(":")
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY

    async def client(count: int) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for _ in range(count):
            writer.write(request)
            headers = await reader.readuntil(b"\r\n\r\n")
            length = int(headers.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            reply = json.loads(await reader.readexactly(length))
            if not reply["choices"][0]["message"]["content"]:
                raise RuntimeError("an empty answer")
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(client(calls // AT_ONCE) for _ in range(AT_ONCE)))


async def bare_aiohttp(url: str, calls: int) -> None:
    """What aiohttp costs: post(json=...) and json(), as its manual shows it."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:

        async def client(count: int) -> None:
            body = {"model": "m", "messages": MESSAGES, **REQUEST}
            for _ in range(count):
                async with session.post(f"{url}/chat/completions", json=body) as response:
                    reply = await response.json()
                if not reply["choices"][0]["message"]["content"]:
                    raise RuntimeError("an empty answer")

        await asyncio.gather(*(client(calls // AT_ONCE) for _ in range(AT_ONCE)))


async def generator_singly(url: str, calls: int) -> None:
    """OpenAIGenerator, asked for one draw at a time."""
    await _generate(url, calls, n=1)


async def generator_by_eight(url: str, calls: int) -> None:
    """OpenAIGenerator, asked for eight draws at a time: eight requests, each with a seed of its own."""
    await _generate(url, calls, n=8)


async def _generate(url: str, calls: int, *, n: int) -> None:
    generator = OpenAIGenerator("m", url=url)
    prompt = Prompt(id="p", messages=MESSAGES, request={"seed": 1})

    async def client(count: int) -> None:
        for i in range(count):
            async for draw in generator(prompt, n, start=i * n):
                if not isinstance(draw, Candidate):
                    raise RuntimeError(f"a draw failed: {draw}")

    await asyncio.gather(*(client(calls // AT_ONCE) for _ in range(AT_ONCE // n)))
    generator.close()


async def engine(url: str, calls: int) -> None:
    """The engine, best-of-8: eight prompts at a time, the heuristic scorer, the budget asked as each draw lands."""
    generator = OpenAIGenerator("m", url=url)
    plan = Plan(generator=generator, budget=Fixed(8), scorers=SCORERS.get())
    prompts = (Prompt(id=str(i), messages=MESSAGES, request={"seed": 1}) for i in range(calls // 8))
    async for pool in run_many(prompts, plan, concurrency=AT_ONCE // 8):
        if len(pool) != 8:
            raise RuntimeError(f"draws failed: {pool.failures}")
    generator.close()


async def engine_scoring(url: str, calls: int) -> None:
    """The same, and each candidate is scored by `heuristic` as it lands."""
    token = SCORERS.set({"heuristic": heuristic})
    try:
        await engine(url, calls)
    finally:
        SCORERS.reset(token)


def length(prompt: Prompt, candidate: Candidate) -> float:  # noqa: ARG001  # a scorer is given both
    """A score that costs next to nothing to find: what remains is what scoring costs the engine."""
    return float(len(candidate.text))


async def everything(url: str, calls: int) -> None:
    """`bon sample` over a file: journal, a ledger with caps, limits, a scorer, pools in order on disk."""
    caps = Caps(tokens=10**12, calls=10**9, money=10**6)
    prompts = [Prompt(id=str(i), messages=MESSAGES) for i in range(calls // 8)]
    with tempfile.TemporaryDirectory() as folder:
        generator = OpenAIGenerator("m", url=url, price=Price(prompt=1e-6, completion=2e-6))
        job = make_job(Builder(Config(), n=8), generator=generator, scorer=length)
        ledger = Ledger(caps)
        async for progress in sample_file(prompts, Path(folder, "o"), job, concurrency=AT_ONCE // 8, ledger=ledger):
            if progress.empty:
                raise RuntimeError("draws failed")
        generator.close()
        if ledger.spent.calls != calls:
            raise RuntimeError(f"{ledger!r} counted {ledger.spent.calls} calls of {calls}")


SCORERS: ContextVar[dict[str, Scorer]] = ContextVar("scorers", default={})  # noqa: B039  # nobody changes it

GOALS = {"engine, best-of-8": 5, "engine, everything on": 7}
"""Times the raw loop of the same run."""

CONTENDERS: dict[str, Callable[[str, int], Awaitable[None]]] = {
    "raw asyncio": raw,
    "bare aiohttp": bare_aiohttp,
    "OpenAIGenerator, n=1": generator_singly,
    "OpenAIGenerator, n=8": generator_by_eight,
    "engine, best-of-8": engine,
    "engine, scoring too": engine_scoring,
    "engine, everything on": everything,
}


def microseconds(contender: Callable[[str, int], Awaitable[None]], url: str, calls: int) -> float:
    """CPU microseconds per call, after a warm-up."""

    async def measured() -> float:
        await contender(url, AT_ONCE * 4)
        before = resource.getrusage(resource.RUSAGE_SELF)
        await contender(url, calls)
        after = resource.getrusage(resource.RUSAGE_SELF)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    return asyncio.run(measured()) / calls * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=6400)
    parser.add_argument("--rounds", type=int, default=5, help="contenders take turns; the median counts")
    parser.add_argument("--uvloop", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{ours.recv()}/v1"
    if options.uvloop:
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    calls = options.calls // AT_ONCE * AT_ONCE
    gc.collect()
    gc.freeze()  # both as `bon sample` does: walking all imported modules again and again is nobody's work per call
    gc.set_threshold(10_000, 20, 20)
    rounds = [
        {name: microseconds(contender, url, calls) for name, contender in CONTENDERS.items()}
        for _ in range(options.rounds)
    ]
    server.terminate()
    best = {name: statistics.median(measured[name] for measured in rounds) for name in CONTENDERS}
    rows = [
        {"contender": name, "cpu_us_per_call": round(us, 1), "times_raw": round(us / best["raw asyncio"], 2)}
        for name, us in best.items()
    ]
    loop = "uvloop" if options.uvloop else "asyncio"
    if options.json:
        print(json.dumps({"loop": loop, "at_once": AT_ONCE, "calls": calls, "cpus": os.cpu_count(), "rows": rows}))
        return
    print(f"CPU per call, {AT_ONCE} in flight, {calls} calls, median of {options.rounds} rounds, {loop} loop")
    for row in rows:
        goal = f"   goal {GOALS[row['contender']]} x" if row["contender"] in GOALS else ""
        print(f"{row['contender']:<24}{row['cpu_us_per_call']:>8.1f} us{row['times_raw']:>8.2f} x raw{goal}")


if __name__ == "__main__":
    main()
