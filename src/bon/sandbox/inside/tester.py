"""Runs tests that call a program in another sandbox, and says of each assert whether it held: the only judge there is.

One process waits for jobs and forks one child for each; the child runs the tests, and each function that they call and
do not define is a stand-in that asks the program. What a stand-in returns is made of plain values alone, and of
stand-ins for objects: their attributes and what they give when called are asked for in the same way.
"""

from __future__ import annotations

import array
import builtins
import ctypes  # noqa: F401  # for each child, which would take 5 ms to import it
import json
import os
import socket
import sys

from bon.sandbox.inside.asserts import cased, unknown
from bon.sandbox.inside.candidate import limit
from bon.sandbox.inside.codec import CodecError, Opaque, decode, receive, send
from bon.sandbox.inside.comparing import same, shown
from bon.sandbox.inside.confine import Confinement, confine, filter_calls
from bon.sandbox.inside.raising import Foreign, Gone, exception, said, spelled

TYPE_CHECKING = False
if TYPE_CHECKING:  # whoever runs needs no more than the trees
    import ast

__all__ = ["main"]

_TEMPORARY = "/tmp"  # noqa: S108  # the sandbox's own


class _Remote:
    """What stands for one function of the program."""

    def __init__(self, run: _Run, name: str) -> None:
        self.run = run
        self.name = name
        self.__name__ = self.__qualname__ = name

    def __call__(self, *args: object, **keywords: object) -> object:
        return self.run.ask((self.name, args, keywords))


class _Case:
    """Notes whether one assert held; an exception in it is a failure of that assert alone."""

    def __init__(self, run: _Run, number: int) -> None:
        self.run = run
        self.number = number

    def __enter__(self) -> None:
        self.run.begin(self.number)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if error is not None:
            self.run.failed(self.number, error)
        return kind is not None and issubclass(kind, Exception)


class _Run:
    """One program under its tests."""

    def __init__(self, channel: int) -> None:
        self.channel = channel
        self.parts: list[bool | None] = []
        self.reason = ""
        self.gone = False
        self.trouble = ""  # ours, not the program's
        self.memory = False
        self.last: object = None
        self.calls = 0  # of the program, once it has loaded
        self.begun = -1  # the assert that was reached last
        self.raised: BaseException | None = None  # what the program raised last

    def ask(self, message: object) -> object:
        if self.gone:
            raise Gone
        self.calls += 1
        try:
            send(self.channel, message)
        except CodecError as error:
            self.trouble = f"the tests pass on what cannot cross: {error}"
            raise
        except OSError:
            self.leave()
        try:
            kind, *rest = receive(self.channel)
            if kind == "returned":
                (self.last,) = rest
                return self.last
            names, says = rest
            names = [str(name) for name in names]
        except (EOFError, OSError):
            self.leave()
        except (CodecError, ValueError, TypeError):  # the program wrote into the channel itself
            raise Foreign("the program answered with something that is no answer") from None
        self.memory = self.memory or "MemoryError" in names
        self.raised = exception(names, str(says))
        raise self.raised

    def leave(self) -> None:
        self.gone = True
        raise Gone

    def begin(self, number: int) -> None:
        self.begun = number
        if self.parts[number] is None:
            self.parts[number] = True

    def failed(self, number: int, error: BaseException) -> None:
        self.parts[number] = False
        got = f"the last call gave {spelled(self.last)}" if type(error) is AssertionError else said(error)
        self.note(f"{self.texts[number]}: {got}")

    def note(self, reason: str) -> None:
        self.reason = self.reason or reason[:1000]

    def judge(self, job: dict[str, object]) -> None:
        """Load the program, then run every test; `parts` holds what each assert came to."""
        trees: list[tuple[ast.Module, int]] = []
        self.texts: list[str] = []
        for text in job["tests"]:  # type: ignore[attr-defined]
            tree, texts = cased(text, len(self.texts))
            trees.append((tree, len(texts)))
            self.texts += texts or ["the tests"]
            self.parts += [None] * max(1, len(texts))
        if os.read(self.channel, 1) != b"+":
            self.trouble = "the sandbox of the program does not start"
            return
        try:
            self.ask(("functions", job["program"]))
        except (Exception, Gone) as error:  # noqa: BLE001  # whatever the program raised
            self.parts = [False] * len(self.parts)
            self.note(f"the program does not load: {said(error)}")
            return
        first = self.calls = 0
        for tree, count in trees:
            self.one(tree, first, count, job)
            first += max(1, count)
        if not self.calls and not self.trouble:
            self.trouble = "the tests call nothing of the program"

    def one(self, tree: ast.Module, first: int, count: int, job: dict[str, object]) -> None:
        end = first + max(1, count)
        names = self.names(tree, job)
        calls = self.calls
        try:
            exec(compile(tree, "<tests>", "exec"), names)  # noqa: S102  # what all of this is for
            test, entry = names.get(str(job["check"])), str(job["entry_point"])
            if job["check"] and callable(test) and not isinstance(test, _Remote):
                # A function of the program may have the name of its test: inside the test the name means the program's.
                names.update({name: _Remote(self, name) for name in (str(job["check"]), entry)})
                test(names[entry])
        except (Exception, Gone, SystemExit) as error:  # noqa: BLE001  # outside an assert: what follows was not run
            self.stop(error, first, end)
        else:
            if not count and calls == self.calls:
                self.trouble = self.trouble or "tests without an assert call nothing of the program"
            elif not count:
                self.parts[first] = True
            elif all(part is None for part in self.parts[first:end]):
                self.note("the tests came to their end without a single assert")
                self.parts[first:end] = [False] * count

    def stop(self, error: BaseException, first: int, end: int) -> None:
        """Tests that end early do not pass: not what they did not reach, and not the last that they did."""
        if isinstance(error, ImportError) and error is not self.raised:
            self.trouble = self.trouble or f"the tests cannot be run: {said(error)}"
        self.note(f"the tests stopped: {said(error)}")
        self.parts[first:end] = [bool(part) for part in self.parts[first:end]]
        if all(self.parts[first:end]):
            self.parts[self.begun] = False  # it would have been run again, as in a loop, or others after it

    def names(self, tree: ast.Module, job: dict[str, object]) -> dict[str, object]:
        """The names that tests see: what the prompt defines whole, modules, helpers, and stand-ins for the rest."""
        names: dict[str, object] = {"__name__": "tests", "__case__": lambda number: _Case(self, number)}
        names.update(inf=float("inf"), nan=float("nan"), __same__=same, __shown__=shown)
        exec(compile(str(job["setup"]), "<setup>", "exec"), names)  # noqa: S102
        entry = str(job["entry_point"])
        if entry:
            names[entry] = _Remote(self, entry)
        for name in unknown(tree):
            if name not in names and not hasattr(builtins, name):
                names[name] = __import__(name) if name in sys.stdlib_module_names else _Remote(self, name)
        return names


def _child(job_data: bytes, channel: int, report: int) -> None:
    job: dict[str, object] = decode(job_data)
    limit(job["limits"])  # type: ignore[arg-type]
    run = _Run(channel)
    Opaque.ask = run.ask
    try:
        run.judge(job)
    except BaseException as error:  # noqa: BLE001  # tests that are no Python, or that ran out of memory
        run.trouble = run.trouble or f"the tests cannot be run: {said(error)}"
    found = {
        "parts": run.parts,
        "reason": _writable(run.reason),
        "gone": run.gone,
        "memory": run.memory,
        "trouble": _writable(run.trouble),
    }
    left = memoryview(json.dumps(found).encode())
    while left:
        left = left[os.write(report, left) :]


def _writable(text: str) -> str:
    """A text without what no file holds: halves of pairs of UTF-16, which a program may well say."""
    return text.encode("utf-8", "replace").decode()


def main(arguments: tuple[int, bytes, Confinement | None]) -> None:
    """Serve jobs from a socket, one at a time: a frame of bytes, and with it the channel and the pipe to report on.

    `arguments` are the socket's file descriptor, the filter of calls under which tests run, and what to confine itself
    with before anything else.
    """
    fd, calls, confinement = arguments
    if confinement:
        confine(confinement)
    control = socket.socket(fileno=fd)
    control.sendall(b"+")  # ready
    while True:
        head, fds = _fds(control)
        if not head:
            return
        length, data = int.from_bytes(head, "big"), bytearray()
        while len(data) < length:
            piece = control.recv(min(length - len(data), 1 << 20))
            if not piece:
                return
            data += piece
        child = os.fork()
        if not child:
            control.close()
            try:
                filter_calls(calls)
                _child(bytes(data), *fds)
            finally:
                os._exit(0)
        for fd in fds:
            os.close(fd)
        os.waitpid(child, 0)
        if not (confinement or _swept()):
            return


def _swept() -> bool:
    """Whether no file is left for the next tests to find; confined by Landlock, tests write none."""
    if os.listdir(_TEMPORARY):  # noqa: PTH208  # pathlib is slow
        for folder, folders, files in os.walk(_TEMPORARY, topdown=False):
            for names, remove in ((files, os.unlink), (folders, os.rmdir)):
                for name in names:
                    try:
                        remove(f"{folder}/{name}")
                    except OSError:
                        continue
    return not os.listdir(_TEMPORARY)  # noqa: PTH208


def _fds(control: socket.socket) -> tuple[bytes, list[int]]:
    """The head of a frame and what came with it."""
    fds = array.array("i")
    head, ancillary, _, _ = control.recvmsg(4, socket.CMSG_LEN(2 * fds.itemsize))
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return head, list(fds)
