"""What stays after programs have run, were given up, or lost whoever ran them: nothing."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bon.errors import ScoreError
from bon.sandbox import Backend, Limits, Sandbox, Tests

TESTS = Tests(texts=("assert double(2) == 4",))
RIGHT = "def double(x): return 2 * x"
SLEEP = "import time\ndef double(x): time.sleep(600)"


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    limit = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > limit:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.slow
def test_five_hundred_runs_leave_no_process_no_file_no_descriptor_and_no_growing_memory(
    backend: Backend, descendants: Callable[[], list[int]]
) -> None:
    before, threads = descendants(), threading.active_count()
    with Sandbox(backend=backend, workers=2, limits=Limits(seconds=30)) as sandbox, ThreadPoolExecutor(2) as pool:

        def run(count: int) -> list[str]:
            programs = [RIGHT if i % 5 else "import os\nos._exit(1)" for i in range(count)]
            return [verdict.kind for verdict in pool.map(lambda program: sandbox.check(program, TESTS), programs)]

        run(20)
        zombies()  # those of earlier tests, which became ours
        gc.collect()
        files, temporary, memory = descriptors(), listed(), resident()
        serving = len(descendants())
        kinds = run(500)
        assert (kinds.count("pass"), kinds.count("crash")) == (400, 100)
        gc.collect()
        assert within(5, lambda: len(descendants()) <= serving)
        assert zombies() == 0  # whoever runs programs as the first process of a container would gather them
        assert within(5, lambda: descriptors() == files)
        assert resident() - memory < 8 << 20
        assert not {name for name in listed() - temporary if "bon" in name}
    assert within(5, lambda: not {*descendants()} - {*before})
    assert threading.active_count() <= threads + 1


def test_a_run_that_is_given_up_ends_its_program(backend: Backend, descendants: Callable[[], list[int]]) -> None:
    async def main() -> None:
        running = asyncio.ensure_future(sandbox.acheck(SLEEP, TESTS))
        await asyncio.sleep(0.5)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    with Sandbox(backend=backend, workers=1, limits=Limits(seconds=600)) as sandbox:
        assert sandbox.check(RIGHT, TESTS).kind == "pass"
        idle = len(descendants())
        asyncio.run(main())
        assert within(5, lambda: len(descendants()) <= idle)
        assert sandbox.check(RIGHT, TESTS).kind == "pass"


@pytest.mark.parametrize("program", [SLEEP, "def double(x):\n    while True: pass", "while True: print('x')"])
def test_what_is_cancelled_is_gone_within_a_tenth_of_a_second(
    program: str, backend: Backend, descendants: Callable[[], list[int]]
) -> None:
    """The median of seven: one of them may meet a machine that is busy with something else."""

    async def gone() -> float:
        running = asyncio.ensure_future(sandbox.acheck(program, TESTS))
        await asyncio.sleep(0.3)
        assert {*descendants()} - idle
        began = time.monotonic()
        running.cancel()
        while {*descendants()} - idle and time.monotonic() < began + 5:  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.002)
        return time.monotonic() - began

    with Sandbox(backend=backend, workers=1, limits=Limits(seconds=600, output=1 << 30)) as sandbox:
        took = []
        for _ in range(7):
            assert sandbox.check(RIGHT, TESTS).kind == "pass"
            idle = {*descendants()}
            took.append(asyncio.run(gone()))
    assert sorted(took)[3] < 0.1


def test_closing_ends_what_runs_and_what_waits(backend: Backend, descendants: Callable[[], list[int]]) -> None:
    before = descendants()
    sandbox = Sandbox(backend=backend, workers=1, limits=Limits(seconds=600))
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(sandbox.check, SLEEP, TESTS) for _ in range(3)]
        time.sleep(0.5)
        began = time.monotonic()
        sandbox.close()
        assert time.monotonic() - began < 30
        ended = [run.exception(timeout=30) or run.result().kind for run in runs]
    assert ended.count("sandbox-error") == 1
    assert within(5, lambda: not {*descendants()} - {*before})
    with pytest.raises(ScoreError, match="closed"):
        sandbox.check(RIGHT, TESTS)


def test_programs_die_with_whoever_ran_them(backend: Backend, descendants: Callable[[], list[int]]) -> None:
    before = descendants()
    code = (
        "import sys, threading\nfrom pathlib import Path\nfrom bon.sandbox import *\n"
        f"backend = Backend({backend.name!r}, Path({str(backend.python)!r}))\n"
        "sandbox = Sandbox(backend=backend, limits=Limits(seconds=600))\n"
        f"tests = Tests(texts=('assert double(2) == 4',))\nassert sandbox.check({RIGHT!r}, tests).kind == 'pass'\n"
        f"threading.Timer(1.0, lambda: print('running', flush=True)).start()\nsandbox.check({SLEEP!r}, tests)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"running\n"
        assert len(descendants()) > len(before) + 2
        process.send_signal(signal.SIGKILL)
    assert within(10, lambda: not {*reaped(descendants)} - {*before})


def test_one_sandbox_serves_many_threads_and_event_loops(backend: Backend) -> None:
    async def several() -> list[str]:
        return [verdict.kind for verdict in await asyncio.gather(*(sandbox.acheck(RIGHT, TESTS) for _ in range(3)))]

    with Sandbox(backend=backend, workers=2) as sandbox, ThreadPoolExecutor(3) as pool:
        assert [*pool.map(lambda _: asyncio.run(several()), range(3))] == [["pass"] * 3] * 3


def test_the_event_loop_does_not_wait_for_the_self_test() -> None:
    """A fresh process finds out what confines while its event loop goes on."""
    code = (
        "import asyncio, time\nfrom bon.sandbox import *\n"
        f"async def main():\n    job = asyncio.ensure_future(sandbox.acheck({RIGHT!r}, tests))\n    longest = 0\n"
        "    while not job.done():\n        began = time.monotonic()\n        await asyncio.sleep(0.01)\n"
        "        longest = max(longest, time.monotonic() - began)\n    return longest, (await job).kind\n"
        "tests = Tests(texts=('assert double(2) == 4',))\nwith Sandbox() as sandbox: print(*asyncio.run(main()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    longest, kind = done.stdout.split()
    assert kind == "pass"
    assert float(longest) < 0.9  # seconds of one turn: the self-test waits for two limits of half a second


def test_all_sandboxes_of_a_process_share_its_cores() -> None:
    """Two sandboxes of as many workers as there are cores run no more programs at a time than there are cores."""
    code = "import sys, time\nprint(time.time(), flush=True)\ntime.sleep(0.3)\nprint(time.time())"
    with Sandbox() as one, Sandbox() as other, ThreadPoolExecutor(8) as pool:
        outputs = list(pool.map(lambda i: (one, other)[i % 2].execute(code).stdout.split(), range(4 * one.workers)))
    spans = [(float(began), float(ended)) for began, ended in outputs]
    assert max(sum(began <= at < ended for began, ended in spans) for at, _ in spans) <= one.workers


def test_a_process_of_tests_that_was_killed_is_replaced(backend: Backend, descendants: Callable[[], list[int]]) -> None:
    before = descendants()
    with Sandbox(backend=backend, workers=1) as sandbox:
        assert sandbox.check(RIGHT, TESTS).kind == "pass"
        os.kill(next(pid for pid in descendants() if pid not in before), signal.SIGKILL)
        time.sleep(0.2)
        assert sandbox.check(RIGHT, TESTS).kind == "pass"


def reaped(descendants: Callable[[], list[int]]) -> list[int]:
    """The descendants, once those that became ours and have ended are let go of."""
    found = descendants()
    for pid in found:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            continue
    return found


def zombies() -> int:
    """The children of ours that have ended and that nobody waited for."""
    count = 0
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            count += 1
    except ChildProcessError:
        pass
    return count


def descriptors() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def listed() -> set[str]:
    return {path.name for path in Path(tempfile.gettempdir()).iterdir()}


def resident() -> int:
    """Bytes of this process's memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
