"""A model that is loaded on first use, once, in the thread that works with it, and let go."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from bon.errors import ModelError
from bon.models.resident import Resident

pytest.importorskip("torch", reason="the torch extra is not installed")


async def test_it_is_loaded_once_when_it_is_first_asked_in_the_thread_that_works() -> None:
    threads: list[int] = []

    def load() -> int:
        threads.append(threading.get_ident())
        return 10

    def work(model: int, items: Sequence[int]) -> list[int]:
        threads.append(threading.get_ident())
        return [model + item for item in items]

    resident = Resident(load, work, name="tens")
    assert await resident([]) == []
    assert threads == [], "nothing to do is no reason to load"
    assert await asyncio.gather(resident([1, 2]), resident([3])) == [[11, 12], [13]]
    assert await resident([4]) == [14]
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()
    assert len(threads) == 3, "loaded once, asked twice: those that wait together are one"
    resident.close()
    resident.close()
    with pytest.raises(ModelError, match="tens is closed: make a new one"):
        await resident([1])


async def test_what_cannot_be_loaded_is_tried_once_and_said_to_everybody() -> None:
    tried: list[int] = []

    def load() -> int:
        tried.append(1)
        raise ModelError("there is no such model")

    def work(model: int, items: Sequence[int]) -> list[int]:
        return [model for _ in items]

    resident = Resident(load, work, name="none")
    found = await asyncio.gather(resident([1]), resident([2]), return_exceptions=True)
    assert [str(error) for error in found] == ["there is no such model"] * 2
    with pytest.raises(ModelError, match="there is no such model"):
        await resident([3])
    assert tried == [1]
    resident.close()


async def test_an_error_of_the_work_is_its_caller_s_alone() -> None:
    def work(model: int, items: Sequence[int]) -> list[float]:
        return [model / item for item in items]

    resident = Resident(lambda: 6, work, name="divider")
    right, wrong = await asyncio.gather(resident([2, 3]), resident([0]), return_exceptions=True)
    assert right == [3.0, 2.0]
    assert isinstance(wrong, ZeroDivisionError)
    resident.close()


def test_it_may_be_closed_before_it_was_asked() -> None:
    resident: Resident[int, int, int] = Resident(lambda: 1, lambda model, items: [model for _ in items], name="idle")
    resident.close()
