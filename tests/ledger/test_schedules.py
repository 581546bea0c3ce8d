"""Ten thousand random schedules in virtual time: no cap is passed, nothing is lost, everyone is answered rightly."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from random import Random

import pytest

from bon.errors import CapReached, Retryable
from bon.ledger import FREE, Caps, Ledger, Price
from bon.testing import virtual_time
from bon.types import Spent, Usage

SCHEDULES = 10_000
BATCHES = 20


class Books:
    """What a schedule knows of its own calls: kept in fractions, and never by asking the ledger."""

    def __init__(self, caps: Caps, earlier: Spent) -> None:
        self.caps = caps
        self.began = asyncio.get_running_loop().time()
        self.earlier = earlier
        self.tokens, self.calls = earlier.usage.total_tokens, earlier.calls
        self.money = Fraction(earlier.money or 0)
        self.open: dict[int, tuple[Usage, Price | None]] = {}
        self.asking: dict[int, tuple[Usage, Price | None]] = {}
        self.outcomes: dict[str, int] = {}

    @property
    def seconds(self) -> float:
        return self.earlier.seconds + asyncio.get_running_loop().time() - self.began

    def settle(self, usage: Usage, price: Price | None) -> None:
        self.tokens += usage.total_tokens
        self.calls += 1
        self.money += cost(usage, price)

    def count(self, outcome: str) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def short(self, most: Usage, price: Price | None, *, held: bool) -> bool:
        """Whether a call would pass a cap; without `held`, even if all that is under way cost nothing."""
        caps, rounding = self.caps, Fraction(1, 10**9)
        others = list(self.open.values()) if held else []
        tokens = self.tokens + sum(usage.total_tokens for usage, _ in others) + most.total_tokens
        money = self.money + sum((cost(usage, paid) for usage, paid in others), cost(most, price))
        return (
            (caps.tokens is not None and tokens > caps.tokens)
            or (caps.calls is not None and self.calls + len(others) + 1 > caps.calls)
            or (caps.money is not None and price is not None and money > caps.money - rounding)
            or (caps.seconds is not None and self.seconds >= caps.seconds - 1e-6)
        )

    def check(self, ledger: Ledger) -> None:
        """The caps hold for what is spent and reserved together, and the ledger says what these books say."""
        spent, reserved, caps = ledger.spent, ledger.reserved, self.caps
        assert (spent.usage.total_tokens, spent.calls) == (self.tokens, self.calls)
        assert spent.money is None or abs(Fraction(spent.money) - self.money) < Fraction(1, 10**9)
        held = sum((most.total_tokens for most, _ in self.open.values()), 0)
        # What the ledger has handed out to one who has not heard of it yet is in its books and not in these.
        assert reserved.usage.total_tokens >= held
        assert reserved.calls >= len(self.open)
        earlier = self.earlier  # may be over a cap already: then nothing more is made
        used = spent.usage.total_tokens + reserved.usage.total_tokens
        assert caps.tokens is None or used <= max(caps.tokens, earlier.usage.total_tokens)
        assert caps.calls is None or spent.calls + reserved.calls <= max(caps.calls, earlier.calls)
        assert caps.money is None or (spent.money or 0) + (reserved.money or 0) <= caps.money + 1e-9


def cost(usage: Usage, price: Price | None) -> Fraction:
    if price is None:
        return Fraction(0)
    read = usage.prompt_tokens * Fraction(price.prompt)
    return read + usage.completion_tokens * Fraction(price.completion) + Fraction(price.call)


class Schedule:
    """One random course of callers that come, wait, call, fail, try again, are cut off and are cancelled."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.caps = Caps(
            tokens=random.choice([None, random.randrange(4000)]),
            calls=random.choice([None, random.randrange(20)]),
            money=random.choice([None, 0.0, 0.3, round(random.random() * 0.05, 6)]),
            seconds=random.choice([None, None, random.uniform(0, 60)]),
        )
        earlier = Spent(usage=Usage(prompt_tokens=random.randrange(50)), calls=random.randrange(3), seconds=1.5)
        earlier = random.choice([Spent(), earlier])
        self.ledger = Ledger(self.caps, spent=earlier, allow_unpriced=True)
        self.books = Books(self.caps, earlier)
        self.prices = [None, FREE, Price(prompt=1e-6, completion=3e-5), Price(prompt=0.1e-6, completion=0, call=0.01)]

    async def run(self) -> dict[str, int]:
        random = self.random
        callers = [asyncio.create_task(self.caller(number)) for number in range(random.randrange(1, 14))]
        for caller in random.sample(callers, random.randrange(len(callers))):
            if random.random() < 0.5:
                asyncio.get_running_loop().call_later(random.choice([0, 1, 2, 20 * random.random()]), caller.cancel)
        watcher = asyncio.create_task(self.watch())
        await asyncio.gather(*callers)
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher
        self.books.check(self.ledger)
        assert not self.books.open
        assert self.ledger.reserved == Spent(), "nothing is lost"
        assert self.ledger.reached or "refused" not in self.books.outcomes
        return self.books.outcomes

    async def watch(self) -> None:
        """Between the events: who has asked first and still waits has no room at this moment."""
        while True:
            await asyncio.sleep(0.3713)
            for most, price in list(self.books.asking.values())[:1]:
                assert self.books.short(most, price, held=True)
                self.books.count("waited")

    async def caller(self, number: int) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(self.random.choice([0, 0, 1, 2, 20 * self.random.random()]))
            for attempt in range(3):
                try:
                    await self.call(3 * number + attempt)
                    return
                except Retryable:
                    await asyncio.sleep(self.random.choice([0, 1, 2]))
                except CapReached:
                    self.books.count("refused")
                    return

    async def call(self, number: int) -> None:
        random, price = self.random, self.random.choice(self.prices)
        most = Usage(prompt_tokens=random.randrange(300), completion_tokens=random.randrange(600))
        self.books.asking[number] = (most, price)
        try:
            reservation = await self.ledger.reserve(most, price=price, by=f"caller {number}")
        except CapReached:
            assert self.books.short(most, price, held=False), "refused, though there could have been room"
            raise
        finally:
            del self.books.asking[number]
        end, took, known = random.choice(["done", "broken", "refused by status"]), Usage(), True
        self.books.open[number] = (most, price)
        with self.ended(number):
            try:
                self.books.check(self.ledger)
                async with asyncio.timeout(reservation.seconds_left):
                    await asyncio.sleep(random.choice([0, 1, 2, 5 * random.random()]))
            except (TimeoutError, asyncio.CancelledError) as error:
                reservation.settle(None)
                self.books.settle(most, price)
                self.books.count("cut off")
                raise reservation.overdue() if isinstance(error, TimeoutError) else error from None
            if end == "refused by status":
                reservation.release()
                raise Retryable("429")
            took = Usage(
                prompt_tokens=random.randint(0, most.prompt_tokens),
                completion_tokens=random.randint(0, most.completion_tokens),
            )
            known = end == "done" or random.random() < 0.5
            reservation.settle(took if known else None)
            self.books.settle(took if known else most, price)
            self.books.count(end)
            if end == "broken":
                raise Retryable("the connection broke")

    @contextmanager
    def ended(self, number: int) -> Iterator[None]:
        try:
            yield
        finally:
            del self.books.open[number]
            self.books.check(self.ledger)


@pytest.mark.parametrize(
    "batch", [pytest.param(batch, marks=pytest.mark.slow if batch % 4 else ()) for batch in range(BATCHES)]
)
def test_in_ten_thousand_random_schedules_no_cap_is_passed_and_nobody_waits_for_ever(batch: int) -> None:
    async def run() -> None:
        seen: dict[str, int] = {}
        for seed in range(batch, SCHEDULES, BATCHES):
            try:
                outcomes = await Schedule(seed).run()
            except BaseException as error:
                error.add_note(f"seed {seed}")
                raise
            for outcome, count in outcomes.items():
                seen[outcome] = seen.get(outcome, 0) + count
        assert min(seen[outcome] for outcome in ("done", "broken", "refused", "cut off", "waited")) > 50, seen

    virtual_time(run())
