"""A Generator that says what a test tells it to, and remembers what was asked of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import TypeAlias

from bon.concurrency import as_landed
from bon.errors import HOPELESS
from bon.generate.request import draw_seed
from bon.types import Candidate, Delta, Draw, Failure, Prompt, Seconds, Usage

__all__ = ["Line", "Scripted"]

Line: TypeAlias = str | Candidate | Exception
"""What a draw comes to: a text, a whole candidate, or an error."""


class Scripted:
    """Draws from a script: a list (draw i gets line i, from the start again after the last), or a function of both.

    An exception becomes a Failure of its draw; a UsageError or ModelError is raised, as by a generator that could
    never succeed. Draws end after `delay` seconds (a number, or a function of prompt and index), and not before `gate`
    is set, so that a test decides when, and in which order. `started`, `finished` and `aborted` remember the draws,
    each as (prompt id, index).
    """

    def __init__(
        self,
        lines: Sequence[Line] | Callable[[Prompt, int], Line],
        *,
        delay: float | Callable[[Prompt, int], float] = 0.0,
        gate: asyncio.Event | None = None,
        name: str = "scripted",
    ) -> None:
        self.lines = lines
        self.delay = delay
        self.gate = gate
        self.name = name
        self.started: list[tuple[str, int]] = []
        self.finished: list[tuple[str, int]] = []
        self.aborted: list[tuple[str, int]] = []

    async def __call__(self, prompt: Prompt, n: int, *, start: int = 0) -> AsyncIterator[Draw]:
        async with aclosing(as_landed(self._draw(prompt, index) for index in range(start, start + n))) as landed:
            async for draw in landed:
                yield draw

    async def stream(self, prompt: Prompt, index: int) -> AsyncIterator[Delta]:
        """The draw word by word, then its candidate. A scripted exception is raised."""
        with self._recorded(prompt, index):
            candidate = self._candidate(prompt, index)
            pieces = re.findall(r"\s*\S+\s*|\s+", candidate.text)
            if candidate.reasoning:
                yield Delta(reasoning=candidate.reasoning)
            for piece in pieces:
                await self._wait(self._delay(prompt, index) / len(pieces))
                yield Delta(text=piece)
        yield Delta(candidate=candidate)

    async def _draw(self, prompt: Prompt, index: int) -> Draw:
        with self._recorded(prompt, index):
            await self._wait(self._delay(prompt, index))
            try:
                return self._candidate(prompt, index)
            except HOPELESS:
                raise
            except Exception as error:  # noqa: BLE001  # what the script says is data
                return Failure.of(error, stage="generate", index=index, by=self.name)

    @contextmanager
    def _recorded(self, prompt: Prompt, index: int) -> Iterator[None]:
        self.started.append((prompt.id, index))
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            self.aborted.append((prompt.id, index))
            raise
        self.finished.append((prompt.id, index))

    async def _wait(self, seconds: float) -> None:
        if self.gate is not None:
            await self.gate.wait()
        await asyncio.sleep(seconds)

    def _delay(self, prompt: Prompt, index: int) -> float:
        return self.delay(prompt, index) if callable(self.delay) else self.delay

    def _candidate(self, prompt: Prompt, index: int) -> Candidate:
        line = self.lines(prompt, index) if callable(self.lines) else self.lines[index % len(self.lines)]
        if isinstance(line, Exception):
            raise line
        if isinstance(line, Candidate):
            return replace(line, index=index)
        seed = prompt.request.get("seed")
        return Candidate(
            index=index,
            text=line,
            seed=None if seed is None else draw_seed(seed, prompt.id, index),
            seconds=Seconds(total=self._delay(prompt, index)),
            usage=Usage(prompt_tokens=len(prompt.text.split()), completion_tokens=len(line.split())),
            generator=self.name,
        )
