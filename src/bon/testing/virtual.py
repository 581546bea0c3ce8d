"""An event loop for tests whose clock jumps: hours of waiting pass in no time, in the same order every time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["virtual_time"]

T = TypeVar("T")


def virtual_time(coroutine: Coroutine[Any, Any, T], *, patience: float = 5.0) -> T:
    """Run a coroutine to its end on a loop whose clock starts at 0 and jumps to the next timer when nothing is ready.

    For code that waits on timers and on itself. Sockets and threads are heard, but time does not stop for them: a
    timeout beside one passes at once. Raises AssertionError where every task waits and no timer is set, so that
    nothing will ever happen, unless a thread calls in within `patience` seconds of real time.
    """
    with asyncio.Runner(loop_factory=lambda: _VirtualLoop(patience)) as runner:
        return runner.run(coroutine)


class _VirtualLoop(asyncio.SelectorEventLoop):
    """The loop of asyncio with another clock: what its selector would have slept is added to the time."""

    def __init__(self, patience: float) -> None:
        self._sleeper = _Sleeper(patience)
        super().__init__(self._sleeper)

    def time(self) -> float:
        return self._sleeper.now


class _Sleeper(selectors.DefaultSelector):
    """A selector that does not sleep while there is a timer to wait for: it says that the time has passed."""

    def __init__(self, patience: float) -> None:
        super().__init__()
        self.now = 0.0
        self._patience = patience

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            ready = super().select(self._patience)
            if not ready:
                raise AssertionError("every task waits, and nothing is left that could wake one")
            return ready
        ready = super().select(0)
        if not ready:
            self.now += max(timeout, 0.0)
        return ready
