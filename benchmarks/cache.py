"""CPU time per candidate that is put into the response cache, and per candidate that is found in it.

A generator that gives a canned candidate of 500 tokens at once is drawn from by itself, through an empty cache (every
draw is put), and through a full one (every draw is found), in the same process; only this process's CPU time is
counted (user and system). What the bare generator takes is taken off. Run it with
`python benchmarks/cache.py [--candidates N] [--n N] [--at-once N] [--json]`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import resource
import statistics
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from bon.generate.cached import Cached
from bon.protocols import Generator
from bon.store.responses import Responses
from bon.types import Candidate, Draw, Logprobs, Prompt, Seconds, Usage

GOALS = {"put": 120.0, "hit": 60.0}
"""Microseconds, for candidates without log-probabilities."""
TOKENS = 500
TEXT = "Because short waves are scattered more than long ones: " * (TOKENS // 10)
MESSAGES = (
    {"role": "system", "content": "You answer questions about nature. " * 6},
    {"role": "user", "content": "Why is the sky blue at noon and red in the evening? " * 20},
)


class Canned:
    """A generator that costs nothing to speak of."""

    name = "openai:m"

    def __init__(self, *, logprobs: bool) -> None:
        self.defaults = {"temperature": 0.7, "top_p": 0.9, "max_tokens": 512}
        self.identity = {"kind": "openai", "model": "m", "url": "http://localhost:8000/v1"}
        self.logprobs = Logprobs(tokens=tuple(-token / 997 for token in range(TOKENS))) if logprobs else None

    async def __call__(self, prompt: Prompt, n: int, *, start: int = 0) -> AsyncIterator[Draw]:
        for index in range(start, start + n):
            yield Candidate(
                index=index,
                text=f"{prompt.id} {index} {TEXT}",
                seed=index,
                seconds=Seconds(total=7.25),
                usage=Usage(prompt_tokens=300, completion_tokens=TOKENS),
                logprobs=self.logprobs,
                generator=self.name,
            )


async def draw(generator: Generator, prompts: list[Prompt], *, n: int, at_once: int, cached: bool) -> None:
    """Draw n candidates of each prompt, several prompts at a time."""

    async def one(prompt: Prompt) -> None:
        draws = [draw async for draw in generator(prompt, n)]
        if len(draws) != n or any(not isinstance(draw, Candidate) or draw.cached != cached for draw in draws):
            raise RuntimeError(f"prompt {prompt.id}: {draws!r:.200}")

    for begin in range(0, len(prompts), at_once):
        await asyncio.gather(*(one(prompt) for prompt in prompts[begin : begin + at_once]))


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def measured(folder: Path, *, candidates: int, n: int, at_once: int, logprobs: bool) -> dict[str, float]:
    """CPU microseconds per candidate: put, and hit."""
    prompts = [Prompt(id=str(i), messages=MESSAGES, request={"seed": 0}) for i in range(candidates // n)]
    canned = Canned(logprobs=logprobs)
    responses = Responses(folder / "responses.sqlite")
    generator = Cached(canned, responses)
    took: dict[str, float] = {}
    for what, drawn_from, cached in (("bare", canned, False), ("put", generator, False), ("hit", generator, True)):
        before = cpu()
        await draw(drawn_from, prompts, n=n, at_once=at_once, cached=cached)
        responses.flush()
        took[what] = (cpu() - before) / (len(prompts) * n) * 1e6
    responses.close()
    return {what: took[what] - took["bare"] for what in GOALS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=8000)
    parser.add_argument("--n", type=int, default=8, help="draws of a prompt")
    parser.add_argument("--at-once", type=int, default=8, help="prompts at a time")
    parser.add_argument("--rounds", type=int, default=5, help="the median counts")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    gc.collect()
    gc.freeze()  # as `bon sample` does
    rows: list[dict[str, Any]] = []
    for logprobs in (False, True):
        rounds = []
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory() as folder:
                work = measured(
                    Path(folder),
                    candidates=options.candidates,
                    n=options.n,
                    at_once=options.at_once,
                    logprobs=logprobs,
                )
                rounds.append(asyncio.run(work))
        for what, goal in GOALS.items():
            us = statistics.median(took[what] for took in rounds)
            goal_us = None if logprobs else goal
            rows.append({"what": what, "logprobs": logprobs, "cpu_us": round(us, 1), "goal_us": goal_us})
    if options.json:
        settings = {"candidates": options.candidates, "n": options.n, "at_once": options.at_once}
        print(json.dumps({**settings, "tokens": TOKENS, "cpus": os.cpu_count(), "rows": rows}))
        return
    print(f"CPU per candidate of {TOKENS} tokens, n={options.n}, {options.candidates} candidates, median of rounds")
    for row in rows:
        aim = f"   goal {row['goal_us']:.0f}" if row["goal_us"] else ""
        print(f"{row['what']}{', with logprobs' if row['logprobs'] else '':<16}{row['cpu_us']:>8.1f} us{aim}")


if __name__ == "__main__":
    main()
