"""The ways to confine a program, and starting one: a process with its pipes; what it may do is the profile's matter."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bon.sandbox import bubblewrap, landlock, seccomp
from bon.sandbox.inside import command, modules
from bon.sandbox.process import Process
from bon.sandbox.values import Limits

__all__ = ["Backend", "rlimits", "start_candidate", "start_tester", "tester_limits"]

_TESTER_MEMORY = 1 << 30
_THREADS, _THREADS_EACH = 64, 4
"""How many a program may have that is one process, and how many each of several, itself included."""


@dataclass(frozen=True, slots=True)
class Backend:
    """One way to confine, with the Python that it confines."""

    name: Literal["bubblewrap", "landlock"]
    python: Path

    def __str__(self) -> str:
        return f"{self.name} with {self.python}"


def start_candidate(backend: Backend, limits: Limits) -> tuple[Process, socket.socket]:
    """Start a Python that waits for a program on a channel; its standard streams are pipes. Raises OSError."""
    processes = limits.processes > 1
    arguments = (rlimits(backend, limits), _confinement(backend, processes=processes))
    return _start(backend, ("codec", "confine", "candidate"), arguments, processes=processes, piped=True)


def start_tester(backend: Backend) -> tuple[Process, socket.socket]:
    """Start a Python that waits for jobs, and the socket to hand them over. Raises OSError."""
    names = ("codec", "asserts", "comparing", "confine", "raising", "candidate", "tester")
    calls = seccomp.program(processes=False, alone=backend.name == "landlock")
    return _start(backend, names, (calls, _confinement(backend, processes=True)), processes=True, piped=False)


def rlimits(backend: Backend, limits: Limits) -> dict[str, int]:
    """What a process of a program lowers its limits to."""
    found = {"as": limits.memory, "cpu": int(-(-limits.seconds // 1)), "fsize": limits.files, "nofile": 64}
    # Bubblewrap counts the processes and threads of one sandbox, else all of a user's count.
    alone = limits.processes == 1
    found["nproc"] = 4096 if backend.name != "bubblewrap" else _THREADS if alone else _THREADS_EACH * limits.processes
    return found


def tester_limits(backend: Backend, limits: Limits) -> dict[str, int]:
    """What a process of tests lowers its limits to: they get as much time as the program."""
    return {**rlimits(backend, limits), "as": _TESTER_MEMORY, "fsize": 1 << 20}


def _confinement(backend: Backend, *, processes: bool) -> tuple[bytes, list[str]] | None:
    if backend.name == "bubblewrap":
        return None
    return seccomp.program(processes=processes, alone=True), landlock.readable(backend.python)


def _start(
    backend: Backend, names: Sequence[str], arguments: tuple[object, ...], *, processes: bool, piped: bool
) -> tuple[Process, socket.socket]:
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            ours.sendall(modules(backend.python, *names))  # a few dozen kilobytes: they fit into the socket
            inner = command(backend.python, theirs.fileno(), (theirs.fileno(), *arguments))
            return _opened(backend, inner, theirs.fileno(), processes=processes, piped=piped), ours
        except OSError:
            ours.close()
            raise


def _opened(backend: Backend, inner: list[str], fd: int, *, processes: bool, piped: bool) -> Process:
    pipe = subprocess.PIPE if piped else subprocess.DEVNULL
    options: dict[str, Any] = {"stdin": pipe, "stdout": pipe, "stderr": pipe, "cwd": "/", "start_new_session": True}
    if backend.name == "landlock":
        line = [*bubblewrap.unprivileged(), *inner]
        return Process(subprocess.Popen(line, pass_fds=(fd,), env=bubblewrap.environment(), **options))  # noqa: S603
    reading, writing = os.pipe()
    try:
        os.write(writing, seccomp.program(processes=processes))  # a few hundred bytes: they fit into the pipe
        os.close(writing)
        line = [*bubblewrap.prefix(backend.python, filter_fd=reading), *inner]
        return Process(subprocess.Popen(line, pass_fds=(fd, reading), **options))  # noqa: S603
    finally:
        os.close(reading)
