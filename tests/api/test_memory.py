"""Promise 13: memory grows with concurrency, not with the file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import asyncio, json, resource, sys
from pathlib import Path

from bon.api import make_job
from bon.api.files import sample_file
from bon.registry import Builder, Config
from bon.store.prompts import read_prompts
from bon.types import Candidate, Usage

ANSWER = "Because short waves are scattered more than long ones. " * 8


async def model(prompt, n, *, start=0):
    for index in range(start, start + n):
        # Now and then one is late, so that others wait for their turn in the output.
        await asyncio.sleep(0.05 if prompt.id.endswith("77") else 0)
        usage = Usage(prompt_tokens=20, completion_tokens=80)
        yield Candidate(index=index, text=f"{prompt.id}: {ANSWER}", usage=usage, generator="model")


async def run(source, out):
    job = make_job(Builder(Config(), n=1), generator=model)
    steps = 0
    async for progress in sample_file(read_prompts(source), out, job, concurrency=64):
        steps += progress.pool is not None
    return steps


def peak():
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    # The peak that getrusage tells of is inherited: of whoever started this process, if that was larger.
    return next(int(line.split()[1]) // 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))


folder = Path(sys.argv[1])
asyncio.run(run(folder / "few.jsonl", folder / "few.pools"))
before = peak()
made = asyncio.run(run(folder / "many.jsonl", folder / "many.pools"))
after = peak()
again = asyncio.run(run(folder / "many.jsonl", folder / "many.pools"))
print(json.dumps({"made": made, "again": again, "grown": after - before, "grown_continuing": peak() - before}))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs the resource module")
def test_a_hundred_thousand_prompts_take_no_more_memory_than_a_few(tmp_path: Path) -> None:
    for name, count in (("few", 200), ("many", 100_000)):
        with (tmp_path / f"{name}.jsonl").open("w") as file:
            for i in range(count):
                file.write(json.dumps({"id": f"prompt-{i}", "prompt": f"Why is sky number {i} blue?"}) + "\n")
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py", tmp_path], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["made"], said["again"]) == (100_000, 0)
    assert said["grown"] <= 150, "megabytes"
    assert said["grown_continuing"] <= 150, "megabytes, with what the file holds already looked up"
    with (tmp_path / "many.pools").open() as file:
        assert [json.loads(line)["id"] for line in file] == [f"prompt-{i}" for i in range(100_000)]
