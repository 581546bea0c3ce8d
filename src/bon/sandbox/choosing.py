"""Which way to confine is used on this machine: the first that holds its self-test; none is refused, never replaced."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from bon.errors import NoSandbox
from bon.sandbox import seccomp
from bon.sandbox.backend import Backend
from bon.sandbox.selftest import selftest

__all__ = ["available", "choose", "first_that_holds", "pythons"]

_lock = threading.Lock()
_chosen: Backend | None = None


def choose() -> Backend:
    """The first way to confine that holds its self-test, found once a process. Raises `NoSandbox` where none does."""
    global _chosen  # noqa: PLW0603  # a fact about the machine, found once
    with _lock:
        if _chosen is None:
            _chosen = first_that_holds(available())
        return _chosen


def first_that_holds(backends: Iterable[Backend]) -> Backend:
    """The first of some ways to confine that holds its self-test. Raises `NoSandbox` that says what does not hold."""
    failures = []
    for backend in backends:
        missed = [finding for finding in selftest(backend) if not finding.held]
        if not missed:
            return backend
        failures.append(f"{backend} does not hold: {missed[0].name} ({missed[0].detail})")
    raise NoSandbox(
        "programs are not run, since nothing confines them here: "
        + ("; ".join(failures) or "neither bubblewrap nor Landlock can be used")
        + "; install bubblewrap (Debian: apt-get install bubblewrap), and see `bon sandbox selftest`"
    )


def available() -> Iterator[Backend]:
    """The ways to confine that could be tried here, best first."""
    if not (sys.platform == "linux" and seccomp.supported()):
        return
    for python in pythons()[:1]:
        if shutil.which("bwrap"):
            yield Backend("bubblewrap", python)
        yield Backend("landlock", python)


def pythons() -> list[Path]:
    """The interpreters that a sandbox could use: our own, where an ordinary user may run it, else the system's."""
    own = Path(getattr(sys, "_base_executable", None) or sys.executable).resolve()
    found = [own, *(Path(place).resolve() for place in ("/usr/bin/python3", "/usr/local/bin/python3"))]
    return [path for path in dict.fromkeys(found) if path.exists() and (os.geteuid() != 0 or _for_everyone(path))]


def _for_everyone(path: Path) -> bool:
    """Whether any user may read a file and every folder above it: root runs programs as nobody."""
    return all(one.stat().st_mode & 0o005 == 0o005 for one in (path, *path.parents))
