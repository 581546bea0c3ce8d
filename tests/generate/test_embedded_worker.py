"""The worker process of the embedded engine: it dies alone, it dies with its parent, and it talks to nobody else."""

from __future__ import annotations

import asyncio
import io
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from bon.generate.embedded import EmbeddedGenerator
from bon.generate.embedded.wire import Broken, Open, decode_reply, read_frame, write_frame
from bon.types import Candidate, Draw, Failure, Prompt

STORY = "Tell me a story about a ship."
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and asks the Linux kernel")


def ask(text: str, **request: Any) -> Prompt:
    return Prompt(id="p1", messages=({"role": "user", "content": text},), request=request)


async def drawn(generator: EmbeddedGenerator, prompt: Prompt, n: int) -> list[Draw]:
    return sorted([draw async for draw in generator(prompt, n)], key=lambda draw: draw.index or 0)


def script(model: Path, *bodies: str) -> list[str]:
    """A Python program in which `generator` is the embedded generator and `draw(n)` prints how many draws succeeded."""
    head = f"""
        import asyncio, os, sys
        from bon.generate.embedded import EmbeddedGenerator
        from bon.types import Candidate, Prompt
        generator = EmbeddedGenerator({str(model)!r}, defaults={{"max_tokens": 8}})
        async def draw(n, **request):
            prompt = Prompt(id="p", messages=({{"role": "user", "content": "Hello"}},), request=request)
            found = [isinstance(one, Candidate) async for one in generator(prompt, n)]
            print("drawn", sum(found), flush=True)
    """
    return [sys.executable, "-c", "".join(dedent(part) for part in (head, *bodies))]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_what_libraries_print_does_not_corrupt_the_pipe() -> None:
    noisy = dedent("""
        import os
        from bon.generate.embedded.wire import Broken, read_frame, write_frame
        from bon.generate.embedded.worker import _take_over_pipes
        requests, replies = _take_over_pipes()
        print("a library says hello", flush=True)
        os.write(1, b"and so does one in C")
        os.system("echo and a child of it")
        assert read_frame(requests) is not None
        write_frame(replies, Broken(message="the only thing said"))
    """)
    sent = io.BytesIO()
    write_frame(sent, Open(path="x", cache_tokens=1024))
    ended = subprocess.run([sys.executable, "-c", noisy], input=sent.getvalue(), capture_output=True, check=True)
    pipe = io.BytesIO(ended.stdout)
    frame = read_frame(pipe)
    assert frame is not None
    assert decode_reply(frame) == Broken(message="the only thing said")
    assert pipe.read() == b""
    assert ended.stderr.count(b"hello") == 1


@pytest.mark.slow
@linux
async def test_a_killed_worker_is_a_failure_of_every_waiting_draw_and_the_next_call_starts_another(
    embedded_model: Path,
) -> None:
    generator = EmbeddedGenerator(embedded_model, defaults={"max_tokens": 2000, "ignore_eos": True})
    running = asyncio.create_task(drawn(generator, ask(STORY), 4))
    growing = generator.stream(ask(STORY), 9)
    await anext(growing)
    pid = generator._worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    failures = await running
    assert [type(failure) for failure in failures] == [Failure] * 4
    assert {failure.error for failure in failures if isinstance(failure, Failure)} == {"Unavailable"}
    with pytest.raises(Exception, match="killed from outside"):
        async for _ in growing:
            pass
    again = await drawn(generator, ask(STORY, max_tokens=4), 2)
    assert [type(draw) for draw in again] == [Candidate] * 2
    assert generator._worker.pid != pid
    last = generator._worker.pid
    generator.close()
    assert last is not None
    assert not is_alive(last)


@pytest.mark.slow
@linux
async def test_closing_tells_those_who_wait(embedded_model: Path) -> None:
    generator = EmbeddedGenerator(embedded_model, defaults={"max_tokens": 2000, "ignore_eos": True})
    running = asyncio.create_task(drawn(generator, ask(STORY), 2))
    await asyncio.sleep(0.2)
    await asyncio.to_thread(generator.close)
    assert [type(failure) for failure in await running] == [Failure] * 2


@pytest.mark.slow
@linux
@pytest.mark.parametrize("how", ["killed", "left", "exited"])
def test_the_worker_ends_with_its_parent(embedded_model: Path, how: str) -> None:
    body = """
        asyncio.run(draw(1))
        print("worker", generator._worker.pid, flush=True)
        HOW
    """
    last = {
        "killed": "asyncio.run(draw(2, max_tokens=4000, ignore_eos=True))",
        "left": "os._exit(3)",
        "exited": "sys.exit(0)",
    }[how]
    parent = subprocess.Popen(script(embedded_model, body.replace("HOW", last)), stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "drawn 1\n"
    worker = int(parent.stdout.readline().split()[1])
    if how == "killed":
        time.sleep(0.5)  # in the middle of its work
        assert is_alive(worker)
        parent.kill()
    parent.wait(timeout=20)
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while is_alive(worker):
        assert time.monotonic() < deadline, "the worker outlived its parent"
        time.sleep(0.05)


@pytest.mark.slow
@linux
def test_the_thread_that_starts_it_may_end(embedded_model: Path) -> None:
    """Linux would kill a worker when the thread that started it ends, had that thread asked for it in its own name."""
    body = """
        import threading, time
        first = threading.Thread(target=lambda: asyncio.run(draw(1)))
        first.start()
        first.join()
        pid = generator._worker.pid
        time.sleep(0.5)
        asyncio.run(draw(2))
        print(generator._worker.pid == pid)
        generator.close()
    """
    ended = subprocess.run(script(embedded_model, body), capture_output=True, text=True, check=True)
    assert ended.stdout.split("\n")[:3] == ["drawn 1", "drawn 2", "True"]


NO_INTERNET = """
    import ctypes, struct
    # seccomp: whoever makes an internet socket (AF_INET, AF_INET6) is killed by the kernel, children and C code too
    SOCKET, ARCH = {"x86_64": (41, 0xC000003E), "aarch64": (198, 0xC00000B7)}[os.uname().machine]
    def op(code, jt, jf, k): return struct.pack("HBBI", code, jt, jf, k)
    rules = b"".join([
        op(0x20, 0, 0, 4), op(0x15, 0, 5, ARCH),          # another architecture: let it pass
        op(0x20, 0, 0, 0), op(0x15, 0, 3, SOCKET),        # not socket(): let it pass
        op(0x20, 0, 0, 16), op(0x15, 2, 0, 2), op(0x15, 1, 0, 10),
        op(0x06, 0, 0, 0x7FFF0000), op(0x06, 0, 0, 0x80000000),
    ])
    held = ctypes.create_string_buffer(rules)
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(rules) // 8, ctypes.addressof(held)))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, program, 0, 0) == 0, ctypes.get_errno()
"""
needs_seccomp = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="the seccomp filter is written for x86-64 and arm64"
)


@linux
@needs_seccomp
def test_the_filter_that_watches_for_connections_works(embedded_model: Path) -> None:
    body = "import socket; socket.socketpair(); print('here', flush=True); socket.socket()"
    ended = subprocess.run(script(embedded_model, NO_INTERNET, body), capture_output=True, text=True, check=False)
    assert ended.stdout == "here\n"
    assert ended.returncode == -signal.SIGSYS


@pytest.mark.slow
@linux
@needs_seccomp
def test_nothing_is_sent_out(embedded_model: Path, tmp_path: Path) -> None:
    """Not by Python, not by C++, not when converting, not when drawing; in a home where nobody said no to telemetry."""
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD", "JENKINS_URL")}
    environment |= {"HOME": str(tmp_path), "BON_CACHE": str(tmp_path / "cache")}
    body = "asyncio.run(draw(3)); generator.close()"
    ended = subprocess.run(
        script(embedded_model, NO_INTERNET, body), capture_output=True, text=True, check=True, env=environment
    )
    assert ended.stdout == "drawn 3\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache"]  # no consent file, no client id
    assert list((tmp_path / "cache").glob("openvino-*/*/openvino_model.xml"))


@pytest.mark.slow
@linux
def test_two_processes_that_convert_at_once_do_no_harm(embedded_model: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "BON_CACHE": str(tmp_path)}
    both = [
        subprocess.Popen(
            script(embedded_model, "asyncio.run(draw(2)); generator.close()"),
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(2)
    ]
    assert [process.communicate(timeout=120)[0] for process in both] == ["drawn 2\n", "drawn 2\n"]
    (converted,) = [path for path in tmp_path.glob("openvino-*/*") if not path.name.startswith(".")]
    names = {path.name for path in converted.iterdir()}
    assert {"openvino_model.xml", "openvino_model.bin", "openvino_tokenizer.xml"} <= names
    assert "model.gguf" not in names
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.slow
@linux
async def test_more_than_fits_in_the_cache_queues_and_memory_is_bounded(embedded_model: Path) -> None:
    generator = EmbeddedGenerator(embedded_model, defaults={"max_tokens": 150, "ignore_eos": True}, cache_tokens=2048)
    await drawn(generator, ask("Hello", max_tokens=2), 8)

    def resident() -> int:
        status = Path(f"/proc/{generator._worker.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmRSS:")[2].split()[0])

    before = await asyncio.to_thread(resident)
    draws = await drawn(generator, ask("Why is the sky blue? " * 100), 24)
    assert all(isinstance(draw, Candidate) and draw.finish_reason == "length" for draw in draws)
    assert all(
        draw.usage is not None and draw.usage.completion_tokens == 150 for draw in draws if isinstance(draw, Candidate)
    )
    grown = await asyncio.to_thread(resident) - before
    assert grown < 300_000, f"{grown} kB"
    (refused,) = await drawn(generator, ask("Why is the sky blue? " * 400), 1)
    assert isinstance(refused, Failure)
    assert "1920" in refused.message  # the context is what the cache can hold
    generator.close()


@pytest.mark.slow
async def test_a_bad_schema_ends_its_own_draws_only(embedded: EmbeddedGenerator) -> None:
    others = asyncio.create_task(drawn(embedded, ask(STORY, max_tokens=60, ignore_eos=True), 3))
    good = {"type": "json_schema", "json_schema": {"schema": {"type": "object", "maxProperties": 1}}}
    bad = {"type": "json_schema", "json_schema": {"schema": {"type": "nonsense"}}}
    await asyncio.sleep(0.3)
    ended = await asyncio.gather(
        drawn(embedded, ask(STORY, response_format=bad), 3),
        drawn(embedded, ask(STORY, response_format=good), 2),
        drawn(embedded, ask(STORY, response_format=bad), 1),
    )
    assert [type(draw) for draw in ended[1]] == [Candidate] * 2
    for failure in (*ended[0], *ended[2]):
        assert isinstance(failure, Failure)
        assert failure.error == "Rejected"
        assert failure.message == 'the JSON schema cannot be used: Unsupported type "nonsense"'
    stories = await others
    assert all(isinstance(draw, Candidate) and len(draw.text) > 60 for draw in stories)
