"""What generators around generators share: draws in turn by their index, and any generator's draw as it grows."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from itertools import groupby

from bon.concurrency import close, merge
from bon.errors import BadReply, DrawError
from bon.protocols import Generator
from bon.types import Delta, Draw, Failure, Prompt

__all__ = ["in_turn", "name_of", "streamed"]


async def in_turn(
    generators: Sequence[Generator], prompt: Prompt, n: int, *, start: int = 0
) -> AsyncGenerator[Draw, None]:
    """Draws `start .. start + n - 1`, as they land: draw `i` is made by `generators[i % k]`, under its own index.

    Draws that follow each other and fall to the same generator are asked for in one call.
    """

    def turn(index: int) -> Generator:
        return generators[index % len(generators)]

    calls = []
    for _, run in groupby(range(start, start + n), key=lambda index: id(turn(index))):
        indices = list(run)
        calls.append(turn(indices[0])(prompt, len(indices), start=indices[0]))
    async with aclosing(merge(calls)) as draws:
        async for draw in draws:
            yield draw


async def streamed(generator: Generator, prompt: Prompt, index: int) -> AsyncGenerator[Delta, None]:
    """One draw as it grows, or in one piece where the generator cannot show it. Raises DrawError where it fails."""
    grow = getattr(generator, "stream", None)
    pieces = _in_one_piece(generator, prompt, index) if grow is None else grow(prompt, index)
    try:
        async for delta in pieces:
            yield delta
    finally:
        await close(pieces)


def name_of(generator: Generator) -> str:
    """The name of a generator: its own, or that of the function it is."""
    return str(getattr(generator, "name", "") or getattr(generator, "__name__", type(generator).__name__))


async def _in_one_piece(generator: Generator, prompt: Prompt, index: int) -> AsyncGenerator[Delta, None]:
    draws = generator(prompt, 1, start=index)
    try:
        async for draw in draws:
            if isinstance(draw, Failure):
                raise DrawError(f"{draw.error}: {draw.message}")
            yield Delta(text=draw.text, reasoning=draw.reasoning or "", candidate=draw)
            return
    finally:
        await close(draws)
    raise BadReply(f"{name_of(generator)} ended before draw {index}; it must yield all it is asked for")
