"""The four seams: each the smallest callable that works. There is nothing to inherit; a function is enough."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from bon.types import Delta, Draw, Pool, Prompt, Score

__all__ = ["Budget", "Extractor", "Generator", "Scorer", "Selector", "StreamingGenerator", "Weights"]

Weights: TypeAlias = npt.NDArray[np.float64]
"""Shape `(n,)`, non-negative, summing to 1: expected accuracy is `weights @ correct`."""


class Generator(Protocol):
    """Draws candidates.

    Yields exactly `n` draws, those of index `start .. start + n - 1`, each as soon as it is done, in any order: a
    Candidate, or a Failure of stage "generate" that names its index. It raises only when no draw could ever succeed
    (a wrong model, a bad key). Closing the iterator aborts what is still under way, upstream too.

    It may also have `name: str` (who made it, for Candidate.generator), `defaults: Mapping` (request fields it sets
    when the prompt does not), `structured: bool | None` (whether it honours a response_format of type json_schema;
    None, or no such attribute: unknown, so ask and see), and `close()`.
    """

    def __call__(self, prompt: Prompt, n: int, *, start: int = 0) -> AsyncIterator[Draw]: ...


@runtime_checkable
class StreamingGenerator(Protocol):
    """A Generator that can also show one draw as it grows; closing the iterator aborts the draw upstream."""

    def __call__(self, prompt: Prompt, n: int, *, start: int = 0) -> AsyncIterator[Draw]: ...

    def stream(self, prompt: Prompt, index: int) -> AsyncIterator[Delta]: ...


class Scorer(Protocol):
    """Scores the candidates of a pool: one Score a candidate, in their order.

    It may also have `name: str` (its key in Pool.scores), `pointwise: bool` (each score depends on its own candidate
    alone: such scorers run on one-candidate pools as candidates land), `instant: bool` (it never waits, so the engine
    need not start a task for it), and `close()`.
    """

    async def __call__(self, pool: Pool) -> Sequence[Score]: ...


class Selector(Protocol):
    """Weighs the candidates of a pool; pure. Raises `Undecided` when there is nothing to go on."""

    def __call__(self, pool: Pool) -> Weights: ...


class Budget(Protocol):
    """Says how many more draws than have landed are wanted; 0 or less stops; pure.

    It may also have `wave: int` (how many may be in flight beyond what is surely needed), `most: int` (it never asks
    for more than this in all) and `by: str` (the scorer it reads, which then runs after every wave even if it needs
    the whole pool).
    """

    def __call__(self, pool: Pool) -> int: ...


Extractor: TypeAlias = Callable[[str], str | None]
"""Reads the final answer out of a text, or None where there is none; equivalent answers give equal strings.

It may also have `read: async (text) -> str | None`, the same for one that waits for something: the engine awaits it.
"""
