"""What a type checker must say of code that uses bon; mypy reads this file, nobody runs it (`make types`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from typing import assert_type

import bon
from bon.select import argmax
from bon.types import Draw

by_function = bon.best_of_n("Why?", scorer=lambda prompt, candidate: -len(candidate.text))
r = bon.best_of_n("Why?", n=8, generator="local", scorer="heuristic", select="argmax", temperature=0.5)
assert_type(r, bon.Result)
assert_type(r.text, str)
assert_type(r.best, bon.Candidate)
assert_type(r.top(3), list[bon.Candidate])
assert_type(r.weights, bon.Weights)
assert_type(r.usage, bon.Usage)
assert_type(r.pool.values("heuristic"), tuple[float | None, ...])
assert_type(bon.read_pools("pools.jsonl"), Iterator[bon.Pool])


def plain_scorer(prompt: bon.Prompt, candidate: bon.Candidate) -> float:
    return float(len(candidate.text))


async def async_scorer(prompt: bon.Prompt, candidate: bon.Candidate) -> bool:
    return bool(candidate.text)


async def pool_scorer(pool: bon.Pool) -> Sequence[bon.Score]:
    return [bon.Score(value=1.0) for _ in pool.candidates]


async def generator(prompt: bon.Prompt, n: int, *, start: int = 0) -> AsyncIterator[Draw]:
    for index in range(start, start + n):
        yield bon.Candidate(index=index, text="")


def budget(pool: bon.Pool) -> int:
    return 3 - pool.landed


a_scorer: bon.Scorer = bon.pointwise(plain_scorer)
another_scorer: bon.Scorer = bon.pointwise(async_scorer)
a_pool_scorer: bon.Scorer = pool_scorer
a_generator: bon.Generator = generator
a_selector: bon.Selector = partial(argmax, by="heuristic")
a_budget: bon.Budget = budget

with bon.generator("local") as built:
    also_a_generator: bon.Generator = built
with bon.scorer("math") as scorer:
    also_a_scorer: bon.Scorer = scorer

plan = bon.Plan(generator=generator, scorers={"mine": a_scorer}, budget=budget)


async def main() -> None:
    assert_type(await bon.abest_of_n("Why?"), bon.Result)
    assert_type(await bon.run(bon.prompt("Why?"), plan), bon.Pool)
    async for pool in bon.run_many([bon.prompt("Why?")], plan):
        assert_type(pool, bon.Pool)


bon.Score(0.5)  # type: ignore[call-arg]  # keyword-only
bon.Pool(prompt=r.pool.prompt).prompt = bon.prompt("Why?")  # type: ignore[misc]  # frozen
bon.best_of_n("Why?", n="8")  # type: ignore[arg-type]
wrong: bon.Selector = budget  # type: ignore[assignment]  # a number is no weights
