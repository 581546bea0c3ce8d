"""Runs tests that call a program in another sandbox, and says of each assert whether it held: the only judge there is.

One process waits for jobs and forks one child for each; the child runs the tests, and each function that they call and
do not define is a stand-in that asks the program. What a stand-in returns is made of plain values alone.
"""

from __future__ import annotations

import array
import ast
import builtins
import json
import os
import reprlib
import socket
import sys

from bon.sandbox.inside.candidate import limit
from bon.sandbox.inside.codec import CodecError, decode, receive, send
from bon.sandbox.inside.comparing import same, shown
from bon.sandbox.inside.confine import Confinement, confine, filter_calls

__all__ = ["main"]


class _Gone(BaseException):
    """The program's process has ended: no test can go on. Not an Exception, so that tests do not catch it."""


class _Foreign(Exception):
    """An exception of the program that has no class of its own here."""


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
        self.run.begun(self.number)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if error is not None:
            self.run.failed(self.number, error)
        return kind is not None and issubclass(kind, Exception)


class _Cased(ast.NodeTransformer):
    """Puts a `with __case__(number):` around every assert."""

    def __init__(self, first: int) -> None:
        self.texts: list[str] = []
        self.first = first

    def visit_Assert(self, node: ast.Assert) -> ast.AST:  # ast's own name
        number = self.first + len(self.texts)
        self.texts.append(_shown(node.test))
        call = ast.Call(ast.Name("__case__", ast.Load()), [ast.Constant(number)], [])
        return ast.copy_location(ast.With([ast.withitem(call)], [node]), node)


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

    def ask(self, message: object) -> object:
        if self.gone:
            raise _Gone
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
            raise _Foreign("the program answered with something that is no answer") from None
        self.memory = self.memory or "MemoryError" in names
        raise _exception(names, str(says))

    def leave(self) -> None:
        self.gone = True
        raise _Gone

    def begun(self, number: int) -> None:
        if self.parts[number] is None:
            self.parts[number] = True

    def failed(self, number: int, error: BaseException) -> None:
        self.parts[number] = False
        got = f"the last call gave {reprlib.repr(self.last)}" if type(error) is AssertionError else _said(error)
        self.note(f"{self.texts[number]}: {got}")

    def note(self, reason: str) -> None:
        self.reason = self.reason or reason[:1000]

    def judge(self, job: dict[str, object]) -> None:
        """Load the program, then run every test; `parts` holds what each assert came to."""
        trees: list[tuple[ast.Module, int]] = []
        self.texts: list[str] = []
        for text in job["tests"]:  # type: ignore[attr-defined]
            cased = _Cased(len(self.texts))
            trees.append((ast.fix_missing_locations(cased.visit(ast.parse(text))), len(cased.texts)))
            self.texts += cased.texts or ["the tests"]
            self.parts += [None] * max(1, len(cased.texts))
        if os.read(self.channel, 1) != b"+":
            self.trouble = "the sandbox of the program does not start"
            return
        try:
            self.ask(("functions", job["program"]))
        except (Exception, _Gone) as error:  # noqa: BLE001  # whatever the program raised
            self.parts = [False] * len(self.parts)
            self.note(f"the program does not load: {_said(error)}")
            return
        first = 0
        for tree, count in trees:
            self.one(tree, first, count, job)
            first += max(1, count)

    def one(self, tree: ast.Module, first: int, count: int, job: dict[str, object]) -> None:
        end = first + max(1, count)
        names = self.names(tree, job)
        try:
            exec(compile(tree, "<tests>", "exec"), names)  # noqa: S102  # what all of this is for
            test, entry = names.get(str(job["check"])), str(job["entry_point"])
            if job["check"] and callable(test) and not isinstance(test, _Remote):
                # A function of the program may have the name of its test: inside the test the name means the program's.
                names.update({name: _Remote(self, name) for name in (str(job["check"]), entry)})
                test(names[entry])
        except (Exception, _Gone, SystemExit) as error:  # noqa: BLE001  # outside an assert: what follows was not run
            self.note(f"the tests stopped: {_said(error)}")
            self.parts[first:end] = [bool(part) for part in self.parts[first:end]]
        else:
            if not count:
                self.parts[first] = True
            elif all(part is None for part in self.parts[first:end]):
                self.note("the tests came to their end without a single assert")
                self.parts[first:end] = [False] * count

    def names(self, tree: ast.Module, job: dict[str, object]) -> dict[str, object]:
        """The names that tests see: what the prompt defines whole, modules, helpers, and stand-ins for the rest."""
        names: dict[str, object] = {"__name__": "tests", "__case__": lambda number: _Case(self, number)}
        names.update(inf=float("inf"), nan=float("nan"), __same__=same, __shown__=shown)
        exec(compile(str(job["setup"]), "<setup>", "exec"), names)  # noqa: S102
        entry = str(job["entry_point"])
        if entry:
            names[entry] = _Remote(self, entry)
        nodes = list(ast.walk(tree))
        made = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
        made |= {node.arg for node in nodes if isinstance(node, ast.arg)}
        made |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        made |= {
            a.asname or a.name.partition(".")[0]
            for n in nodes
            if isinstance(n, ast.Import | ast.ImportFrom)
            for a in n.names
        }
        for node in nodes:
            if isinstance(node, ast.Name) and not (node.id in names or node.id in made or hasattr(builtins, node.id)):
                known = node.id in sys.stdlib_module_names
                names[node.id] = __import__(node.id) if known else _Remote(self, node.id)
        return names


def _shown(test: ast.expr) -> str:
    """A test as people would write it: comparisons that are calls of ours as ==."""
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and test.func.id in ("__same__", "__shown__"):
        value, wanted = test.args
        said = (
            str(wanted.value)
            if test.func.id == "__shown__" and isinstance(wanted, ast.Constant)
            else ast.unparse(wanted)
        )
        return f"{ast.unparse(value)} == {said}"
    return ast.unparse(test)


def _exception(names: list[str], says: str) -> Exception:
    """The nearest exception of Python's own. Those that end loops in silence would hide asserts: they are foreign."""
    for name in names:
        found = getattr(builtins, name, None)
        if isinstance(found, type) and issubclass(found, Exception) and found is not Exception:
            if issubclass(found, StopIteration | StopAsyncIteration):
                break
            try:
                return found(says)
            except TypeError:  # UnicodeDecodeError wants more than a text
                continue
    return _Foreign(f"{names[0] if names else 'an exception'}: {says}")


def _said(error: BaseException) -> str:
    if isinstance(error, _Gone):
        return "the program's process has ended"
    name = "" if isinstance(error, _Foreign) else type(error).__name__
    try:
        says = str(error)[:300]
    except Exception:  # noqa: BLE001
        says = ""
    return f"{name}: {says}" if name and says else name or says


def _child(job_data: bytes, channel: int, report: int) -> None:
    job: dict[str, object] = decode(job_data)
    limit(job["limits"])  # type: ignore[arg-type]
    run = _Run(channel)
    try:
        run.judge(job)
    except BaseException as error:  # noqa: BLE001  # tests that are no Python, or that ran out of memory
        run.trouble = run.trouble or f"the tests cannot be run: {_said(error)}"
    said = {
        "parts": run.parts,
        "reason": run.reason,
        "gone": run.gone,
        "memory": run.memory,
        "trouble": run.trouble,
    }
    left = memoryview(json.dumps(said).encode())
    while left:
        left = left[os.write(report, left) :]


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


def _fds(control: socket.socket) -> tuple[bytes, list[int]]:
    """The head of a frame and what came with it."""
    fds = array.array("i")
    head, ancillary, _, _ = control.recvmsg(4, socket.CMSG_LEN(2 * fds.itemsize))
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return head, list(fds)
