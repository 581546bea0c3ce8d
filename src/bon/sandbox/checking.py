"""A program under its tests, or under an input: two sandboxes, or one, and what comes of them as a verdict."""

from __future__ import annotations

import os

import msgspec

from bon.sandbox.backend import Backend, tester_limits
from bon.sandbox.inside.codec import CodecError, encode
from bon.sandbox.running import Run, Stopped, ended, tail
from bon.sandbox.tester import Tester
from bon.sandbox.values import Kind, Limits, Output, Tests, Verdict

__all__ = ["check", "execute"]

_READY = b"+"
_WHY = {
    "timeout": "it took too long",
    "output": "it printed too much",
    "memory": "it made too many files",
    "sandbox-error": "it was stopped",
}
"""Why a program was ended."""


class _Report(msgspec.Struct):
    """What the process of the tests says."""

    parts: list[bool | None]
    reason: str
    gone: bool
    memory: bool
    trouble: str


def check(backend: Backend, tester: Tester, program: str, tests: Tests, limits: Limits, stopped: Stopped) -> Verdict:
    """Run a program's functions under tests. The verdict is the tests' own process's; the program's has no say.

    A failure of ours is a verdict of the kind "sandbox-error". A tester that does not answer in time is ended.
    """
    job = {
        "program": program,
        "tests": list(tests.texts),
        "check": tests.check,
        "entry_point": tests.entry_point,
        "setup": tests.setup,
        "limits": tester_limits(backend, limits),
    }
    try:
        data = encode(job)
        run = Run(backend, limits, stopped)
    except (CodecError, OSError) as error:
        return Verdict(kind="sandbox-error", reason=f"the program cannot be started: {error}")
    reading, writing = os.pipe()
    try:
        try:
            tester.submit(data, run.channel.fileno(), writing)
        finally:
            os.close(writing)
        run.channel.close()  # the tests hold it now: they see the program's end
        run.feed(b"")
        said = run.streams.read(reading, counted=False)
        run.watch(lambda: reading in run.streams.ended)
        if reading not in run.streams.ended:
            tester.kill()
        report = _report(said)
        if report and report.gone and not run.killed:
            run.settle()
    except OSError as error:
        run.kill("sandbox-error")
        return Verdict(kind="sandbox-error", reason=f"the tests' process does not answer: {error}")
    finally:
        seconds = run.seconds
        code = run.close()
        os.close(reading)
    kind, parts, reason = _verdict(report, run, code)
    return Verdict(kind=kind, parts=parts, reason=reason, printed=tail(run.stdout, run.stderr), seconds=seconds)


def _report(said: bytearray) -> _Report | None:
    try:
        return msgspec.json.decode(said, type=_Report)
    except msgspec.MsgspecError:
        return None


def _verdict(report: _Report | None, run: Run, code: int) -> tuple[Kind, tuple[bool | None, ...], str]:
    parts = tuple(report.parts) if report else ()
    if run.killed:
        return run.killed, _unfinished(parts), _WHY[run.killed]
    if report is None or report.trouble:
        reason = report.trouble if report else "the process of the tests ended without a verdict"
        return "sandbox-error", parts, reason
    if report.gone:
        kind, reason = ended(code)
        return kind, _unfinished(parts), reason
    counted = [part for part in parts if part is not None]
    if counted and all(counted):
        return "pass", parts, ""
    return ("memory" if report.memory else "fail"), parts, report.reason


def _unfinished(parts: tuple[bool | None, ...]) -> tuple[bool | None, ...]:
    """The tests of a program that was ended: even where each held as far as it came, the last did not to its end."""
    return (*parts[:-1], False) if False not in parts and parts else parts


def execute(backend: Backend, program: str, stdin: str, limits: Limits, stopped: Stopped) -> Output:
    """Run a program as a script. A failure of ours is an output of the kind "sandbox-error"."""
    try:
        task = encode(("script", program))
        run = Run(backend, limits, stopped)
    except (CodecError, OSError) as error:
        return Output(kind="sandbox-error", reason=f"the program cannot be started: {error}")
    try:
        run.streams.write(run.channel.fileno(), len(task).to_bytes(4, "big") + task)
        said = run.streams.read(run.channel.fileno(), counted=False)
        run.feed(stdin.encode("utf-8", "surrogatepass"))
        run.watch(lambda: not run.running and not run.streams.reading)
    finally:
        seconds = run.seconds
        code = run.close()
    return _output(run, code, started=said == _READY, seconds=seconds)


def _output(run: Run, code: int, *, started: bool, seconds: float) -> Output:
    kind: Kind
    if run.killed:
        kind, reason = run.killed, _WHY[run.killed]
    elif not started:
        kind, reason = "sandbox-error", "the sandbox does not start"
    elif code == 0:
        kind, reason = "pass", ""
    elif code == 1:
        kind = "memory" if b"MemoryError" in run.stderr[-200:] else "fail"
        reason = tail(run.stderr).strip().rpartition("\n")[2]
    else:
        kind, reason = ended(code)
    return Output(
        kind=kind,
        stdout=run.stdout.decode("utf-8", "replace"),
        stderr=tail(run.stderr),
        reason=reason,
        seconds=seconds,
    )
