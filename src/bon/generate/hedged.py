"""A generator whose slow draws get a spare: the first candidate of the two is taken, the other draw is ended."""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from bon.concurrency import as_landed, cancel, close
from bon.errors import BadReply
from bon.events import Hook, Spending, tell
from bon.generate.composing import name_of, streamed
from bon.protocols import Generator
from bon.types import Candidate, Delta, Draw, Failure, Prompt, Usage

__all__ = ["Hedged"]

_WINDOW = 100
"""Latencies that are remembered."""
_FEWEST = 20
"""Latencies that must be known before any is called slow."""
_ROUNDING = 1 + 1e-6
"""What takes as long as others is not slow, whatever a clock makes of the last digits."""
_SHARE = 0.1
"""Of the draws that get a spare, at the most."""


class Hedged:
    """Draws from `inner`, and once more where that takes longer than the `quantile` of the last draws' latencies.

    The spare is the same draw, with the same prompt, index and seed. Of the two the first candidate wins and the other
    draw is closed, which ends it upstream; a failure of one waits for the other. At most a tenth of all draws get a
    spare, and none does while calls queue for a slot, so an endpoint that has become slow is not asked for twice as
    much. The loser is told of as Spending with one call; what it took is known only if it landed, and whoever pays
    counts it in full otherwise.

    Each draw is asked for by itself, for one of several in a request could not be ended. Streams are passed on.

    Source: J. Dean, L. A. Barroso, "The Tail at Scale", 2013.
    """

    def __init__(self, inner: Generator, *, quantile: float = 0.95, hook: Hook = tell) -> None:
        if not 0 < quantile < 1:
            raise ValueError(f"quantile is {quantile!r}; it must lie between 0 and 1")
        self.inner = inner
        self.quantile = quantile
        self.name = name_of(inner)
        self._hook = hook
        self._latencies: deque[float] = deque(maxlen=_WINDOW)
        self._draws = self._spares = 0
        self._lock = threading.Lock()

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__") or attribute == "inner":
            raise AttributeError(attribute)
        return getattr(self.inner, attribute)

    def __repr__(self) -> str:
        return f"Hedged({self.inner!r}, quantile={self.quantile})"

    async def __call__(self, prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
        """Draws `start .. start + n - 1`, each as it lands."""
        draws = as_landed(self._one(prompt, index) for index in range(start, start + n))
        async with aclosing(draws) as landing:
            async for draw in landing:
                yield draw

    def stream(self, prompt: Prompt, index: int) -> AsyncGenerator[Delta, None]:
        """One draw as it grows, without a spare: what has been shown cannot be taken back."""
        return streamed(self.inner, prompt, index)

    async def _one(self, prompt: Prompt, index: int) -> Draw:
        clock = asyncio.get_running_loop().time
        began = clock()
        first = asyncio.ensure_future(self._draw(prompt, index))
        tasks = [first]
        try:
            await asyncio.wait(tasks, timeout=self._patience())
            if not first.done() and self._may_spare():
                tasks.append(asyncio.ensure_future(self._draw(prompt, index)))
            winner = await _race(tasks)
        finally:
            await cancel(tasks)
        draw, seconds = winner.result(), clock() - began
        if isinstance(draw, Candidate):
            with self._lock:
                self._latencies.append(seconds)
        for loser in tasks:
            if loser is not winner:
                usage = _usage_of(loser)
                self._hook(Spending(prompt_id=prompt.id, by=self.name, usage=usage, seconds=seconds, calls=1))
        return draw

    async def _draw(self, prompt: Prompt, index: int) -> Draw:
        draws = self.inner(prompt, 1, start=index)
        try:
            async for draw in draws:
                return draw
        finally:
            await close(draws)
        error = BadReply(f"{self.name} ended before draw {index}; it must yield all it is asked for")
        return Failure.of(error, stage="generate", index=index, by=self.name)

    def _patience(self) -> float | None:
        """How long a draw that begins now may take before it is slow, in seconds; None while too little is known."""
        with self._lock:
            self._draws += 1
            known = sorted(self._latencies)
        return known[math.ceil(self.quantile * len(known)) - 1] * _ROUNDING if len(known) >= _FEWEST else None

    def _may_spare(self) -> bool:
        """Whether there is a spare for one more draw; it is counted. None while calls queue: it would queue behind."""
        if getattr(self.inner, "queued", False):
            return False
        with self._lock:
            free = self._spares + 1 <= _SHARE * self._draws
            self._spares += free
        return free


async def _race(tasks: Sequence[asyncio.Task[Draw]]) -> asyncio.Task[Draw]:
    """The first that lands with a candidate; where none does, the first of all. Raises what one of them raises."""
    running = set(tasks)
    while running:
        _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task not in running and isinstance(task.result(), Candidate):
                return task
    return tasks[0]


def _usage_of(task: asyncio.Task[Draw]) -> Usage | None:
    """What a draw took, where it landed."""
    if task.cancelled() or task.exception() is not None:
        return None
    draw = task.result()
    return draw.usage if isinstance(draw, Candidate) else None
