"""What the registry hands out: the thing that a spec names, with a name, `close()` and `with` on all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Generic, TypeVar

from bon.protocols import Budget, Generator, Scorer, Selector, Weights
from bon.types import Draw, Pool, Prompt, Score

__all__ = ["Built", "BuiltBudget", "BuiltGenerator", "BuiltScorer", "BuiltSelector"]

T = TypeVar("T")
Self = TypeVar("Self", bound="Built[Any]")


class Built(Generic[T]):
    """A thing made from a spec: whatever else it offers (`stream`, `pointwise`, `wave` ...) is reached through it."""

    def __init__(self, thing: T, *, spec: str, name: str) -> None:
        self.thing = thing
        self.spec = spec
        self.name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        return getattr(self.thing, attribute)

    def __repr__(self) -> str:
        return f"<{self.name}: {type(self.thing).__name__}>"

    def close(self) -> None:
        """Let go of what it holds: connections, processes, memory. Closing twice is fine."""
        close = getattr(self.thing, "close", None)
        if close is not None:
            close()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class BuiltGenerator(Built[Generator]):
    """A Generator made from a spec."""

    def __call__(self, prompt: Prompt, n: int, *, start: int = 0) -> AsyncIterator[Draw]:
        return self.thing(prompt, n, start=start)


class BuiltScorer(Built[Scorer]):
    """A Scorer made from a spec."""

    async def __call__(self, pool: Pool) -> Sequence[Score]:
        return await self.thing(pool)


class BuiltSelector(Built[Selector]):
    """A Selector made from a spec."""

    def __call__(self, pool: Pool) -> Weights:
        return self.thing(pool)


class BuiltBudget(Built[Budget]):
    """A Budget made from a spec."""

    def __call__(self, pool: Pool) -> int:
        return self.thing(pool)
