"""Secrets appear nowhere (promise 15): canary keys go through the real commands, and every trace of them is looked for.

The endpoints here are as indiscreet as can be: they repeat the headers that they were sent, in every kind of error.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote, unquote_plus, urlsplit

import pytest

from bon.generate.embedded import EmbeddedGenerator
from bon.testing.checkpoints import save_tiny_gguf
from bon.types import Prompt, as_messages

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the process list is read from /proc")

KEY = "sk-canary-0123456789"
RENTED = "rented/canary+key%41=="
PROXY_PASSWORD = "pr@xy:canary/pw"
BASE_PASSWORD = "base canary?"
QUERY = "code canary&x/y"
HEADER = 'header "canary" <&>'
ELSEWHERE = {
    "HF_TOKEN": "hf_canary",
    "AWS_SECRET_ACCESS_KEY": "aws-canary",
    "DB_PASSWORD": "db-canary",
    "K_APIKEY": "canary",
}
NEEDLES = (b"canary", *(base64.b64encode(f"ann:{pw}".encode())[5:-5] for pw in (PROXY_PASSWORD, BASE_PASSWORD)))
"""Every secret contains the word, and nothing else does: whatever part of one is found, gives it away."""

PRELUDE = """
import logging, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs the tests in the background has them ignore it
logging.basicConfig(level=1)
from bon.cli import main
main(sys.argv[1:])
"""
"""The command, with all loggers at their most talkative."""
ONCE = ("400", "401", "403", "redirect", "html", "garbage", "inside")
"""Endpoints whose refusals are not tried again."""


class Indiscreet(socketserver.StreamRequestHandler):
    """Answers as the first part of the path says, with all that it was sent; speaks as a proxy too."""

    server: Server

    def handle(self) -> None:
        while line := self.rfile.readline().decode("latin-1"):
            method, target, _ = line.split(" ", 2)
            headers = dict(self._headers())
            body = self.rfile.read(int(headers.get("content-length", 0)))
            self.server.seen.append((target, headers))
            told = "; ".join([target, *(f"{name}: {value}" for name, value in headers.items())])
            mode = "tunnel" if method == "CONNECT" else urlsplit(target).path.split("/")[1]
            if mode == "slow":
                self.server.slow.set()
                time.sleep(30)
                return
            self._send(mode, told, stream=b'"stream":true' in body)

    def _headers(self) -> Iterator[tuple[str, str]]:
        while field := self.rfile.readline().decode("latin-1").strip():
            name, _, value = field.partition(":")
            yield name.lower(), value.strip()

    def _send(self, mode: str, told: str, *, stream: bool) -> None:
        error = json.dumps({"error": {"message": f"Incorrect API key provided: {told}"}})
        usage = {"prompt_tokens": 3, "completion_tokens": 3}
        choice = {"index": 0, "message": {"content": "It is 4."}, "finish_reason": "stop"}
        chunk = {"choices": [{"index": 0, "delta": {"content": "It is 4."}, "finish_reason": "stop"}]}
        status, kind, body, extra = 200, "application/json", json.dumps({"choices": [choice], "usage": usage}), ""
        if mode == "tunnel":
            status, body = 407, error
        elif mode.isdigit():
            status, body = int(mode), error
        elif mode == "redirect":
            status, extra = 302, f"Location: http://127.0.0.1:9/?{quote(told)}\r\n"
        elif mode == "html":
            kind, body = "text/html", f"<html><p>{html.escape(told)}</p></html>"
        elif mode == "garbage":
            body = told
        elif mode == "inside":
            body = error
        elif mode == "malformed":
            extra = f"{told}\r\n"
        elif stream:
            kind, body = "text/event-stream", f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n"
        reason = "OK" if status == 200 else f"Not to {told}"
        head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
        self.wfile.write((head + body).encode("latin-1"))


class Server(socketserver.ThreadingTCPServer):
    """Remembers what it was sent."""

    allow_reuse_address = daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Indiscreet)
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.slow = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever asked has gone."""

    @property
    def at(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        threading.Thread(target=one.serve_forever, args=(0.02,), daemon=True).start()
        yield one
        one.shutdown()


class Place:
    """A folder in which everything lies that a command leaves behind."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self.said = b""
        """All that was written to stdout and stderr."""
        self.shown: set[str] = set()
        """The command lines of the command and its processes, and what those processes have in their environment."""
        self.workers: set[int] = set()
        for name in ("home", "cache", "tmp", "out"):
            (folder / name).mkdir()
        proxy = f"http://ann:{quote(PROXY_PASSWORD, safe='')}@{server.at}"
        base = f"http://ann:{quote(BASE_PASSWORD, safe='')}@{server.at}/ok/v1?code={quote(QUERY, safe='')}"
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "BON_CACHE": str(folder / "cache"),
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": base,
            "RENTED_KEY": RENTED,
            "HTTP_PROXY": proxy,
            "HTTPS_PROXY": proxy,
            **ELSEWHERE,
        }
        quick = [f"openai:m@http://{server.at}/{mode}/v1?key_env=RENTED_KEY" for mode in (*ONCE, "ok")]
        quick += ["openai:m", "openai:m@http://endpoint.test/ok/v1?key_env=RENTED_KEY"]
        quick += ["openai:m@http://endpoint.test/401/v1?key_env=RENTED_KEY"]
        stubborn = [f"openai:m@http://{server.at}/malformed/v1?key_env=RENTED_KEY"]
        stubborn += ["openai:m@https://endpoint.test/ok/v1?key_env=RENTED_KEY"]
        self.n = len(quick)
        (folder / "bon.toml").write_text(
            f'[generators.all]\nkind = "mixture"\ngenerators = {json.dumps(quick)}\n'
            f'[generators.stubborn]\nkind = "mixture"\ngenerators = {json.dumps(stubborn)}\n'
            f'[generators.safe]\nkind = "fallback"\nfailures = 1\ngenerators = {json.dumps(quick)}\n'
            f'[generators.slow]\nspec = "openai:m@http://{server.at}/slow/v1?key_env=RENTED_KEY"\n'
        )
        rows = [{"id": f"p{i}", "prompt": f"2 + {i}?", "reference": "4"} for i in range(2)]
        (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def run(
        self,
        *args: str,
        code: str = PRELUDE,
        codes: Sequence[int] = (0,),
        stop: tuple[threading.Event, signal.Signals] | None = None,
    ) -> str:
        """Run a command to its end, or until a signal, watching the process list meanwhile; what it said."""
        process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-c", code, *args],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        watcher = threading.Thread(target=self._watch, args=(process,))
        watcher.start()
        if stop is not None:
            moment, number = stop
            assert moment.wait(60)
            process.send_signal(number)
        said, _ = process.communicate(timeout=120)
        watcher.join()
        self.said += said
        assert process.returncode in codes, said.decode()[-3000:]
        return said.decode()

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        while process.poll() is None:
            family = {process.pid}
            for folder in Path("/proc").glob("[0-9]*"):  # a process comes after its parent but for wrapped numbers
                try:
                    parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                    if parent in family:
                        family.add(int(folder.name))
                        self.shown.add((folder / "environ").read_text(errors="replace"))
                        self.workers.add(int(folder.name))
                    if int(folder.name) in family:
                        self.shown.add((folder / "cmdline").read_text(errors="replace"))
                except (OSError, ValueError, IndexError):
                    continue  # it has ended
            time.sleep(0.02)

    def look(self) -> None:
        """Look for any part of a secret, everywhere."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        found = [f"{path.relative_to(self.folder)}: {text}" for path in files for text in _found(path.read_bytes())]
        found += [f"said: {text}" for text in _found(self.said)]
        found += [f"process: {text}" for each in self.shown for text in _found(each.encode())]
        assert not found, "\n".join(found)


def _found(data: bytes) -> list[str]:
    """What lies around each part of a secret."""
    places = [match.span() for needle in NEEDLES for match in re.finditer(re.escape(needle), data)]
    return [data[max(begin - 60, 0) : end + 40].decode(errors="replace") for begin, end in places]


@pytest.fixture
def place(tmp_path: Path, server: Server) -> Place:
    return Place(tmp_path, server)


@pytest.mark.slow
def test_runs_over_files_keep_no_secret(place: Place, server: Server) -> None:
    """Draws, failures of all kinds, the journal and the cache; then a second run, scores, a choice."""
    sample = ("sample", "prompts.jsonl", "-g", "all", "-n", str(place.n), "-o", "out/pools.jsonl", "--json")
    said = place.run(*sample, "--cache", "write")
    assert '"candidates": 6' in said, "ok, with the key of the environment, and through the proxy; of two prompts each"
    sent = " ".join(f"{target} {headers}" for target, headers in server.seen)
    for secret in (KEY, RENTED, QUERY):
        assert secret in sent + unquote_plus(sent), "else this test proves nothing"
    assert [path for path in (place.folder / "cache").rglob("*") if path.is_file()], (
        "the cache is among what is searched"
    )
    place.run(*sample, "--cache", "read")
    place.run("score", "out/pools.jsonl", "-s", "heuristic", "-s", "math", "-o", "out/scored.jsonl")
    place.run("select", "out/scored.jsonl", "--by", "math", "-o", "out/chosen.jsonl")
    place.look()


@pytest.mark.slow
def test_connections_that_break_and_proxies_that_refuse_tell_no_secret(place: Place, server: Server) -> None:
    place.run("sample", "prompts.jsonl", "-g", "stubborn", "-n", "2", "-o", "out/pools.jsonl", codes=(1,))
    place.look()
    tunnels = [headers for target, headers in server.seen if target == "endpoint.test:443"]
    assert tunnels
    for headers in tunnels:
        credentials = base64.b64encode(f"ann:{PROXY_PASSWORD}".encode()).decode()
        assert headers["proxy-authorization"] == f"Basic {credentials}"
        assert "authorization" not in headers, "the proxy is not told the key of the endpoint"


@pytest.mark.slow
def test_commands_say_no_secret(place: Place, server: Server) -> None:
    refused, served = (f"openai:m@http://{server.at}/{mode}/v1?key_env=RENTED_KEY" for mode in ("401", "ok"))
    assert "It is 4." in place.run("ask", "2 + 2?", "-g", "safe", "-n", "4", "--json")
    said = place.run("ask", "2 + 2?", "-g", refused, "-n", "2", codes=(1,))
    assert "Incorrect API key provided: " in said, "the endpoint's own words are shown"
    assert "[secret]" in said
    place.run("doctor", refused, codes=(1,))
    place.run("doctor", served, "--json")
    place.run("sample", "prompts.jsonl", "-g", "openai:m", "-o", "out/pools.jsonl", "--dry-run")
    for words in (["list"], ["show", refused], ["show", "safe"]):
        place.run(*words)
    place.look()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_says_and_keeps_no_secret(place: Place, server: Server, number: signal.Signals) -> None:
    sample = ("sample", "prompts.jsonl", "-g", "slow", "-n", "2", "-o", "out/pools.jsonl", "--cache", "write")
    place.run(*sample, codes=(128 + number, -number), stop=(server.slow, number))
    assert (place.folder / "out" / "pools.jsonl.journal").exists(), "and so is the journal"
    place.look()


SETTINGS = {
    "password": '[defaults]\ngenerator = "openai:m@http://ann:canary@127.0.0.1:9/v1"\n',
    "shape": '[generators]\nmine = "openai:m@http://ann:canary@127.0.0.1:9/v1"\n',
    "kind": '[defaults]\ngenerator = "opanai:m@http://ann:canary@127.0.0.1:9/v1"\n',
    "option": '[generators.mine]\nspec = "openai:m@http://127.0.0.1:9/v1"\napi_key = "canary"\n',
    "misplaced": '[defaults]\napi_key = "canary"\n',
    "not TOML": 'api_key = "canary\n',
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_key_that_was_put_into_a_file_is_refused_and_not_repeated(place: Place, kind: str) -> None:
    settings = place.folder.parent / f"{place.folder.name}.toml"
    settings.write_text(SETTINGS[kind])
    place.env["BON_CONFIG"] = str(settings)
    spec = ("-g", "mine") if "mine" in SETTINGS[kind] else ()
    said = place.run("ask", "2 + 2?", *spec, codes=(2,))
    assert "Traceback" not in said
    place.look()


@pytest.mark.slow
def test_worker_processes_are_given_no_secret(place: Place) -> None:
    save_tiny_gguf(place.folder / "tiny.gguf")
    place.run("ask", "2 + 2?", "-g", "gguf:tiny.gguf", "-n", "2", "--max-tokens", "4")
    assert place.workers, "llama.cpp runs in a process of its own"
    place.look()


async def test_the_worker_of_the_embedded_engine_is_given_no_secret(
    place: Place, embedded_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in place.env.items():
        if any(needle in value.encode() for needle in NEEDLES):
            monkeypatch.setenv(name, value)
    generator = EmbeddedGenerator(embedded_model, defaults={"max_tokens": 2})
    try:
        (draw,) = [draw async for draw in generator(Prompt(id="p", messages=as_messages("Why?")), 1)]
        assert draw.index == 0
        pid = generator._worker.pid
        assert pid is not None
        for name in ("environ", "cmdline"):
            assert not _found(Path(f"/proc/{pid}/{name}").read_bytes())
    finally:
        generator.close()


TROUBLE = """
import asyncio, logging, os, sys, traceback

import bon
from bon.generate.openai import OpenAIGenerator
from bon.observe import log_events
from bon.transport import Endpoint, Retries

logging.basicConfig(level=1)
at, mode = sys.argv[1:]


def generator():
    key, header = os.environ["LIBRARY_KEY"], os.environ["LIBRARY_HEADER"]
    address, once = f"http://{at}/{mode}/v1", Retries(attempts=1)
    return OpenAIGenerator("m", url=Endpoint(address, key=key, headers={"X-Api-Key": header}, retries=once))


async def streamed():
    one = generator()
    print(one, one.endpoint, vars(one).keys())
    try:
        async for delta in one.stream(bon.prompt("2 + 2?"), 0):
            print(delta)
    finally:
        one.close()


async def drawn():
    plan = bon.Plan(generator=generator(), budget=bon.Fixed(2), hook=log_events())
    return await bon.run(bon.prompt("2 + 2?"), plan)


for trouble in (streamed, drawn):
    try:
        asyncio.run(trouble())
    except Exception as error:
        traceback.print_exc()
        print(repr(error), repr(error.__cause__))
"""


@pytest.mark.parametrize("mode", ["401", "garbage", "inside", "malformed", "ok"])
def test_tracebacks_reprs_and_logs_of_the_library_show_no_secret(place: Place, server: Server, mode: str) -> None:
    place.env |= {"LIBRARY_KEY": "sk-canary-library", "LIBRARY_HEADER": HEADER}
    said = place.run(server.at, mode, code=TROUBLE)
    assert ("Traceback" in said) == (mode != "ok")
    place.look()
