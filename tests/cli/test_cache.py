"""`--cache` on ask, sample and score: by the endpoint's own ledger nothing is asked twice, and trouble costs no run."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from bon.store.pools import read_pools, same_pools
from bon.testing import FaultServer

Bon = Callable[..., CompletedProcess[str]]

JUDGE = """
from pathlib import Path


async def judge(prompt, candidate):
    with Path("asked").open("a") as file:
        file.write(candidate.text + "\\n")
    return len(candidate.text)


judge.identity = {"code": 1}
"""


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"id": f"q{i}", "prompt": f"What is {i} + {i}?"}) + "\n" for i in range(3)))
    return path


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Where the cache lies."""
    return tmp_path / "cache" / "bon" / "responses.sqlite"


async def test_sample_asks_nothing_twice(bon: Bon, prompts: Path, tmp_path: Path, kept: Path) -> None:
    async with FaultServer() as server:

        async def sampled(out: str, *args: str, **env: str) -> tuple[int, int, str]:
            """Calls made, candidates from the cache, and what was said."""
            before = len(server.ledger)
            spec = f"openai:test-model@{server.url}"
            command = ["sample", prompts, "-g", spec, "-o", tmp_path / out, "--json", *args]
            done = await asyncio.to_thread(bon, *command, **env)
            return len(server.ledger) - before, json.loads(done.stdout)["cached"], done.stderr

        assert (await sampled("off", "-n", "2"))[:2] == (6, 0)
        assert not kept.exists()
        assert (await sampled("a", "-n", "2", "--cache", "write"))[:2] == (6, 0)
        assert (await sampled("b", "-n", "2", "--cache", "read"))[:2] == (0, 6)
        calls, cached, said = await sampled("c", "-n", "4", "--cache", "write")
        assert (calls, cached) == (6, 6)
        assert "c: 3 pools (3 of them now), 12 candidates drawn, 6 of them from the cache\n" in said
        assert "spent so far: 6 calls" in said
        assert (await sampled("d", "-n", "4", "--max-calls", "0", BON_CACHE_MODE="read"))[:2] == (0, 12), (
            "hits are free"
        )
        assert (await sampled("g", "-n", "4", "--cache", "refresh"))[:2] == (12, 0)
        assert (await sampled("h", "-n", "4", "--cache", "read"))[:2] == (0, 12)
    assert same_pools(read_pools(tmp_path / "c"), read_pools(tmp_path / "d"))
    assert same_pools(read_pools(tmp_path / "g"), read_pools(tmp_path / "h"))
    first, found = ([pool.candidates for pool in read_pools(tmp_path / out)] for out in "ab")
    assert all(candidate.cached for candidates in found for candidate in candidates)
    assert [[c.text for c in candidates] for candidates in found] == [
        [c.text for c in candidates] for candidates in first
    ]
    assert all(pool.spent.calls == 0 for pool in read_pools(tmp_path / "b"))
    assert len({c.text for candidates in first for c in candidates}) == 6


async def test_ask_marks_what_came_from_the_cache(bon: Bon) -> None:
    async with FaultServer() as server:
        args = [
            "ask",
            "Why?",
            "-g",
            f"openai:test-model@{server.url}",
            "-s",
            "heuristic",
            "-n",
            "3",
            "--cache",
            "write",
        ]
        first = await asyncio.to_thread(bon, *args)
        again = await asyncio.to_thread(bon, *args, "-n", "4")
        assert len(server.ledger) == 4
    assert "cached" not in first.stderr
    assert "from the cache" not in first.stderr
    assert again.stderr.count("cached") == 3
    assert "4 of 4 distinct · 3 from the cache · 2 tokens drawn" in again.stderr


def test_score_asks_nothing_twice(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    (tmp_path / "judging.py").write_text(JUDGE)
    bon("sample", prompts, "-g", "tiny:model", "-n", "2", "-o", tmp_path / "pools")
    for out in ("a", "b"):
        bon("score", tmp_path / "pools", "-s", "judging:judge", "-o", tmp_path / out, "--cache", "write")
    asked = (tmp_path / "asked").read_text().splitlines()
    assert len(asked) == 6
    bon("score", tmp_path / "pools", "-s", "judging:judge", "-o", tmp_path / "c")
    assert len((tmp_path / "asked").read_text().splitlines()) == 12
    first, found = ([pool.scores["judging:judge"] for pool in read_pools(tmp_path / out)] for out in "ab")
    assert [[score.value for score in scores] for scores in found] == [
        [score.value for score in scores] for scores in first
    ]
    assert all(score.cached for scores in found for score in scores)
    assert not any(score.cached for scores in first for score in scores)


async def test_a_cache_that_cannot_be_used_costs_no_run(bon: Bon, prompts: Path, tmp_path: Path, kept: Path) -> None:
    (tmp_path / "file").touch()
    async with FaultServer() as server:
        args = ["sample", prompts, "-g", f"openai:test-model@{server.url}", "-n", "1", "--cache", "write", "-o"]
        nowhere = await asyncio.to_thread(bon, *args, tmp_path / "a", BON_CACHE=str(tmp_path / "file" / "folder"))
        assert nowhere.stderr.count("bon: warning: the response cache is not used: ") == 1
        kept.parent.mkdir(parents=True)
        kept.write_bytes(b"damaged" * 10_000)
        damaged = await asyncio.to_thread(bon, *args, tmp_path / "b")
        assert damaged.stderr.count("bon: warning: the response cache") == 1
        assert "it is now responses.sqlite.damaged" in damaged.stderr
        assert len(server.ledger) == 6
        again = await asyncio.to_thread(bon, *args, tmp_path / "c")
        assert "3 of them from the cache" in again.stderr
        assert len(server.ledger) == 6


async def test_the_cache_holds_no_key_and_no_pickle(bon: Bon, prompts: Path, tmp_path: Path, kept: Path) -> None:
    canary = "sk-canary-0a1b2c3d"
    async with FaultServer() as server:
        spec = f"openai:test-model@{server.url}?key_env=MY_KEY"
        args = ["sample", prompts, "-g", spec, "-n", "2", "--cache", "write", "-o", tmp_path / "out"]
        await asyncio.to_thread(bon, *args, MY_KEY=canary)
        assert server.ledger.calls[0].headers["authorization"] == f"Bearer {canary}"
    assert [file.name for file in kept.parent.rglob("*") if canary.encode() in file.read_bytes()] == []
    with closing(sqlite3.connect(kept)) as connection:
        rows = [json.loads(value) for (value,) in connection.execute("SELECT value FROM responses")]
    assert sorted(candidate["text"] for _, candidate in rows) == [f"answer {i}" for i in range(6)]


@pytest.mark.parametrize("command", ["ask", "sample", "score"])
def test_a_bad_mode_is_refused(bon: Bon, prompts: Path, tmp_path: Path, command: str) -> None:
    bon("sample", prompts, "-g", "tiny:model", "-n", "1", "-o", tmp_path / "pools")
    rest = {"ask": ["Why?"], "sample": [prompts, "-o", tmp_path / "out"], "score": [tmp_path / "pools", "-s", "math"]}[
        command
    ]
    done = bon(command, *rest, "--cache", "yes", check=False)
    assert done.returncode == 2
    assert "'yes' is not one of 'read', 'write', 'refresh', 'off'" in done.stderr
    done = bon(command, *rest, check=False, BON_CACHE_MODE="yes")
    assert done.returncode == 2
    assert "BON_CACHE_MODE is 'yes'; it must be one of off, read, write, refresh" in done.stderr
