"""Runs over files: sample prompts into pools, score pools; each pool is on disk when it is done, and a run resumes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from bon.api.job import Job
from bon.engine import NOT_SCORED, Plan, lacking, run_many, scoring
from bon.errors import UsageError
from bon.protocols import Extractor, Scorer
from bon.store.pools import PoolFile, append_pool, write_pools
from bon.types import Candidate, Pool, Prompt

__all__ = ["Progress", "reread_answers", "sample_file", "score_file"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run over a file has come."""

    done: int
    """Pools that are on disk as they should be, those of earlier runs included."""
    empty: int
    """Of these, those without any candidate."""
    pool: Pool | None = None
    """The pool that has just been finished."""


async def sample_file(
    prompts: Iterable[Prompt], out: Path, job: Job, *, concurrency: int = 8
) -> AsyncGenerator[Progress, None]:
    """Draw the pools of all prompts into a file; what the file already holds is not drawn again.

    A pool with fewer candidates than the budget wants, or without a score it should have, is continued; what failed is
    tried again. Each pool is appended when it is done; at the end the file is put into the order of the prompts.

    Raises `UsageError` where a pool of the file cannot be continued: it answers another prompt, or has scores that
    more candidates would leave out of date.
    """

    def todo(prompt: Prompt, known: Mapping[str, Pool]) -> Prompt | Pool | None:
        asked = job.prepared(prompt)
        if asked.id not in known:
            return asked
        pool = _begun(known[asked.id], asked, out)
        if job.plan.budget(pool) > 0:
            _refuse_stale(pool, job.plan.scorers, out)
        elif not any(lacking(known[asked.id], name) for name in job.plan.scorers):
            return None
        return pool

    async for progress in _over(out, prompts, todo, lambda prompt: prompt.id, plan=job.plan, concurrency=concurrency):
        yield progress


async def score_file(
    source: Path,
    out: Path,
    scorers: Mapping[str, Scorer],
    *,
    extract: Extractor | None = None,
    reread: bool = False,
    concurrency: int = 8,
) -> AsyncGenerator[Progress, None]:
    """Score the pools of a file into another one, or in place; what has its scores already is not scored again.

    `extract` reads the answers that are missing; with `reread` all of them, and where one changed these scorers are
    asked again.
    """
    with PoolFile(source) as given:

        def todo(id_: str, known: Mapping[str, Pool]) -> Pool | None:
            before = known.get(id_)
            pool = given[id_] if before is None else _carried(given[id_], before)
            if extract is not None and reread:
                pool = reread_answers(pool, extract, scorers)
            unread = extract is not None and any(candidate.answer is None for candidate in pool.candidates)
            if pool == before and not unread and not any(lacking(pool, name) for name in scorers):
                return None
            return pool

        plan = scoring(scorers, extract=extract)
        async for progress in _over(out, given, todo, str, plan=plan, concurrency=concurrency):
            yield progress


async def _over(
    out: Path,
    items: Iterable[T],
    todo: Callable[[T, Mapping[str, Pool]], Prompt | Pool | None],
    id_of: Callable[[T], str],
    *,
    plan: Plan,
    concurrency: int,
) -> AsyncGenerator[Progress, None]:
    """Run what there is to do for each item, append each pool to the file, and put the file in order at the end."""
    order: list[str] = []
    done = empty = 0
    with ExitStack() as stack:
        known: Mapping[str, Pool] = (
            stack.enter_context(PoolFile(out, tolerate_truncated_tail=True)) if out.exists() else {}
        )

        def pending() -> Iterator[Prompt | Pool]:
            nonlocal done, empty
            for item in items:
                work = todo(item, known)
                order.append(id_of(item))
                if work is not None:
                    yield work
                    continue
                done += 1
                empty += not known[id_of(item)].candidates

        async with aclosing(run_many(pending(), plan, concurrency=concurrency)) as pools:
            async for pool in pools:
                append_pool(out, pool)
                done += 1
                empty += not pool.candidates
                yield Progress(done=done, empty=empty, pool=pool)
    _in_order(out, order)
    yield Progress(done=done, empty=empty)


def _begun(pool: Pool, prompt: Prompt, out: Path) -> Pool:
    """A pool as a second run begins with it: draws that failed are forgotten, so that they are made again.

    Raises `UsageError` where the pool answers another prompt, or one asked with other settings, under the same id.
    """
    for what in ("messages", "request", "reference"):
        if getattr(pool.prompt, what) != getattr(prompt, what):
            raise UsageError(
                f"{out}: the pool of {prompt.id!r} was drawn with another {what} than the prompt of that id now has; "
                "give the prompt another id, choose another output (-o), or begin again (--restart)"
            )
    return replace(pool, prompt=prompt, failures=tuple(f for f in pool.failures if f.stage != "generate"))


def _refuse_stale(pool: Pool, scorers: Iterable[str], out: Path) -> None:
    """Refuse to add candidates beside scores that nobody will bring up to date."""
    stale = sorted(set(pool.scores) - set(scorers))
    if pool.candidates and stale:
        names = ", ".join(map(repr, stale))
        raise UsageError(
            f"{out}: pool {pool.prompt.id!r} has scores by {names}, which more candidates would leave out of date; "
            f"name those scorers too (--scorer {stale[0]}), or choose another output (-o)"
        )


def _carried(pool: Pool, before: Pool) -> Pool:
    """A pool with the scores that an earlier run gave it; as it is, if it has other candidates by now."""
    if len(pool) != len(before) or not all(map(_same, pool.candidates, before.candidates)):
        return pool
    return replace(before, prompt=pool.prompt, scores={**pool.scores, **before.scores})


def _same(candidate: Candidate, before: Candidate) -> bool:
    """Whether an earlier run saw this candidate; it may have read its answer, where there was none."""
    return candidate == (before if candidate.answer is not None else replace(before, answer=None))


def reread_answers(pool: Pool, extract: Extractor, scorers: Iterable[str] = ()) -> Pool:
    """A pool with all answers read anew; a candidate whose answer changed has no score of these scorers any more."""
    candidates = tuple(replace(candidate, answer=extract(candidate.text)) for candidate in pool.candidates)
    changed = [new != old for new, old in zip(candidates, pool.candidates, strict=True)]
    again = {
        name: tuple(NOT_SCORED if new else score for new, score in zip(changed, pool.scores[name], strict=True))
        for name in set(scorers) & set(pool.scores)
    }
    return replace(pool, candidates=candidates, scores={**pool.scores, **again})


def _in_order(out: Path, order: list[str]) -> None:
    """Put the pools of a file into this order, one line each; pools of other prompts stay behind them."""
    if not out.exists():
        write_pools(out, ())
        return
    with PoolFile(out) as pools:
        wanted = set(order)
        write_pools(out, (pools[id_] for id_ in [*order, *(id_ for id_ in pools if id_ not in wanted)] if id_ in pools))
