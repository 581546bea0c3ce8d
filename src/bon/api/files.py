"""Runs over files: sample prompts into pools, score pools; each pool is on disk when it is done, and a run resumes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from bon.api.job import Job
from bon.engine import run_many, score_pools
from bon.errors import UsageError
from bon.events import Hook, no_hook
from bon.protocols import Budget, Extractor, Scorer
from bon.store.pools import PoolFile, append_pool, write_pools
from bon.types import Pool, Prompt

__all__ = ["Progress", "sample_file", "score_file"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run over a file has come."""

    done: int
    """Pools that are on disk as they should be, those of earlier runs included."""
    pool: Pool | None
    """The pool that has just been finished; None at the start."""


async def sample_file(
    prompts: Iterable[Prompt], out: Path, job: Job, *, concurrency: int = 8
) -> AsyncGenerator[Progress, None]:
    """Draw the pools of all prompts into a file; what the file already holds is not drawn again.

    A pool with fewer candidates than the budget wants is continued, so a larger n adds to a smaller one. Each pool is
    appended when it is done; at the end the file is put into the order of the prompts, one line a prompt.
    """
    order: list[str] = []
    with ExitStack() as stack:
        known = stack.enter_context(PoolFile(out, tolerate_truncated_tail=True)) if out.exists() else {}
        done = 0

        def pending() -> Iterator[Prompt | Pool]:
            nonlocal done
            for prompt in prompts:
                asked = job.prepared(prompt)
                order.append(asked.id)
                pool = _begun(known[asked.id], asked, out) if asked.id in known else None
                if pool is None:
                    yield asked
                elif _wants_more(pool, job.plan.budget) or set(job.plan.scorers) - set(pool.scores):
                    yield pool
                else:
                    done += 1

        yield Progress(done=0, pool=None)
        async with aclosing(run_many(pending(), job.plan, concurrency=concurrency)) as pools:
            async for pool in pools:
                append_pool(out, pool)
                done += 1
                yield Progress(done=done, pool=pool)
    _in_order(out, order)
    yield Progress(done=done, pool=None)


async def score_file(
    source: Path,
    out: Path,
    scorers: Mapping[str, Scorer],
    *,
    extract: Extractor | None = None,
    hook: Hook = no_hook,
    concurrency: int = 8,
) -> AsyncGenerator[Progress, None]:
    """Score the pools of a file into another one, or in place; what has its scores already is not scored again."""
    order: list[str] = []
    with ExitStack() as stack:
        given = stack.enter_context(PoolFile(source))
        known = stack.enter_context(PoolFile(out, tolerate_truncated_tail=True)) if out.exists() else {}
        done = 0

        def pending() -> Iterator[Pool]:
            nonlocal done
            for id_ in given:
                order.append(id_)
                pool = known.get(id_) or given[id_]
                if extract is None and id_ in known and _scored(pool, scorers):
                    done += 1
                else:
                    yield pool

        yield Progress(done=0, pool=None)
        scored = score_pools(pending(), scorers, extract=extract, hook=hook, concurrency=concurrency)
        async with aclosing(scored) as pools:
            async for pool in pools:
                append_pool(out, pool)
                done += 1
                yield Progress(done=done, pool=pool)
    _in_order(out, order)
    yield Progress(done=done, pool=None)


def _begun(pool: Pool, prompt: Prompt, out: Path) -> Pool:
    """A pool as a second run begins with it: what failed is forgotten, so that it is tried again.

    Raises `UsageError` where the pool answers another prompt, or one asked with other settings, under the same id.
    """
    if (pool.prompt.messages, pool.prompt.request) != (prompt.messages, prompt.request):
        what = "messages" if pool.prompt.messages != prompt.messages else "request"
        raise UsageError(
            f"{out}: the pool of {prompt.id!r} was drawn with another {what} than the prompt of that id now has; "
            "give the prompt another id, choose another output (-o), or begin again (--restart)"
        )
    return replace(pool, prompt=prompt, failures=())


def _wants_more(pool: Pool, budget: Budget) -> bool:
    return budget(pool) > 0


def _scored(pool: Pool, scorers: Iterable[str]) -> bool:
    return all(name in pool.scores and None not in pool.values(name) for name in scorers)


def _in_order(out: Path, order: list[str]) -> None:
    """Put the pools of a file into this order, one line each; pools of other prompts stay behind them."""
    if not out.exists():
        write_pools(out, ())
        return
    with PoolFile(out) as pools:
        wanted = set(order)
        write_pools(out, (pools[id_] for id_ in [*order, *(id_ for id_ in pools if id_ not in wanted)] if id_ in pools))
