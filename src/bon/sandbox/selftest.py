"""The self-test of a sandbox: tries from inside what must not be possible, and sees from outside that it was not."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bon.errors import ScoreError
from bon.sandbox.backend import Backend
from bon.sandbox.bubblewrap import environment
from bon.sandbox.checking import check, execute
from bon.sandbox.tester import Tester
from bon.sandbox.values import Limits, Output, Tests

__all__ = ["Finding", "selftest"]

_LIMITS = Limits(seconds=10.0, memory=256 << 20, output=64 << 10)
_SHORT = Limits(seconds=0.5, memory=256 << 20, output=64 << 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was tried."""

    name: str
    held: bool
    detail: str


_PROBES = """
import json, os, sys
told = json.loads(input())
found = {}
def probe(name):
    def run(attempt):
        try:
            found[name] = attempt()
        except BaseException as error:
            found[name] = type(error).__name__ + ": " + str(error)
        return attempt
    return run
@probe("reads a file of ours")
def _():
    open(told["file"]).read(); return None
@probe("writes a file of ours")
def _():
    open(told["file"], "a").write("x"); return None
@probe("changes the mode of a file of ours")
def _():
    os.chmod(told["file"], 0o600); return None
@probe("makes a file in a folder of ours")
def _():
    open(os.path.join(os.path.dirname(told["file"]), "made"), "x"); return None
@probe("writes into the system's folders")
def _():
    for folder in ("/", "/dev", "/usr", "/usr/lib"):
        try:
            open(folder + "/bon-canary", "x")
        except OSError as error:
            last = error
        else:
            return None
    raise last
@probe("reads the list of users")
def _():
    open("/etc/passwd").read(); return None
@probe("reaches a port of this machine")
def _():
    import socket
    socket.create_connection(("127.0.0.1", told["port"]), timeout=2); return None
@probe("reaches a socket of this machine")
def _():
    import socket
    socket.socket(socket.AF_UNIX).connect(chr(0) + told["socket"]); return None
@probe("makes a socket of any kind")
def _():
    import socket
    for family, kind in ((40, 1), (16, 3), (17, 3), (2, 1), (2, 2), (10, 1), (1, 1), (1, 2)):
        try:
            socket.socket(family, kind)
        except OSError as error:
            last = error
        else:
            return None
    raise last
@probe("sends to a socket that has a name")
def _():
    import socket
    socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b"x", told["place"]); return None
@probe("has the kernel send us a signal")
def _():
    import fcntl
    fcntl.fcntl(0, fcntl.F_SETOWN, told["pid"]); return None
@probe("sees our process")
def _():
    os.kill(told["pid"], 0); return None
@probe("becomes root")
def _():
    os.setuid(0)
    return None
@probe("starts a process")
def _():
    if os.fork() == 0: os._exit(0)
    return None
@probe("gets shared memory that no limit counts")
def _():
    os.memfd_create("x"); return None
@probe("makes namespaces")
def _():
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x10000000) < 0:
        raise OSError(ctypes.get_errno(), "unshare")
    return None
@probe("sees our environment")
def _():
    seen = [name for name in told["variables"] if name in os.environ]
    if not seen: raise LookupError("none of its variables is there")
@probe("takes more memory than it may")
def _():
    held = bytearray(1 << 30); return None
print(json.dumps(found))
"""


def selftest(backend: Backend) -> Iterator[Finding]:
    """What was tried in a sandbox, one thing after the other, and whether it held; no more where nothing runs."""
    runs, *attempts = _attempts(backend)
    yield runs
    if not runs.held:
        return
    yield from attempts
    yield from _limits(backend)
    yield from _verdicts(backend)


def _attempts(backend: Backend) -> Iterator[Finding]:
    with _canaries() as told:
        done = execute(backend, _PROBES, json.dumps(told), _LIMITS, _never)
        touched = [path.name for path in Path(str(told["file"])).parent.iterdir() if path.name != "named"] != ["canary"]
        touched = touched or Path(str(told["file"])).read_text(encoding="utf-8") != "secret"
    try:
        found: dict[str, str | None] = json.loads(done.stdout)
    except ValueError:
        yield Finding(name="runs a program", held=False, detail=_trouble(done))
        return
    yield Finding(name="runs a program", held=True, detail=f"in {done.seconds:.2f} s")
    for name, error in found.items():
        yield Finding(name=f"never {name}", held=error is not None, detail=error or "it did")
    yield Finding(name="leaves our files alone", held=not touched, detail="they changed" if touched else "as they were")


def _limits(backend: Backend) -> Iterator[Finding]:
    for name, program, wanted in (
        ("sleeps too long", "import time; time.sleep(60)", "timeout"),
        ("computes too long", "while True: pass", "timeout"),
        ("prints too much", "while True: print('x' * 1000)", "output"),
    ):
        done = execute(backend, program, "", _SHORT if wanted == "timeout" else _LIMITS, _never)
        yield Finding(
            name=f"is ended when it {name}",
            held=done.kind == wanted,
            detail=f"{done.kind} after {done.seconds:.2f} s" if done.kind != "sandbox-error" else _trouble(done),
        )


def _verdicts(backend: Backend) -> Iterator[Finding]:
    tests = Tests(texts=("assert double(2) == 4", "assert double('a') == 'aa'"))
    programs = (
        ("a right program passes", "def double(x): return 2 * x", "pass"),
        ("a wrong program fails", "def double(x): return x", "fail"),
        (
            "an object that equals everything fails",
            "class A:\n  def __eq__(self, other): return True\ndef double(x): return A()",
            "fail",
        ),
    )
    try:
        tester = Tester(backend)
    except (ScoreError, OSError) as error:
        yield Finding(name="runs tests", held=False, detail=str(error))
        return
    for name, program, wanted in programs:
        verdict = check(backend, tester, program, tests, _LIMITS, _never)
        yield Finding(name=name, held=verdict.kind == wanted, detail=f"{verdict.kind} {verdict.reason}".strip())
    tester.kill()


@contextmanager
def _canaries() -> Iterator[dict[str, str | int | list[str]]]:
    """A file, a port and a socket that any process of this machine can reach, and a program in a sandbox must not."""
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.create_server(("127.0.0.1", 0)) as port,
        socket.socket(socket.AF_UNIX) as local,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as named,
    ):
        Path(folder).chmod(0o777)
        file = Path(folder) / "canary"
        file.write_text("secret", encoding="utf-8")
        file.chmod(0o666)
        name = f"bon-canary-{os.urandom(8).hex()}"
        local.bind("\0" + name)
        local.listen()
        named.bind(f"{folder}/named")
        Path(folder, "named").chmod(0o666)
        yield {
            "file": str(file),
            "place": f"{folder}/named",
            "port": port.getsockname()[1],
            "socket": name,
            "pid": os.getpid(),
            "variables": sorted(set(os.environ) - set(environment()) - {"PWD", "LC_CTYPE"}),
        }


def _trouble(done: Output) -> str:
    last = done.stderr.strip().rpartition("\n")[2]  # of a traceback that says what went wrong
    return f"{done.kind}: {done.reason}: {last[-300:]}".rstrip(": ")


def _never() -> bool:
    return False
