"""Promise 8: kill -9 anywhere, run again: the same result, nothing lost, nothing twice.

Real processes run the real command against a real server, whose ledger says what was asked; we are not asked.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
import zlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bon.store.journal import journal_path
from bon.store.pools import read_pools, same_pools
from bon.testing import Fault, FaultServer

N, PROMPTS, AT_ONCE, SLOTS = 16, 8, 2, 2
JUST_NOW = 0.1
"""Seconds in which an answer that was sent may still be on its way to the journal, on a busy machine."""
SCORER = '''
import asyncio

import bon


@bon.pointwise
async def length(prompt, candidate):
    """Takes a moment, as a model would; says that it was asked."""
    await asyncio.sleep(0.005)
    with open("asked.txt", "a") as file:
        file.write(f"{prompt.id} {candidate.index}\\n")
    return float(len(candidate.text))
'''


def answer(request: Mapping[str, Any], number: int) -> str:
    """Depends on the draw alone, as a model under its seed does."""
    return f"answer {zlib.crc32(repr((request['messages'], request['seed'])).encode())}"


def delays(number: int) -> Fault:
    return Fault(delay=random.Random(number).uniform(0.01, 0.05))


def command(folder: Path, url: str) -> list[str]:
    generator, out = f"openai:test-model@{url}?slots={SLOTS}", str(folder / "out.jsonl")
    return [
        *(sys.executable, "-m", "bon", "sample", str(folder / "prompts.jsonl"), "-g", generator, "-n", str(N)),
        *("-o", out, "--concurrency", str(AT_ONCE), "--extract", "number", "-s", "heuristic", "-s", "tiny:length"),
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny.py").write_text(SCORER)
    rows = [{"id": f"q{i}", "prompt": f"What is {i} + {i}?"} for i in range(PROMPTS)]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


async def start(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("BON_", "OPENAI_", "COV_"))}
    return await asyncio.create_subprocess_exec(
        *arguments, cwd=folder, env={**kept, "HOME": str(folder)}, stderr=asyncio.subprocess.PIPE
    )


async def finish(folder: Path, *arguments: str) -> None:
    process = await start(folder, *arguments)
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()


def answered(server: FaultServer) -> Counter[int]:
    """How often each draw's answer was sent in full, by the draw's own seed."""
    return Counter(call.request["seed"] for call in server.ledger.finished)


async def killed(folder: Path, server: FaultServer, chance: random.Random) -> set[int] | None:
    """Start the run and kill it at a random moment: the draws that were in flight then; None if it ended before."""
    known = len(server.ledger)
    process = await start(folder, *command(folder, server.url))
    # From the moment it draws, mostly: a kill while Python starts proves little.
    with_draws = chance.random() < 0.9
    while with_draws and len(server.ledger) == known and process.returncode is None:  # noqa: ASYNC110
        await asyncio.sleep(0.002)
    await asyncio.sleep(chance.uniform(0.0, 0.35))
    if process.returncode is not None:
        return None
    process.send_signal(signal.SIGKILL)
    now = time.monotonic()
    flying = {call.request["seed"] for call in server.ledger.calls if call.ended is None or call.ended > now - JUST_NOW}
    await process.communicate()
    await server.ledger.until()
    return flying


@pytest.mark.slow
async def test_fifty_kills_lose_nothing_and_pay_for_nothing_twice_but_what_was_in_flight(folder: Path) -> None:
    chance = random.Random(0)
    async with FaultServer(answers=answer, faults=delays) as server:
        await finish(folder, *command(folder, server.url))
    whole = list(read_pools(folder / "out.jsonl"))
    assert len(whole) == PROMPTS
    kills = rounds = 0
    while kills < 50:
        rounds += 1
        for name in ("out.jsonl", "out.jsonl.run.toml", "asked.txt"):
            (folder / name).unlink()
        flying: set[int] = set()
        async with FaultServer(answers=answer, faults=delays) as server:
            while kills < 50 and (at_the_kill := await killed(folder, server, chance)) is not None:
                kills += 1
                flying |= at_the_kill
                check_whole_lines(folder / "out.jsonl")
            await finish(folder, *command(folder, server.url))
        check_same(folder, whole)
        times = answered(server)
        assert set(times) == {candidate.seed for pool in whole for candidate in pool.candidates}
        assert {seed for seed, count in times.items() if count > 1} <= flying, "paid again though it was not in flight"
    assert rounds >= 2, "so that kills met the beginning, the middle and the end of runs"


def check_same(folder: Path, whole: list[Any]) -> None:
    out = folder / "out.jsonl"
    assert same_pools(read_pools(out), whole)
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == [f"q{i}" for i in range(PROMPTS)]
    assert not journal_path(out).exists(), "nothing in it is needed any more"
    asked = Counter((folder / "asked.txt").read_text().splitlines())
    assert len(asked) == PROMPTS * N
    assert max(asked.values()) <= 4, "a score that was recorded is not made again"


def check_whole_lines(out: Path) -> None:
    """What is on disk between two runs can be read, but for a last line that the kill may have cut."""
    if out.exists():
        assert len(list(read_pools(out, tolerate_truncated_tail=True))) <= PROMPTS


@pytest.mark.slow
async def test_scoring_in_place_survives_kills(folder: Path) -> None:
    chance = random.Random(1)
    async with FaultServer(answers=answer) as server:
        sampled = command(folder, server.url)[:-4]
        await finish(folder, *sampled)
    out = folder / "out.jsonl"
    scoring = [sys.executable, "-m", "bon", "score", str(out), "-s", "tiny:length", "--concurrency", "2"]
    lived, kills = True, 0
    while lived and kills < 6:
        process = await start(folder, *scoring)
        while not (folder / "asked.txt").exists() and process.returncode is None:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        await asyncio.sleep(chance.uniform(0.0, 0.3))
        lived = process.returncode is None
        if lived:
            process.send_signal(signal.SIGKILL)
            kills += 1
        await process.communicate()
    await finish(folder, *scoring)
    pools = list(read_pools(out))
    assert [len(pool.scores["tiny:length"]) for pool in pools] == [N] * PROMPTS
    assert len(out.read_text().splitlines()) == PROMPTS
    asked = Counter((folder / "asked.txt").read_text().splitlines())
    assert sum(asked.values()) <= PROMPTS * N + kills * AT_ONCE * N
    assert kills
