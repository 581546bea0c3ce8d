"""Recorded pools as a generator: what was drawn once is drawn again, without a model."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any

from bon.errors import DrawError
from bon.generate.composing import streamed
from bon.ledger import FREE
from bon.store.pools import PoolFile
from bon.store.prompts import content_id
from bon.types import Delta, Draw, Failure, Pool, Prompt

__all__ = ["Replay"]


class Replay:
    """Draws the candidates of recorded pools, whole, under the index and the maker's name that they were recorded with.

    A prompt is found by its id, else by its messages. A draw that failed fails again; one that was never made is a
    Failure that says how many are there. A file is read pool by pool as they are asked for.
    """

    price = FREE
    defaults: Mapping[str, Any] = {}

    def __init__(self, pools: str | os.PathLike[str] | Iterable[Pool]) -> None:
        if isinstance(pools, str | os.PathLike):
            self.name = f"replay:{os.fspath(pools)}"
            self._pools: Mapping[str, Pool] = PoolFile(pools)
        else:
            self.name = "replay"
            self._pools = {pool.prompt.id: pool for pool in pools}
        self._by_messages: dict[str, str] | None = None

    async def __call__(self, prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
        recorded = self._recorded(prompt)
        for index in range(start, start + n):
            yield recorded.get(index) or self._missing(prompt, index, len(recorded))

    def stream(self, prompt: Prompt, index: int) -> AsyncGenerator[Delta, None]:
        """One draw, in one piece. Raises DrawError where it failed or was never made."""
        return streamed(self.__call__, prompt, index)

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        if isinstance(self._pools, PoolFile):
            self._pools.close()

    def _recorded(self, prompt: Prompt) -> dict[int, Draw]:
        """The draws of a prompt by their index."""
        pool = self._pools.get(prompt.id)
        if pool is None:
            if self._by_messages is None:
                self._by_messages = {content_id(one.prompt.messages): one.prompt.id for one in self._pools.values()}
            id_ = self._by_messages.get(content_id(prompt.messages))
            pool = None if id_ is None else self._pools[id_]
        if pool is None:
            return {}
        failed = {one.index: one for one in pool.failures if one.stage == "generate" and one.index is not None}
        return {**failed, **{candidate.index: candidate for candidate in pool.candidates}}

    def _missing(self, prompt: Prompt, index: int, count: int) -> Failure:
        found = (
            f"{count} draws are recorded for prompt {prompt.id!r}" if count else f"prompt {prompt.id!r} is not recorded"
        )
        advice = "ask for fewer" if count else "replay the pools of the same prompts"
        error = DrawError(f"{self.name}: {found}, so there is no draw {index}: {advice}")
        return Failure.of(error, stage="generate", index=index, by=self.name)
