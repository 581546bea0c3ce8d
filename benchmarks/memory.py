"""Memory: per candidate in flight, and over a file of 100,000 prompts, against gathering them all at once.

Each figure is the growth of one process's peak (or present) resident memory over what it held when everything was
imported and warm. Run it with `python benchmarks/memory.py [--prompts N] [--in-flight N] [--json]`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import multiprocessing.connection
import os
import resource
import tempfile
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

from bon.api import make_job
from bon.api.files import sample_file
from bon.budgets import Fixed
from bon.engine import Plan, run, run_many
from bon.generate.openai import OpenAIGenerator, open_endpoint
from bon.registry import Builder, Config
from bon.store.prompts import read_prompts, write_prompts
from bon.transport import Limits
from bon.types import Candidate, Draw, Prompt, Seconds, Usage

ANSWER = "Because of Rayleigh scattering, short waves are scattered more than long ones. " * 5
MEGABYTE, KILOBYTE = 1 << 20, 1 << 10


def peak() -> int:
    """The most resident memory so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KILOBYTE


def present() -> int:
    """The resident memory at this moment, in bytes."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def sockets() -> int:
    """How many files and sockets this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def prompts(count: int) -> Iterator[Prompt]:
    """Prompts with a seed, as `bon sample` has them: each of their draws is a request of its own."""
    for i in range(count):
        question = {"role": "user", "content": f"Why is sky number {i} blue? " * 4}
        yield Prompt(id=f"prompt-{i:06}", messages=(question,), request={"seed": 0})


async def instant(_: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
    for index in range(start, start + n):
        await asyncio.sleep(0)
        usage, seconds = Usage(prompt_tokens=60, completion_tokens=72), Seconds(total=0.0)
        yield Candidate(index=index, text=f"{index}: {ANSWER}", usage=usage, seconds=seconds, generator="instant")


async def sampled(folder: Path, count: int) -> None:
    source, out = folder / f"{count}.jsonl", folder / f"{count}.pools.jsonl"
    write_prompts(source, prompts(count))
    job = make_job(Builder(Config(), n=2), generator=instant, scorer="heuristic")
    async for _ in sample_file(read_prompts(source), out, job, concurrency=32):
        pass


async def gathered(count: int) -> None:
    plan = Plan(generator=instant, budget=Fixed(2))
    await asyncio.gather(*(run(prompt, plan) for prompt in prompts(count)))


def over_a_file(answer: multiprocessing.connection.Connection, count: int) -> None:
    """The growth of the peak over `count` prompts, from a file into a file."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(sampled(Path(folder), 100))
        before = peak()
        asyncio.run(sampled(Path(folder), count))
        answer.send(peak() - before)


def all_at_once(answer: multiprocessing.connection.Connection, count: int) -> None:
    """The same prompts in one `asyncio.gather`, kept in memory: what a script does first."""
    asyncio.run(gathered(100))
    before = peak()
    asyncio.run(gathered(count))
    answer.send(peak() - before)


async def _silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read(1)
    await asyncio.sleep(3600)


def serve_nothing(ready: multiprocessing.connection.Connection) -> None:
    async def main() -> None:
        server = await asyncio.start_server(_silent, "127.0.0.1", 0, backlog=4096)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def in_flight(answer: multiprocessing.connection.Connection, count: int, port: int) -> None:
    """The growth per candidate when `count` of them wait for their answers, each with a connection of its own."""

    async def main() -> None:
        endpoint = open_endpoint("m", url=f"http://127.0.0.1:{port}/v1", limits=Limits(slots=count + 64))
        plan = Plan(generator=OpenAIGenerator("m", url=endpoint), budget=Fixed(8))

        async def flying(some: int) -> asyncio.Task[None]:
            async def drain() -> None:
                async for _ in run_many(prompts(some // 8), plan, concurrency=some // 8):
                    pass

            wanted = sockets() + some
            task = asyncio.ensure_future(drain())
            async with asyncio.timeout(60):
                while sockets() < wanted:  # noqa: ASYNC110  # nobody tells when a socket is opened
                    await asyncio.sleep(0.1)
            await asyncio.sleep(1.0)
            return task

        first = await flying(64)
        before = present()
        second = await flying(count)
        answer.send((present() - before) / count)
        for task in (first, second):
            task.cancel()
        await asyncio.gather(first, second, return_exceptions=True)

    asyncio.run(main())


def measured(job: object, *arguments: object) -> float:
    """What a fresh process says."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = multiprocessing.Pipe()
    process = context.Process(target=job, args=(theirs, *arguments))  # type: ignore[arg-type]
    process.start()
    theirs.close()  # so that a process that fails is an EOFError here, not silence
    value: float = ours.recv()
    process.join()
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=100_000)
    parser.add_argument("--in-flight", type=int, default=2048)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 3 * options.in_flight), hard), hard))
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve_nothing, args=(theirs,), daemon=True)
    server.start()
    flying = measured(in_flight, options.in_flight, ours.recv())
    server.terminate()
    rows = {
        "kilobytes_per_candidate_in_flight": round(flying / KILOBYTE, 1),
        "megabytes_over_a_file": round(measured(over_a_file, options.prompts) / MEGABYTE, 1),
        "megabytes_all_at_once": round(measured(all_at_once, options.prompts) / MEGABYTE, 1),
    }
    if options.json:
        print(json.dumps({"prompts": options.prompts, "in_flight": options.in_flight, **rows}))
        return
    print(f"{options.in_flight} candidates in flight: {rows['kilobytes_per_candidate_in_flight']} KB each")
    print(f"{options.prompts} prompts, n=2, file to file: {rows['megabytes_over_a_file']} MB above the start")
    print(f"the same, all gathered in memory: {rows['megabytes_all_at_once']} MB above the start")


if __name__ == "__main__":
    main()
