"""`bon sample --dry-run`: it says what the run would take, and leaves everything as it is."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from bon.testing import FaultServer

Bon = Callable[..., CompletedProcess[str]]

TOML = """
[prices."m"]
prompt = 1.0
completion = 4.0
call = 0.01

[generators.several]
kind = "mixture"
generators = ["openai:m@URL", "local", "tiny:model"]

[generators.safe]
kind = "fallback"
generators = ["openai:m@URL", "local"]

[generators.twisted]
kind = "variations"
generator = "openai:m@URL"
variations = ["", "Be brief."]
"""


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"id": f"q{n}", "prompt": f"What is {n}?"}) + "\n" for n in range(10)))
    return path


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[FaultServer]:
    async with FaultServer(answers=["four words are enough"]) as running:
        (tmp_path / "bon.toml").write_text(TOML.replace("URL", running.url))
        yield running


def _files(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def _planned(bon: Bon, folder: Path, *args: Any) -> dict[str, Any]:
    before = _files(folder)
    done = bon("sample", *args, "--dry-run", "--json")
    assert _files(folder) == before, "nothing is written"
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


async def _dry(bon: Bon, folder: Path, *args: Any) -> dict[str, Any]:
    return await asyncio.to_thread(_planned, bon, folder, *args)


async def test_it_makes_no_call_writes_no_file_and_says_what_the_run_then_takes(
    bon: Bon, prompts: Path, tmp_path: Path, server: FaultServer
) -> None:
    out = tmp_path / "pools.jsonl"
    args = (prompts, "-g", f"openai:m@{server.url}?use_n=false", "-n", "3", "-o", out, "--max-tokens", "20")
    planned = await _dry(bon, tmp_path, *args)
    assert len(server.ledger) == 0
    assert planned["most"] == planned["least"]
    assert (planned["prompts"], planned["done"], planned["drawn"]) == (10, 0, 0)
    most = planned["most"]
    assert (most["calls"], most["prompt_tokens_estimate"], most["completion_tokens"]) == (30, 30 * 3, 600)
    assert most["money"] == pytest.approx(90e-6 + 600 * 4e-6 + 30 * 0.01)
    await asyncio.to_thread(bon, "sample", *args)
    billed = server.ledger.billed
    assert len(server.ledger) == most["calls"]
    assert billed.completion_tokens <= most["completion_tokens"]
    assert billed.total_tokens <= most["tokens_bound"]
    after = await _dry(bon, tmp_path, *args)
    assert (after["done"], after["drawn"], after["most"]["calls"]) == (10, 30, 0)
    assert after["spent"]["calls"] == 30
    more = await _dry(bon, tmp_path, *args[:4], "5", *args[5:])
    assert (more["done"], more["drawn"], more["most"]["calls"]) == (0, 30, 20)
    anew = await _dry(bon, tmp_path, *args, "--restart")
    assert (anew["most"], anew["spent"]["calls"]) == (most, 0)
    assert len(server.ledger) == 30


def test_no_model_is_fetched_and_no_key_is_needed(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    planned = _planned(bon, tmp_path, prompts, "-o", tmp_path / "pools.jsonl")
    assert (planned["most"]["calls"], planned["most"]["money"], planned["unpriced"]) == (80, 0.0, [])
    for spec in ("openai:gpt-4.1-mini", "openai:gpt-4.1-mini?key_env=NOT_SET"):
        planned = _planned(bon, tmp_path, prompts, "-g", spec, "-o", tmp_path / "pools.jsonl")
        assert planned["most"]["calls"] == 80
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("generator", "unpriced", "unbounded"),
    [("several", ["scripted"], ["scripted"]), ("safe", [], []), ("twisted", [], []), ("tiny:model", ["scripted"], [])],
)
async def test_composites_are_priced_by_their_parts(
    bon: Bon,
    prompts: Path,
    tmp_path: Path,
    server: FaultServer,
    generator: str,
    unpriced: list[str],
    unbounded: list[str],
) -> None:
    planned = await _dry(bon, tmp_path, prompts, "-g", generator, "-n", "6", "-o", tmp_path / "pools.jsonl")
    assert (planned["unpriced"], planned["unbounded"]) == (unpriced, unbounded)
    per_draw = 3e-6 + 512 * 4e-6 + 0.01
    money = {"several": 20 * per_draw, "safe": 60 * per_draw, "twisted": 60 * per_draw + 30 * 3e-6, "tiny:model": 0.0}
    assert planned["most"]["money"] == pytest.approx(money[generator])
    assert planned["least"]["money"] == pytest.approx(0.0 if generator == "safe" else money[generator])
    assert planned["most"]["calls"] == 60
    assert len(server.ledger) == 0


@pytest.mark.parametrize("spec", ["code?tests=generated&draws=3", "dual?draws=3"])
def test_tests_that_a_model_writes_are_counted(bon: Bon, tmp_path: Path, spec: str) -> None:
    rows = [{"prompt": "Write f.", "metadata": {"entry_point": "f"}}, {"prompt": "Hello."}]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    args = (tmp_path / "p.jsonl", "-g", "openai:gpt-4.1-mini", "-n", "4", "-o", tmp_path / "pools.jsonl")
    planned = _planned(bon, tmp_path, *args, "-s", spec, "--judge", "openai:gpt-4.1-mini")
    assert (planned["most"]["calls"], planned["verdicts"]) == (8 + 3, 3)  # for whoever names no function none are drawn
    assert planned["most"]["completion_tokens"] == 8 * 512 + 3 * 768


async def test_caps_are_weighed(bon: Bon, prompts: Path, tmp_path: Path, server: FaultServer) -> None:
    args = (prompts, "-g", f"openai:m@{server.url}", "-n", "2", "-o", tmp_path / "pools.jsonl", "--max-tokens", "10")
    caps = ("--max-cost", "1", "--max-tokens", "1k", "--max-calls", "19", "--max-seconds", "60")
    planned = await _dry(bon, tmp_path, *args, *caps)
    assert {cap: verdict["suffices"] for cap, verdict in planned["caps"].items()} == {
        "money": "yes",
        "tokens": "likely",
        "calls": "no",
        "seconds": "unknown",
    }
    said = (await asyncio.to_thread(bon, "sample", *args, *caps, "--dry-run")).stdout
    assert "cap of $1: suffices, whatever the answers cost" in said
    assert "cap of 19 calls: may stop the run before its end" in said
    assert "prompt tokens: about 60 (an estimate: bytes / 4)" in said
    assert "completion tokens: at most 200" in said
    assert "price: at most $0.2009" in said


def test_what_is_said_to_people(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    prompts.write_text(prompts.read_text() + "nonsense\n")
    args = ("sample", prompts, "-g", "tiny:drawn", "-o", tmp_path / "pools.jsonl", "--dry-run", "--max-cost", "1")
    said = bon(*args, "--budget", "threshold:3", "-s", "tiny:shortest").stdout.splitlines()
    assert said[0] == "prompts: 10"
    assert said[1].startswith(f"lines that cannot be used: 1, the first {prompts}:11: not valid JSON")
    assert said[2] == "calls: 10 to 80 (a draw each; retries come on top)"
    assert "price: not known" in said
    assert "  without that of scripted, which is not known (bon.toml: [prices])" in said
    assert "what tiny:shortest may spend on scoring is not counted" in said
    assert said[-1] == "cap of $1: nothing would be drawn: no price of scripted is known (--allow-unpriced)"
    assert not list(tmp_path.glob("pools.jsonl*"))


def test_what_the_run_would_refuse_is_refused(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "pools.jsonl"
    bon("sample", prompts, "-g", "tiny:model", "-n", "2", "-o", out)
    for args, says in (
        (("-o", out, "--temperature", "1.5"), "request.temperature was 0.7, is now 1.5"),
        (("-o", prompts), "is the input itself"),
        (("-o", tmp_path / "pools.jsonl.gz"), "drop the .gz"),
        (("-o", out, "-s", "nothing"), "names no scorer"),
        (("-o", tmp_path / "new.jsonl", "--budget", "threshold:1"), "does not say which scorer it reads"),
    ):
        done = bon("sample", prompts, "-g", "tiny:model", "-n", "2", *args, "--dry-run", check=False)
        assert done.returncode == 2
        assert says in done.stderr
    prompts.write_text(prompts.read_text().replace("What is 3?", "Why is 3?"))
    done = bon("sample", prompts, "-g", "tiny:model", "-n", "2", "-o", out, "--dry-run", check=False)
    assert "'q3' was drawn with another messages" in done.stderr


def test_strict_comes_first(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    prompts.write_text("nonsense\n")
    args = ("sample", prompts, "-g", "tiny:drawn", "-o", tmp_path / "pools.jsonl", "--dry-run", "--strict")
    done = bon(*args, check=False)
    assert (done.returncode, done.stdout) == (2, "")


def test_what_the_journal_of_a_killed_run_holds_is_counted(bon: Bon, prompts: Path, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "from bon.testing import Scripted\nmodel = Scripted(['a'], delay=lambda prompt, index: 0.05 + index / 6)\n"
    )
    out = tmp_path / "pools.jsonl"
    args = (prompts, "-g", "slow:model", "-n", "8", "-o", out)
    process = subprocess.Popen(
        [sys.executable, "-m", "bon", "sample", *map(str, args), "--concurrency", "1"],
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    deadline = time.monotonic() + 60
    while not out.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    beside = bon("sample", *args, "--dry-run", "--json", check=False)
    assert (beside.returncode == 0 and json.loads(beside.stdout)["drawn"]) or "a run is writing to it" in beside.stderr
    assert process.poll() is None, "the run was not disturbed"
    before = len(out.read_text().splitlines())
    while len(out.read_text().splitlines()) == before and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.6)  # a pool has just been written: by now the journal has two or three draws of the next, and not all
    process.send_signal(signal.SIGKILL)
    process.wait()
    in_output = len(out.read_text().splitlines())
    planned = _planned(bon, tmp_path, *args)
    assert planned["done"] == in_output
    assert 8 * in_output < planned["drawn"] < 80, "the journal holds some more"
    assert planned["most"]["calls"] == 80 - planned["drawn"]
    assert planned["spent"]["calls"] >= planned["drawn"] - 1
    resumed = json.loads(bon("sample", *args, "--json").stdout)
    assert resumed["candidates"] == planned["most"]["calls"]
