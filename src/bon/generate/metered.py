"""A generator whose draws are paid for: each is reserved in the ledger before it is made, and settled as it lands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, TypeVar

from bon.concurrency import Merged, close
from bon.errors import HOPELESS, CapReached
from bon.generate.composing import name_of, streamed
from bon.generate.request import at_most, merged
from bon.ledger import Ledger, Price, Reservation, charged, charging
from bon.protocols import Generator
from bon.types import Candidate, Delta, Draw, Failure, Prompt, Usage

__all__ = ["Metered", "metered"]

T = TypeVar("T")


def metered(generator: Generator, *, price: Price | None = None) -> Generator:
    """A generator that pays for its draws: itself where it `charges` its own calls, else at `price`, else at its own.

    A generator's own price is its attribute `price`.
    """
    if getattr(generator, "charges", False):
        return generator
    return Metered(generator, price=getattr(generator, "price", None) if price is None else price)


class Metered:
    """Draws from a generator that does not charge its own calls; each draw counts as one call of price `price`.

    As many draws as there is room for are asked for together; the rest follow as room is made. A draw for which there
    is none is a Failure, CapReached, and one that is under way when the cap on seconds is reached is cut off. What a
    draw took is what its candidate says; one that says nothing, fails or is cut off counts in full, so that no cap is
    passed. What the generator calls meanwhile is not charged again: a draw is paid for once.
    """

    charges = True

    def __init__(self, inner: Generator, *, price: Price | None) -> None:
        self.inner = inner
        self.price = price
        self.name = name_of(inner)

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__") or attribute == "inner":
            raise AttributeError(attribute)
        return getattr(self.inner, attribute)

    def __repr__(self) -> str:
        return f"Metered({self.inner!r}, price={self.price!r})"

    def __call__(self, prompt: Prompt, n: int, *, start: int = 0) -> AsyncIterator[Draw]:
        ledger = charged()
        if ledger is None:
            return self.inner(prompt, n, start=start)
        return self._paid(ledger, prompt, range(start, start + n))

    async def stream(self, prompt: Prompt, index: int) -> AsyncGenerator[Delta, None]:
        """One draw as it grows, or in one piece. Raises DrawError where it fails, CapReached where it may not be."""
        ledger = charged()
        if ledger is None:
            async with aclosing(streamed(self.inner, prompt, index)) as free:
                async for delta in free:
                    yield delta
            return
        reservation = await ledger.reserve(self._most(prompt), price=self.price, by=self.name)
        try:
            async with aclosing(_in_time(streamed(self.inner, prompt, index), reservation)) as deltas:
                async for delta in deltas:
                    if delta.candidate is not None:
                        _settle(reservation, delta.candidate)
                    yield delta
        except HOPELESS:
            reservation.release()  # it could not be made
            raise
        finally:
            reservation.settle(None)

    async def _paid(self, ledger: Ledger, prompt: Prompt, indices: range) -> AsyncGenerator[Draw, None]:
        """The draws of these indices, as they land, those that could not be paid for as failures."""
        bought: dict[int, Reservation] = {}
        draws: Merged[Draw] = Merged()
        draws.add(self._buy(ledger, prompt, indices, bought, draws))
        try:
            async for draw in draws:
                yield draw
        finally:
            await draws.aclose()
            for reservation in bought.values():
                reservation.release()  # it was cancelled before it began

    async def _buy(
        self, ledger: Ledger, prompt: Prompt, indices: range, bought: dict[int, Reservation], draws: Merged[Draw]
    ) -> AsyncGenerator[Draw, None]:
        """Start the draws as there is room for them; yields those for which there is none."""
        most = self._most(prompt)
        while indices:
            try:
                reservations = [await ledger.reserve(most, price=self.price, by=self.name)]
            except CapReached as error:
                for index in indices:
                    yield Failure.of(error, stage="generate", index=index, by=self.name)
                return
            while len(reservations) < len(indices):
                another = ledger.reserve_now(most, price=self.price, by=self.name)
                if another is None:
                    break
                reservations.append(another)
            group, indices = indices[: len(reservations)], indices[len(reservations) :]
            bought.update(zip(group, reservations, strict=True))
            draws.add(self._draw(prompt, group, bought))

    async def _draw(self, prompt: Prompt, indices: range, bought: dict[int, Reservation]) -> AsyncGenerator[Draw, None]:
        """The draws of one call of the generator; their reservations are this generator's from its first step on."""
        owed = {index: bought.pop(index) for index in indices}
        late: CapReached | None = None
        try:
            with charging(None):
                draws = self.inner(prompt, len(indices), start=indices[0])
            async with aclosing(_in_time(draws, owed[indices[0]])) as landing:
                async for draw in landing:
                    if draw.index in owed:
                        _settle(owed.pop(draw.index), draw)
                    yield draw
        except CapReached as error:
            late = error
        except HOPELESS:
            for reservation in owed.values():
                reservation.release()  # they could not be made
            raise
        finally:
            for reservation in owed.values():
                reservation.settle(None)
        if late is not None:
            for index in owed:
                yield Failure.of(late, stage="generate", index=index, by=self.name)

    def _most(self, prompt: Prompt) -> Usage | None:
        return at_most(prompt, merged(getattr(self.inner, "defaults", {}), prompt))


def _settle(reservation: Reservation, draw: Draw) -> None:
    if isinstance(draw, Candidate) and draw.cached:
        reservation.release()
    else:
        reservation.settle(draw.usage if isinstance(draw, Candidate) else None)


async def _in_time(items: AsyncIterator[T], reservation: Reservation) -> AsyncGenerator[T, None]:
    """The items of an iterator, made at nobody's charge, until the seconds of the reservation are over: CapReached."""
    try:
        while True:
            try:
                with charging(None):
                    async with asyncio.timeout(reservation.seconds_left) as limit:
                        item = await anext(items)
            except StopAsyncIteration:
                return
            except TimeoutError:
                if limit.expired():
                    raise reservation.overdue() from None
                raise
            yield item
    finally:
        with charging(None):
            await close(items)
