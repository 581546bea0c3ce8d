"""A model that is loaded on first use, in the one thread that then works with it; what it is and does is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Generic, TypeVar

from bon.errors import MissingExtra, ModelError
from bon.models.batcher import Batcher

__all__ = ["Resident"]

M = TypeVar("M")
I = TypeVar("I")  # noqa: E741  # an item, as O is what comes out
O = TypeVar("O")  # noqa: E741


class Resident(Generic[M, I, O]):
    """Awaitable work of a model on items. Nothing is loaded before the first items come.

    `load` makes the model and `work` uses it, both in one thread of their own; what waits at a time is worked on
    together (`Batcher`). A model that cannot be loaded is not tried again: everybody gets the same error.
    """

    def __init__(self, load: Callable[[], M], work: Callable[[M, Sequence[I]], Sequence[O]], *, name: str) -> None:
        self._load = load
        self._work = work
        self._name = name
        self._lock = Lock()
        self._batcher: Batcher[I, O] | None = None
        self._model: M | None = None
        self._failed: ModelError | MissingExtra | None = None
        self._closed = False

    async def __call__(self, items: Sequence[I]) -> list[O]:
        """The results of the items. Raises what `load` and `work` raise, and ModelError once closed."""
        with self._lock:
            if self._closed:
                raise ModelError(f"{self._name} is closed: make a new one")
            if self._batcher is None:
                self._batcher = Batcher(self._turn, name=self._name)
            batcher = self._batcher
        return await batcher(items)

    def close(self) -> None:
        """Let go of the model: its memory goes back to the device and to the system. Closing twice is fine."""
        with self._lock:
            self._closed = True
            batcher, self._batcher = self._batcher, None
        if batcher is None:
            return
        batcher.close()
        if self._model is not None:
            from bon.models.loading import release

            self._model = None
            release()

    def _turn(self, items: Sequence[I]) -> Sequence[O]:
        """Runs in the batcher's thread."""
        if self._failed is not None:
            raise self._failed  # it would fail again, and every caller that waits would try
        if self._model is None:
            try:
                self._model = self._load()
            except (ModelError, MissingExtra) as error:
                self._failed = error
                raise
        return self._work(self._model, items)
