"""Runs coroutines for callers that block: one background event loop, so it works inside a running loop too."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import suppress
from typing import Any, TypeVar

from bon.errors import UsageError

__all__ = ["iterate", "run"]

T = TypeVar("T")

_LETTING_GO = 5.0
"""Seconds that a cancelled coroutine has to close its connections and processes."""

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None


def _background() -> asyncio.AbstractEventLoop:
    """The loop of all blocking calls, started by the first of them; its thread ends with the process."""
    global _loop, _thread  # noqa: PLW0603  # the one piece of process-wide state: starting a loop a call would lose connections
    with _lock:
        if _loop is None or _loop.is_closed():
            _loop = _new_loop()
            _thread = threading.Thread(target=_loop.run_forever, name="bon", daemon=True)
            _thread.start()
        return _loop


def _forget() -> None:
    """In a forked child: the loop's thread stayed behind, so the child starts a loop of its own."""
    global _loop, _lock, _thread
    _loop, _lock, _thread = None, threading.Lock(), None


def _stop() -> None:
    """End the thread before the interpreter goes: one that is in a library's hands then can take the process down."""
    if _loop is not None and _thread is not None and not _loop.is_closed():
        _loop.call_soon_threadsafe(_loop.stop)
        _thread.join(_LETTING_GO)


atexit.register(_stop)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end and return its result; Ctrl-C cancels it and waits until it has let go.

    Raises `UsageError` when called from a coroutine or a scorer that runs in that very loop: it would wait for itself.
    """
    if _loop is not None and _running() is _loop:
        coroutine.close()
        raise UsageError(
            "a blocking call of bon was made from inside one (from a scorer, an extractor or a hook), which would wait "
            "for itself: make that function async, and await bon.abest_of_n there"
        )
    begun, ended = threading.Event(), threading.Event()

    async def watched() -> T:
        begun.set()
        try:
            return await coroutine
        finally:
            ended.set()

    future = asyncio.run_coroutine_threadsafe(watched(), _background())
    try:
        return future.result()
    except BaseException:
        if not future.done():  # Ctrl-C, or another signal's exception: the coroutine itself is still running
            future.cancel()
            if begun.is_set():
                ended.wait(_LETTING_GO)
            else:
                with suppress(RuntimeError, ValueError):  # it has begun in this very moment after all
                    coroutine.close()
        raise


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def iterate(items: AsyncIterator[T]) -> Iterator[T]:
    """Iterate over an async iterator from blocking code; leaving early closes it."""
    ended = object()

    async def step() -> object:
        return await anext(items, ended)

    try:
        while (item := run(step())) is not ended:
            yield item  # type: ignore[misc]  # everything but the mark is a T
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            run(close())
