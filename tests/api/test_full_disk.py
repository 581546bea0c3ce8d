"""Promise 9: a full disk stops new calls, keeps what is written, and the run can be resumed."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bon.store.pools import read_pools, same_pools
from bon.testing import Fault, FaultServer

N, PROMPTS = 8, 20
MEGABYTE = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if not sys.platform.startswith("linux") or mount is None or os.geteuid() != 0:
        pytest.skip("needs the right to mount a file system of 2 MB")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"cannot mount a file system of 2 MB here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


async def run(folder: Path, *arguments: str | Path) -> tuple[int, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("BON_", "OPENAI_", "COV_"))}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bon", *map(str, arguments)),
        cwd=folder,
        env={**kept, "HOME": str(folder)},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


def written(disk: Path) -> bool:
    """Whether a pool was done before the disk was full: its draws alone may have filled it."""
    return (disk / "out.jsonl").exists()


async def test_a_full_disk_stops_the_run_at_once_and_room_lets_it_go_on(small_disk: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    rows = [{"id": f"q{i}", "prompt": f"What is {i} + {i}?"} for i in range(PROMPTS)]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    long = "word " * 400  # 2 kB an answer, a third of a megabyte in all, and more in the journal
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (MEGABYTE + MEGABYTE // 2))

    async with FaultServer(answers=lambda request, _: long, faults=Fault(delay=0.02)) as server:
        args = ["sample", prompts, "-g", f"openai:test-model@{server.url}", "-n", N, "-o"]
        code, said = await run(tmp_path, *args, small_disk / "out.jsonl")
        stopped = time.monotonic()
        begun = [call.started for call in server.ledger.calls]
        assert code == 1, said
        assert "disk is full" in said or "No space left" in said
        assert "Traceback" not in said
        assert N <= len(begun) < PROMPTS * N
        assert stopped - max(begun) < 5.0, "it does not linger"
        recorded = [pool.prompt.id for pool in read_pools(small_disk / "out.jsonl")] if written(small_disk) else []
        assert len(recorded) < PROMPTS

        code, said = await run(tmp_path, *args, small_disk / "out.jsonl")
        assert code == 1, "there still is no room"

        ballast.unlink()
        before = len(server.ledger.finished)
        code, said = await run(tmp_path, *args, small_disk / "out.jsonl")
        assert code == 0, said
        again = {call.request["messages"][0]["content"] for call in server.ledger.finished[before:]}
        assert not again & {f"What is {id_[1:]} + {id_[1:]}?" for id_ in recorded}, (
            "what was written is not drawn again"
        )
        code, said = await run(tmp_path, *args, tmp_path / "whole.jsonl")
    assert code == 0, said
    assert same_pools(read_pools(small_disk / "out.jsonl"), read_pools(tmp_path / "whole.jsonl"))
    assert sorted(path.name for path in small_disk.iterdir()) == ["out.jsonl", "out.jsonl.run.toml"]


EVERY_WRITE = """
import asyncio, resource, sys
from pathlib import Path

from bon.api import make_job
from bon.api.files import sample_file
from bon.errors import StoreError
from bon.registry import Builder, Config
from bon.store.pools import read_pools, same_pools
from bon.testing import Scripted
from bon.types import Prompt

folder = Path(sys.argv[1])
PROMPTS = [Prompt(id=f"q{i}", messages=({"role": "user", "content": f"{i}?"},)) for i in range(6)]


def sampled(out):
    generator = Scripted(lambda prompt, index: f"{prompt.id} {index} " + "x" * 200, delay=lambda p, i: i / 1000)
    job = make_job(Builder(Config(), n=3), generator=generator, scorer="heuristic")

    async def steps():
        async for _ in sample_file(PROMPTS, out, job, concurrency=3):
            pass

    asyncio.run(steps())
    return generator


def limited(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


sampled(folder / "whole")
whole = list(read_pools(folder / "whole"))
refused = 0
for size in range(0, 60_000, 1_000):
    out = folder / str(size)
    limited(size)
    try:
        sampled(out)
    except StoreError as error:
        refused += 1
        assert str(size) in str(error), error
    else:
        assert same_pools(read_pools(out), whole)
    limited(resource.RLIM_INFINITY)
    before = {p.prompt.id for p in read_pools(out)} if out.exists() else set()
    generator = sampled(out)
    assert same_pools(read_pools(out), whole), size
    assert not before & {prompt for prompt, _ in generator.started}, "what was written is drawn again"
    assert [pool.prompt.id for pool in read_pools(out)] == [prompt.id for prompt in PROMPTS]
print("refused", refused)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_write_that_fails_at_any_moment_ends_the_run_and_loses_nothing(tmp_path: Path) -> None:
    """A quota in place of a full disk: files may grow to a size that is reached by one write after the other."""
    script = tmp_path / "script.py"
    script.write_text(EVERY_WRITE)
    folder = tmp_path / "runs"
    folder.mkdir()
    done = subprocess.run([sys.executable, script, folder], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[1]) > 20, "many a moment was met"


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write everywhere")
async def test_a_folder_that_may_not_be_written_to_costs_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"prompt": "2 + 2?"}\n')
    async with FaultServer() as server:
        args = ["sample", prompts, "-g", f"openai:test-model@{server.url}", "-o", folder / "out.jsonl"]
        code, said = await run(tmp_path, *args)
        assert (code, len(server.ledger)) == (1, 0), said
