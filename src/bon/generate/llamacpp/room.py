"""Shares a server's slots and cache cells among the groups of draws that want them, first come, first served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

__all__ = ["Room"]


class Room:
    """`slots` draws and `cells` tokens fit at once. It may be used from several event loops, one after another."""

    def __init__(self, *, slots: int, cells: int) -> None:
        self._slots = slots
        self._cells = cells
        self._gates: WeakKeyDictionary[asyncio.AbstractEventLoop, _Gate] = WeakKeyDictionary()

    @asynccontextmanager
    async def take(self, *, slots: int, cells: int) -> AsyncIterator[None]:
        """Wait until this much is free, and hold it. More than there is at all counts as all there is."""
        gate = self._gates.setdefault(asyncio.get_running_loop(), _Gate(self._slots, self._cells))
        slots, cells = min(slots, self._slots), min(cells, self._cells)
        async with gate.turn:  # a small group that fits must not overtake a large one for ever
            async with gate.changed:
                await gate.changed.wait_for(lambda: gate.slots >= slots and gate.cells >= cells)
            gate.slots, gate.cells = gate.slots - slots, gate.cells - cells
        try:
            yield
        finally:
            gate.slots, gate.cells = gate.slots + slots, gate.cells + cells
            await asyncio.shield(_tell(gate.changed))


class _Gate:
    """What is free in one event loop."""

    def __init__(self, slots: int, cells: int) -> None:
        self.slots = slots
        self.cells = cells
        self.turn = asyncio.Lock()
        self.changed = asyncio.Condition()


async def _tell(changed: asyncio.Condition) -> None:
    async with changed:
        changed.notify_all()
