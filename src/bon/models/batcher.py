"""Gathers what many tasks ask of a model into few calls, in one thread; what is computed is not its business."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar
from weakref import WeakSet

from bon.errors import ModelError

__all__ = ["Batcher"]

I = TypeVar("I")  # noqa: E741  # an item, as O is what comes out
O = TypeVar("O")  # noqa: E741

_QUIET_TURNS = 2
"""Turns of an event loop without a new call, after which nobody else is about to call."""


@dataclass(slots=True, eq=False)
class _Call(Generic[I, O]):
    items: Sequence[I]
    done: Future[list[O]] = field(default_factory=Future)


class Batcher(Generic[I, O]):
    """Awaitable work on items: whatever calls wait when the thread is free become one call of `work`.

    `work` takes items and gives as many results, in their order; it runs in one thread, which is the only one that
    touches what it uses. Calls may come from any event loop and thread. The first of several tasks that call together
    waits for the others: for a turn of its loop in which nobody calls. Where a gathered call fails, each caller's items
    are tried by themselves, so that an error reaches only those that cause it. Who is cancelled before the turn of the
    items takes them away; after it, the results are dropped.
    """

    def __init__(self, work: Callable[[Sequence[I]], Sequence[O]], *, name: str) -> None:
        self._work = work
        self._name = name
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"bon-{name}")
        self._lock = Lock()
        self._waiting: list[_Call[I, O]] = []
        self._watched: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
        self._closed = False

    async def __call__(self, items: Sequence[I]) -> list[O]:
        """The results of the items. Raises what `work` raises, and ModelError once closed."""
        if not items:
            return []
        call = _Call[I, O](tuple(items))
        with self._lock:
            if self._closed:
                raise ModelError(f"{self._name} is closed: make a new one")
            self._waiting.append(call)
            first = (loop := asyncio.get_running_loop()) not in self._watched
            self._watched.add(loop)
        if first:
            loop.call_soon(self._when_quiet, loop, 0, _QUIET_TURNS)
        return await asyncio.wrap_future(call.done)

    def close(self) -> None:
        """End: what is being computed is finished, and who still waits gets a ModelError."""
        with self._lock:
            self._closed = True
            waiting, self._waiting = self._waiting, []
        for call in waiting:
            if call.done.set_running_or_notify_cancel():
                call.done.set_exception(ModelError(f"{self._name} was closed before its turn"))
        self._thread.shutdown()

    def _when_quiet(self, loop: asyncio.AbstractEventLoop, seen: int, turns: int) -> None:
        """Have the thread take a turn when no call has come for some turns of the loop that this runs in."""
        with self._lock:
            waiting = len(self._waiting)
            quiet = waiting == seen
            if self._closed or not waiting or (quiet and not turns):
                self._watched.discard(loop)
                if waiting and not self._closed:
                    self._thread.submit(self._turn)
                return
        loop.call_soon(self._when_quiet, loop, waiting, turns - 1 if quiet else _QUIET_TURNS)

    def _turn(self) -> None:
        """Compute what waits. Runs in the thread."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        calls = [call for call in waiting if call.done.set_running_or_notify_cancel()]
        if len(calls) > 1 and self._computed(calls) is None:
            return
        for call in calls:
            error = self._computed([call])
            if error is not None:
                call.done.set_exception(error)

    def _computed(self, calls: Sequence[_Call[I, O]]) -> BaseException | None:
        """Compute the items of calls at once; None where all have their results, else why none of them has."""
        items = [item for call in calls for item in call.items]
        try:
            results = list(self._work(items))
            if len(results) != len(items):
                raise ModelError(f"{self._name} gave {len(results)} results for {len(items)} items")
        except BaseException as error:  # noqa: BLE001  # whatever it is, it belongs to whoever waits
            return error
        for call in calls:
            call.done.set_result(results[: len(call.items)])
            del results[: len(call.items)]
        return None
