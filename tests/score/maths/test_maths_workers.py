"""Worker processes for formulas: hard time limits, from threads and event loops, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bon.errors import ScoreError
from bon.score.maths import MathVerifier
from bon.score.maths.messages import Question
from bon.score.maths.workers import Workers
from bon.testing.pools import pool_of
from bon.types import Prompt

TOWER = "9^{9^{9^{9}}}"  # its value would fill the universe
LIMIT = 1.5


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    made = Workers(most=2)
    made.ask_blocking(question("1+x"))  # started here, so that tests measure no starting
    yield made
    made.close()


def question(answer: str, reference: str = "x+1", seconds: float = 30) -> Question:
    return Question(answer=answer, reference=reference, seconds=seconds)


def children() -> set[int]:
    """The processes that this one has started and that are still there."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid() and fields[0] != "Z":
            found.add(int(stat.parent.name))
    return found


@pytest.mark.slow
def test_a_hanging_expression_costs_its_time_limit_and_no_more(workers: Workers) -> None:
    for answer in (TOWER, "\\sum_{k=1}^{10^{9}} \\frac{1}{k}", "{" * 500 + "x" + "}" * 500):
        workers.ask_blocking(question("1+x", seconds=29))  # a worker is there
        started = time.monotonic()
        with pytest.raises(ScoreError, match=r"longer than 1\.5 s"):
            workers.ask_blocking(question(answer, seconds=LIMIT))
        assert time.monotonic() - started >= LIMIT
        assert workers.ask_blocking(question(f"{answer.count('x')}+x", "x+2")).verdict == "different"


def test_what_took_too_long_is_remembered(workers: Workers) -> None:
    for _ in range(2):
        started = time.monotonic()
        with pytest.raises(ScoreError, match="longer than"):
            workers.ask_blocking(question(TOWER, seconds=LIMIT / 3))
    assert time.monotonic() - started < LIMIT / 3


def test_many_threads_ask_at_once(workers: Workers) -> None:
    questions = [question(f"{n}+x", f"x+{m}") for n in range(5) for m in range(5)] * 4
    with ThreadPoolExecutor(16) as threads:
        replies = list(threads.map(workers.ask_blocking, questions))
    same = [each.answer[0] == (each.reference or "")[-1] for each in questions]
    assert [reply.verdict == "same" for reply in replies] == same


@pytest.mark.slow
async def test_an_async_server_goes_on_while_an_expression_hangs(workers: Workers) -> None:
    verifier = MathVerifier(seconds=10, workers=workers)

    async def handle(request: web.Request) -> web.Response:
        prompt = Prompt(id="p", messages=(), reference=request.query["reference"])
        (score,) = await verifier(pool_of([request.query["text"]], prompt=prompt))
        return web.json_response({"value": score.value})

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        async with aiohttp.ClientSession(f"http://{host}:{port}") as client:

            async def value(text: str, reference: str) -> float | None:
                async with client.get("/", params={"text": f"\\boxed{{{text}}}", "reference": reference}) as reply:
                    said: float | None = (await reply.json())["value"]
                    return said

            hanging = asyncio.create_task(value(TOWER, "x^2"))
            values = await asyncio.gather(*[value(f"{n}+x^2", f"x^2+{n % 3}") for n in range(12)])
            assert values == [float(n < 3) for n in range(12)]
            assert not hanging.done()
            hanging.cancel()
            await asyncio.gather(hanging, return_exceptions=True)
    finally:
        await runner.cleanup()


async def test_who_is_cancelled_stops_the_work_at_once(workers: Workers) -> None:
    await workers.ask(question("1+x", seconds=28))
    task = asyncio.create_task(workers.ask(question(TOWER, seconds=600)))
    await asyncio.sleep(0.3)
    started = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - started < 0.1
    # Both workers are free again long before the ten minutes are over.
    replies = await asyncio.gather(*[workers.ask(question(f"{n}+x", "x+1", 60)) for n in range(4)])
    assert [reply.verdict for reply in replies] == ["different", "same", "different", "different"]


async def test_one_who_gives_up_leaves_the_others_their_answer(workers: Workers) -> None:
    asked = question("(x+1)^{300}", "x^{300}", 60)
    first, second = asyncio.create_task(workers.ask(asked)), asyncio.create_task(workers.ask(asked))
    await asyncio.sleep(0.01)
    first.cancel()
    assert (await second).verdict == "different"
    assert first.cancelled()


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced() -> None:
    alone = Workers(most=1)
    before = children()
    try:
        alone.ask_blocking(question("1+x"))
        (worker,) = children() - before
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(ScoreError, match="ended in the midst"):
            alone.ask_blocking(question("2+x"))
        assert alone.ask_blocking(question("3+x")).verdict == "different"
    finally:
        alone.close()
    assert children() == before


@pytest.mark.slow
def test_workers_without_questions_end_by_themselves() -> None:
    before = children()
    short = Workers(most=1, idle=0.1)
    short.ask_blocking(question("1+x"))
    until = time.monotonic() + 30
    while children() - before and time.monotonic() < until:
        time.sleep(0.05)
    assert not children() - before  # workers of other tests may end meanwhile
    assert short.ask_blocking(question("5+x")).verdict == "different"
    short.close()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("no-such-program",), "cannot be started"),
        ((sys.executable, "-c", "pass"), "ended before it was ready"),
        ((sys.executable, "-c", "print('ready', flush=True); input(); print('{')"), "ended in the midst"),
    ],
)
def test_a_worker_that_does_not_work_is_an_error_and_not_a_wait(command: tuple[str, ...], message: str) -> None:
    broken = Workers(most=1, command=command)
    for _ in range(2):
        with pytest.raises(ScoreError, match=message):
            broken.ask_blocking(question("1+x"))
    broken.close()


def test_closing_tells_who_waits() -> None:
    made = Workers(most=1)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(made.ask_blocking, question(TOWER, seconds=600))
        time.sleep(0.5)
        made.close()
        with pytest.raises(ScoreError, match="stopped"):
            waiting.result(timeout=30)
    made.close()


@pytest.mark.slow
def test_a_process_that_ends_takes_its_workers_with_it() -> None:
    code = (
        "from bon.score.maths.workers import shared; from bon.score.maths.messages import Question\n"
        "import os\n"
        "shared().ask_blocking(Question(answer='1+x', reference='x+1', seconds=30))\n"
        "print(*[p for p in os.listdir('/proc') if p.isdigit() and open(f'/proc/{p}/stat').read()"
        ".rpartition(')')[2].split()[1] == str(os.getpid())])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr == ""
    (worker,) = done.stdout.split()
    assert not Path(f"/proc/{worker}").exists()


@pytest.mark.slow
def test_a_worker_whose_parent_is_killed_ends_itself() -> None:
    code = (
        "from bon.score.maths.workers import Workers; from bon.score.maths.messages import Question\n"
        "Workers(most=1).ask_blocking(Question(answer='9^{9^{9^{9}}}', reference='x', seconds=1.5))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    until = time.monotonic() + 60
    worker: list[int] = []
    while not worker and time.monotonic() < until:
        worker = [int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if _parent(stat) == parent.pid]
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    while Path(f"/proc/{worker[0]}").exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert not Path(f"/proc/{worker[0]}").exists()


def _parent(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except OSError:
        return -1


@pytest.mark.parametrize(
    "attack",
    [
        "__import__('os').system('touch {}')",
        "\\text{{__import__('os').system('touch {}')}}",
        "\\mathrm{{eval}}(\"open('{}','w')\")",
        "x+open('{}','w').close()",
        "\\write18{{touch {}}}",
    ],
)
def test_nothing_in_an_answer_is_run(workers: Workers, tmp_path: Path, attack: str) -> None:
    touched = tmp_path / "touched"
    reply = workers.ask_blocking(question(attack.format(touched)))
    assert reply.verdict in ("different", "unreadable")
    assert not touched.exists()
