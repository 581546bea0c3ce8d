"""256 prompts at once against an endpoint that goes wrong: its own books say that the cap was never passed."""

from __future__ import annotations

import pytest

import bon
from bon.generate.openai import OpenAIGenerator
from bon.ledger import Caps, Ledger, Price
from bon.testing import Fault, FaultServer, by_chance
from bon.types import Spent

PRICE = Price(prompt=1e-3, completion=2e-3)
FAULTS = by_chance(
    1,
    (0.1, Fault(status=503)),
    (0.1, Fault(status=429, headers={"Retry-After": "0.01"})),
    (0.1, Fault(no_finish=True)),
    (0.1, Fault(cut=40)),
    (0.05, Fault(body=b"{")),
    (0.05, Fault(reset="after")),
)


@pytest.mark.parametrize("caps", [Caps(tokens=40_000), Caps(money=50), Caps(calls=100), Caps(tokens=40_000, calls=150)])
async def test_256_concurrent_prompts_never_pass_a_cap(caps: Caps) -> None:
    async with FaultServer(answers=lambda _, number: "one two three four", faults=FAULTS) as server:
        generator = OpenAIGenerator("test-model", url=server.url, price=PRICE, defaults={"max_tokens": 50})
        prompts = [bon.prompt(f"Question {number}?", id=str(number)) for number in range(256)]
        plan = bon.Plan(generator=generator, budget=bon.Fixed(2), min_candidates=0)
        with Ledger(caps) as ledger:
            pools = [pool async for pool in bon.run_many(prompts, plan, concurrency=256)]
        generator.close()
        billed, calls = server.ledger.billed, len(server.ledger)
    assert len(pools) == 256
    assert all(len(pool) + len(pool.failures) == 2 for pool in pools)
    assert ledger.reserved == Spent()
    assert ledger.reached is not None
    assert {failure.error for pool in pools for failure in pool.failures} >= {"CapReached"}
    assert billed.total_tokens <= ledger.spent.usage.total_tokens
    assert PRICE.of(billed) <= (ledger.spent.money or 0) + 1e-9
    assert caps.tokens is None or ledger.spent.usage.total_tokens <= caps.tokens
    assert caps.money is None or (ledger.spent.money or 0) <= caps.money
    assert caps.calls is None or calls >= ledger.spent.calls <= caps.calls
    assert sum(map(len, pools)) > 50
