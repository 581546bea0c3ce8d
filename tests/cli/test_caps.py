"""Caps on the command line: a run that has reached one stops, says so, and goes on when it is raised."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from bon.store.pools import read_pools
from bon.testing import FaultServer

Bon = Callable[..., CompletedProcess[str]]


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with FaultServer() as running:
        yield running


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"id": f"q{n}", "prompt": f"What is {n}?"}) + "\n" for n in range(10)))
    return path


async def test_a_sample_stops_at_its_cap_and_goes_on_when_it_is_raised(
    bon: Bon, prompts: Path, tmp_path: Path, server: FaultServer
) -> None:
    out = tmp_path / "pools.jsonl"
    generator = f"openai:m@{server.url}?use_n=false"
    args = ("sample", prompts, "-g", generator, "-n", "2", "-o", out, "--concurrency", "1", "--json")
    done = await asyncio.to_thread(bon, *args, "--max-calls", "7", check=False)
    assert done.returncode == 1
    said = json.loads(done.stdout)
    assert (said["pools"], said["candidates"]) == (3, 7)
    assert "cap on calls (7)" in said["stopped"]
    assert done.stderr.splitlines()[-1].startswith("bon: the cap on calls (7)")
    assert "--max-calls" in done.stderr
    assert len(server.ledger) == 7
    done = await asyncio.to_thread(bon, *args, "--max-calls", "15", check=False)
    assert done.returncode == 1
    assert len(server.ledger) == 15
    done = await asyncio.to_thread(bon, *args, "--max-calls", "20")
    assert json.loads(done.stdout)["stopped"] is None
    assert len(server.ledger) == 20, "nothing was paid for twice"
    assert [len(pool) for pool in read_pools(out)] == [2] * 10


async def test_tokens_of_the_run_and_of_each_answer_have_one_option(
    bon: Bon, prompts: Path, tmp_path: Path, server: FaultServer
) -> None:
    generator, out = f"openai:m@{server.url}?use_n=false", tmp_path / "pools.jsonl"
    args = ("sample", prompts, "-g", generator, "-n", "2", "-o", out, "--max-tokens", "16", "--json")
    done = await asyncio.to_thread(bon, *args, "--max-tokens", "0.35k", check=False)
    assert done.returncode == 1
    assert "cap on tokens (350)" in done.stderr
    billed = server.summary()
    assert 0 < billed["started"] < 20
    assert billed["prompt_tokens"] + billed["completion_tokens"] <= 350
    assert {call.request["max_tokens"] for call in server.ledger.calls} == {16}
    await asyncio.to_thread(bon, *args, "--max-total-tokens", "1000000")
    assert len(server.ledger) == 20


async def test_money_is_capped_by_the_price_in_bon_toml(
    bon: Bon, prompts: Path, tmp_path: Path, server: FaultServer
) -> None:
    out = tmp_path / "pools.jsonl"
    args = ("sample", prompts, "-g", f"openai:m@{server.url}", "-n", "2", "-o", out, "--max-cost", "$0.05")
    refused = await asyncio.to_thread(bon, *args, check=False)
    assert refused.returncode == 2
    assert "no price of openai:m is known" in refused.stderr
    assert "--allow-unpriced" in refused.stderr
    assert len(server.ledger) == 0
    (tmp_path / "bon.toml").write_text('[prices."m"]\nprompt = 0\ncompletion = 0\ncall = 0.01\n')
    stopped = await asyncio.to_thread(bon, *args, "--concurrency", "1", check=False)
    assert stopped.returncode == 1
    assert "cap on money ($0.05)" in stopped.stderr
    assert len(server.ledger) == 5


async def test_an_answer_under_a_cap_is_the_best_of_those_that_were_drawn(bon: Bon, server: FaultServer) -> None:
    args = ("ask", "Why?", "-g", f"openai:m@{server.url}?use_n=false", "-n", "8", "-s", "heuristic", "--max-calls", "3")
    done = await asyncio.to_thread(bon, *args)
    assert done.stdout.startswith("answer ")
    assert "answered from 3 candidates, for a cap was reached: the cap on calls (3)" in done.stderr
    assert "no room for a call of openai:m:" in done.stderr
    assert "failed: " not in done.stderr, "it is said once"
    said = json.loads((await asyncio.to_thread(bon, *args, "--json")).stdout)
    assert len(said["pool"]["candidates"]) == 3
    assert "cap on calls (3)" in said["stopped"]
    none = await asyncio.to_thread(bon, *args[:-1], "0", check=False)
    assert none.returncode == 1
    assert "cap on calls (0)" in none.stderr
    assert len(server.ledger) == 6


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--max-tokens", "many"), "write 256 for each answer, 1.5M for the whole run"),
        (("--max-tokens", "1.5"), "give a whole number"),
        (("--max-tokens", "1M", "--max-tokens", "2M"), "twice for the whole run"),
        (("--max-tokens", "1", "--max-tokens", "2"), "twice for each answer"),
        (("--max-tokens", "1M", "--max-total-tokens", "5"), "by --max-tokens and by --max-total-tokens"),
        (("--max-cost", "nan"), "finite number"),
        (("--max-cost", "two"), "'two' is no number"),
        (("--max-seconds", "-1"), "0 or more"),
        (("--max-calls", "-1"), "-1 is not in the range"),
    ],
)
def test_bad_caps_are_refused_before_anything_is_read(
    bon: Bon, prompts: Path, tmp_path: Path, args: tuple[str, ...], says: str
) -> None:
    done = bon("sample", prompts, "-g", "tiny:drawn", "-o", tmp_path / "pools.jsonl", *args, check=False)
    assert done.returncode == 2
    assert says in done.stderr
    assert not list(tmp_path.glob("pools.jsonl*"))


def test_scoring_draws_no_answers_that_could_be_cut(bon: Bon, tmp_path: Path) -> None:
    (tmp_path / "pools.jsonl").write_text("")
    done = bon("score", "pools.jsonl", "-s", "heuristic", "--max-tokens", "256", check=False)
    assert done.returncode == 2
    assert "nothing is drawn here" in done.stderr
    bon("score", "pools.jsonl", "-s", "heuristic", "--max-tokens", "1M", "--max-cost", "1")
