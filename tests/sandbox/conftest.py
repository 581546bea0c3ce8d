"""The ways to confine that this machine has, and what tests see from outside: the processes that descend from us."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bon.sandbox import Backend, Sandbox, available

BACKENDS = {backend.name: backend for backend in available()}


@pytest.fixture(scope="session", params=["bubblewrap", "landlock"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each way to confine that there is; under CI=true bubblewrap must be there."""
    if request.param not in BACKENDS:
        if os.environ.get("CI") == "true" and request.param == "bubblewrap":
            pytest.fail("bubblewrap is not installed: apt-get install bubblewrap")
        pytest.skip(f"{request.param} cannot be used here")
    return BACKENDS[request.param]


@pytest.fixture(scope="session")
def bubblewrap() -> Backend:
    if "bubblewrap" not in BACKENDS:
        pytest.skip("bubblewrap is not installed: apt-get install bubblewrap")
    return BACKENDS["bubblewrap"]


@pytest.fixture(scope="module")
def sandbox(backend: Backend) -> Iterator[Sandbox]:
    with Sandbox(backend=backend, workers=2) as made:
        yield made


@pytest.fixture
def descendants() -> Callable[[], list[int]]:
    """The processes that descend from this one; those that lose their parent become ours, so that none gets away."""
    assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER

    def found() -> list[int]:
        parents = dict(_parents())
        own = [os.getpid()]
        for pid in own:
            own += [child for child, parent in parents.items() if parent == pid]
        return own[1:]

    return found


def _parents() -> Iterator[tuple[int, int]]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            after = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if after[0] != "Z":
            yield int(path.parent.name), int(after[1])
