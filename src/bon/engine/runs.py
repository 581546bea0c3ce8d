"""Runs of the loop: one prompt, many prompts at a time, and scoring alone; each gives Pools."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping

from bon.concurrency import Merged
from bon.engine.loop import Loop
from bon.engine.plan import Plan
from bon.errors import NoCandidates
from bon.events import Hook, no_hook
from bon.protocols import Extractor, Scorer
from bon.types import Draw, Pool, Prompt

__all__ = ["run", "run_many", "score_pool", "score_pools", "scoring"]


async def run(prompt: Prompt | Pool, plan: Plan) -> Pool:
    """Draw, score and return the pool of one prompt; a Pool given is continued: what it has is kept, not drawn again.

    Raises `NoCandidates`, with the pool, when fewer than `plan.min_candidates` arrived, and whatever the generator
    raises to say that no draw could ever succeed. Cancelling it ends every draw and every scorer under way.
    """
    pool = await Loop(prompt if isinstance(prompt, Pool) else Pool(prompt=prompt), plan).finish()
    if len(pool) < plan.min_candidates:
        why = "; ".join(dict.fromkeys(f"{failure.error}: {failure.message}" for failure in pool.failures))
        raise NoCandidates(
            f"prompt {pool.prompt.id!r}: {len(pool)} candidates arrived, at least {plan.min_candidates} wanted"
            f" ({why or 'the budget asked for none'})",
            pool=pool,
        )
    return pool


async def run_many(prompts: Iterable[Prompt | Pool], plan: Plan, *, concurrency: int = 8) -> AsyncGenerator[Pool, None]:
    """Run prompts, at most `concurrency` at a time, and yield each pool as it is done, empty ones too.

    `prompts` is read as places become free, so memory grows with `concurrency` and not with the number of prompts.
    What reading them raises is raised when the pools under way are done and yielded: they are paid for.
    """

    async def one(prompt: Prompt | Pool) -> AsyncGenerator[Pool, None]:
        try:
            yield await run(prompt, plan)
        except NoCandidates as error:
            yield error.pool

    waiting = iter(prompts)
    merged: Merged[Pool] = Merged()
    broken: Exception | None = None

    def take() -> None:
        nonlocal broken
        try:
            for prompt in () if broken else waiting:
                merged.add(one(prompt))
                break
        except Exception as error:  # noqa: BLE001  # raised below
            broken = error

    try:
        for _ in range(concurrency):
            take()
        async for pool in merged:
            take()
            yield pool
        if broken:
            raise broken
    finally:
        await merged.aclose()


async def score_pool(pool: Pool, scorers: Mapping[str, Scorer], *, hook: Hook = no_hook) -> Pool:
    """Give the candidates of a pool the scores they lack; a scorer that fails leaves reasons, not a hole."""
    return await Loop(pool, scoring(scorers, hook=hook)).finish()


async def score_pools(
    pools: Iterable[Pool],
    scorers: Mapping[str, Scorer],
    *,
    extract: Extractor | None = None,
    hook: Hook = no_hook,
    concurrency: int = 8,
) -> AsyncGenerator[Pool, None]:
    """Score pools, at most `concurrency` at a time, and yield each as it is done; nothing is drawn."""
    plan = scoring(scorers, extract=extract, hook=hook)
    async for pool in run_many(pools, plan, concurrency=concurrency):
        yield pool


def scoring(scorers: Mapping[str, Scorer], *, extract: Extractor | None = None, hook: Hook = no_hook) -> Plan:
    """The plan that draws nothing: pools get the scores, and with `extract` the answers, that they lack."""
    return Plan(generator=_draw_none, budget=_no_more, scorers=scorers, extract=extract, hook=hook, min_candidates=0)


async def _draw_none(prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:  # noqa: ARG001
    return
    yield


def _no_more(pool: Pool) -> int:  # noqa: ARG001
    return 0
