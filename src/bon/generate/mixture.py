"""Several generators as one: each draw is made by the next of them; candidates keep their maker's name."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from bon.concurrency import close
from bon.errors import StoreError, UsageError
from bon.generate.composing import close_all, in_turn, name_of, shared, streamed
from bon.protocols import Generator
from bon.types import Delta, Draw, Failure, Prompt

__all__ = ["Mixture"]


class Mixture:
    """Draws in turn from several generators: draw `i` from number `i % k`, whatever else is drawn.

    One that raises outright costs its own draws only: they become Failures, and the others go on. Name a generator
    twice to draw from it twice as often.
    """

    def __init__(self, generators: Sequence[Generator]) -> None:
        if not generators:
            raise UsageError("a mixture needs at least one generator")
        self.generators = tuple(generators)
        self.name = f"mixture({', '.join(map(name_of, self.generators))})"
        self.defaults = shared(self.generators)
        surviving = {id(one): _surviving(one) for one in self.generators}
        self._surviving = [surviving[id(one)] for one in self.generators]

    def __call__(self, prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
        return in_turn(self._surviving, prompt, n, start=start)

    def stream(self, prompt: Prompt, index: int) -> AsyncGenerator[Delta, None]:
        """One draw as it grows, or in one piece where its generator cannot show it."""
        return streamed(self.generators[index % len(self.generators)], prompt, index)

    def close(self) -> None:
        """Close every generator that can be closed."""
        close_all(self.generators)


def _surviving(generator: Generator) -> Generator:
    """A generator that never raises: what it raised is the Failure of each draw it still owed."""

    async def draw(prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
        owed = set(range(start, start + n))
        raised: Exception | None = None
        draws = None
        try:
            draws = generator(prompt, n, start=start)
            async for one in draws:
                owed.discard(one.index)
                yield one
        except StoreError:
            raise  # a matter of the disk, which all of them share
        except Exception as error:  # noqa: BLE001  # the named boundary: a failure is data
            raised = error
        finally:
            if draws is not None:
                await close(draws)
        if raised is not None:
            for index in sorted(owed):
                yield Failure.of(raised, stage="generate", index=index, by=name_of(generator))

    return draw
