"""What an endpoint for tests saw: the calls it started, finished, saw aborted, and would have billed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from bon.testing.faults import Fault
from bon.types import Usage

__all__ = ["Call", "Ledger"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, as the endpoint saw it."""

    number: int
    """In the order of arrival, from 0."""
    path: str = ""
    request: Mapping[str, Any]
    """Its JSON body."""
    headers: Mapping[str, str]
    started: float
    """Seconds on the endpoint's monotonic clock."""
    fault: Fault | None = None
    end: Literal["finished", "aborted", "broken"] | None = None
    """None: under way; aborted: the client went away; broken: the endpoint itself broke it off, as a fault."""
    status: int | None = None
    ended: float | None = None
    billed: Usage = field(default_factory=Usage)


class Ledger:
    """All calls; tests assert on this and not on what the client claims."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._change = asyncio.Event()

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def calls(self) -> tuple[Call, ...]:
        return tuple(self._calls)

    @property
    def open(self) -> tuple[Call, ...]:
        return tuple(call for call in self._calls if call.end is None)

    @property
    def finished(self) -> tuple[Call, ...]:
        return tuple(call for call in self._calls if call.end == "finished")

    @property
    def aborted(self) -> tuple[Call, ...]:
        return tuple(call for call in self._calls if call.end == "aborted")

    @property
    def billed(self) -> Usage:
        return sum((call.billed for call in self._calls), Usage())

    @property
    def most_at_once(self) -> int:
        """How many calls were under way at the busiest moment."""
        moments = [(call.started, 1) for call in self._calls]
        moments += [(call.ended, -1) for call in self._calls if call.ended is not None]
        under_way = most = 0
        for _, step in sorted(moments):
            under_way += step
            most = max(most, under_way)
        return most

    def begin(self, call: Call) -> None:
        self._calls.append(call)
        self._changed()

    def update(self, number: int, **changes: Any) -> None:
        self._calls[number] = replace(self._calls[number], **changes)
        self._changed()

    async def until(self, *, started: int = 0, timeout: float = 10.0) -> None:
        """Wait until `started` calls have been seen, or, where that is 0, until none is under way."""
        async with asyncio.timeout(timeout):
            while len(self._calls) < started or (not started and self.open):
                self._change.clear()
                await self._change.wait()

    def _changed(self) -> None:
        self._change.set()
