"""The loop of one prompt: draw, extract, score as candidates land, ask the budget, cancel the surplus."""

from __future__ import annotations

import asyncio
import time
from bisect import insort
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter

from bon.concurrency import Merged, cancel, close
from bon.engine.account import Account
from bon.engine.indices import free_runs
from bon.engine.lacking import NOT_SCORED, lacking
from bon.engine.landing import landed
from bon.engine.plan import Plan
from bon.errors import HOPELESS, BadReply, CapReached, StoreError, Truncated
from bon.events import Drawn, Event, Failed, Scored, Spending, listening
from bon.generate.metered import metered
from bon.ledger import charged, charging
from bon.protocols import Scorer
from bon.types import Candidate, Draw, Failure, Pool, Usage

__all__ = ["Loop"]


class Loop:
    """The mutable middle of one run; `snapshot` is the Pool it has come to."""

    def __init__(self, pool: Pool, plan: Plan) -> None:
        self.plan = plan
        self.generator = metered(plan.generator)
        self.start = pool
        self.failures = list(pool.failures)
        self.candidates = list(pool.candidates)
        self.scores = {
            name: {candidate.index: score for candidate, score in zip(pool.candidates, scores, strict=True)}
            for name, scores in pool.scores.items()
        }
        self.taken: set[int | None] = {candidate.index for candidate in pool.candidates}
        self.taken.update(failure.index for failure in pool.failures)
        self.account = Account(pool.spent)
        self.started = time.monotonic()
        self.flying: set[int] = set()
        self.told: dict[int, list[Failure]] = {}
        """What went wrong with draws under way, as their generators tell."""
        self.draws: set[asyncio.Task[None]] = set()
        self.unscored: set[tuple[str, int]] = set()
        self.judged: dict[str, int] = {}
        self.merged: Merged[Draw | Scored] = Merged()
        self.pointwise = {name: s for name, s in plan.scorers.items() if getattr(s, "pointwise", False)}
        self.poolwise = {name: s for name, s in plan.scorers.items() if name not in self.pointwise}
        self.instant = {name for name, scorer in self.pointwise.items() if getattr(scorer, "instant", False)}
        self.by: str | None = getattr(plan.budget, "by", None)
        self.wave: int = getattr(plan.budget, "wave", 0)
        self.most: int | None = getattr(plan.budget, "most", None)

    def snapshot(self) -> Pool:
        return Pool(
            prompt=self.start.prompt,
            candidates=tuple(self.candidates),
            scores={
                name: tuple([found.get(candidate.index, NOT_SCORED) for candidate in self.candidates])
                for name, found in self.scores.items()
            },
            failures=tuple(self.failures),
            spent=self.account.spent(seconds=time.monotonic() - self.started),
        )

    async def finish(self) -> Pool:
        """Draw what the budget wants, score what has no score yet, and return the pool."""
        with listening(self._overhear), charging(self.plan.ledger or charged()):
            try:
                if self.plan.extract is not None:
                    self.candidates = [await self._extracted(candidate) for candidate in self.candidates]
                self._score(self.pointwise)
                await self._ask()
                await self._drain(ask=True)
                self._score(self.poolwise)
                await self._drain(ask=False)
            finally:
                await self.merged.aclose()
        self.failures.sort(key=lambda f: (f.stage, f.by or "", -1 if f.index is None else f.index))
        return self.snapshot()

    async def _drain(self, *, ask: bool) -> None:
        async for item in self.merged:
            if isinstance(item, Scored):
                self._land_scores(item)
            else:
                await self._land_draw(item)
            if ask and not self.merged.landed:  # what has landed too is paid for: the budget is to see all of it
                await self._ask()

    # Drawing

    async def _ask(self) -> None:
        """Ask the budget how many more are wanted; start them, or cancel the surplus."""
        if self.by in self.poolwise:
            # The budget reads a score that needs the whole pool: it is asked when a wave has landed and been scored.
            if self.flying or any(name == self.by for name, _ in self.unscored):
                return
            if self._score({self.by: self.poolwise[self.by]}):
                return
        pool = self.snapshot()
        more = self.plan.budget(pool)
        if more <= 0:
            await cancel(self.draws)
            self.draws.clear()
            self.flying.clear()
            self.told.clear()
            return
        waiting = len(self.flying) + (len({index for _, index in self.unscored}) if self.unscored else 0)
        count = more + self.wave - waiting
        if count > 0:
            self._draw(count if self.most is None else min(count, self.most - len(self.flying) - pool.landed))

    def _draw(self, count: int) -> None:
        for first, length in free_runs(self.taken, count):
            indices = range(first, first + length)
            self.taken.update(indices)
            self.flying.update(indices)
            self.draws.add(self.merged.add(self._fly(first, length)))

    async def _fly(self, start: int, n: int) -> AsyncGenerator[Draw | Scored, None]:
        """The draws of one call of the generator: exactly n of them, whatever the generator does."""
        generator = self.generator
        by = str(getattr(generator, "name", "") or "generator")
        missing = set(range(start, start + n))
        error: Exception = BadReply(f"generator {by!r} ended before this draw; it must yield all it is asked for")
        draws: AsyncIterator[Draw] | None = None
        try:
            draws = generator(self.start.prompt, n, start=start)
            async for draw in draws:
                if draw.index in missing:
                    missing.discard(draw.index)
                    yield _whole(draw, by)
        except HOPELESS:
            raise  # no draw could ever succeed: the whole run is wrong, not this draw
        except Exception as caught:  # noqa: BLE001  # a failure is data
            error = caught
        finally:
            if draws is not None:
                await close(draws)
        for index in sorted(missing):
            yield Failure.of(error, stage="generate", index=index, by=by)

    async def _land_draw(self, draw: Draw) -> None:
        if draw.index not in self.flying:
            return  # it landed in the moment in which it was cancelled
        self.flying.discard(draw.index)
        self.failures += self.told.pop(draw.index, ())
        if isinstance(draw, Failure):
            if draw.error != CapReached.__name__:  # which was never sent
                self.account.add(None)
            self.failures.append(draw)
        else:
            if not draw.cached:
                self._pay(draw.generator, draw.usage, draw.seconds.total if draw.seconds else 0.0)
            if self.plan.extract is not None:
                draw = await self._extracted(draw)
            insort(self.candidates, draw, key=attrgetter("index"))
        self._tell(Drawn(prompt_id=self.start.prompt.id, draw=draw))
        if isinstance(draw, Candidate):
            for name, scorer in self.pointwise.items():
                if name in self.instant:
                    self._land_scores(await self._judge(name, scorer, (draw,)))
                else:
                    self._start(name, scorer, (draw,))

    async def _extracted(self, candidate: Candidate) -> Candidate:
        """The candidate with its answer read; one that has an answer keeps it."""
        extract = self.plan.extract
        if extract is None or candidate.answer is not None:
            return candidate
        self.failures = [f for f in self.failures if (f.stage, f.index) != ("extract", candidate.index)]
        try:
            read: Callable[[str], Awaitable[str | None]] | None = getattr(extract, "read", None)
            answer = extract(candidate.text) if read is None else await read(candidate.text)
        except Exception as error:  # noqa: BLE001  # a failure is data
            self.failures.append(Failure.of(error, stage="extract", index=candidate.index))
            answer = None
        return candidate if answer == candidate.answer else replace(candidate, answer=answer)

    # Scoring

    def _score(self, scorers: Mapping[str, Scorer]) -> bool:
        """Start scorers on what they have not scored; a pool scorer always sees all candidates.

        A pool scorer is not asked twice in one run about the same candidates, even if it failed on some.
        """
        if not scorers:
            return False
        pool, started = self.snapshot(), False
        for name, scorer in scorers.items():
            group = lacking(pool, name)
            if name in self.poolwise:
                group = pool.candidates if group and self.judged.get(name) != len(pool) else ()
                self.judged[name] = len(pool)
            if name in self.pointwise and name not in self.instant:
                for candidate in group:  # one by one: each score is known, and recorded, when it is there
                    self._start(name, scorer, (candidate,))
            elif group:
                self._start(name, scorer, group)
            started = started or bool(group)
        return started

    def _start(self, name: str, scorer: Scorer, group: Sequence[Candidate]) -> None:
        self.unscored.update((name, candidate.index) for candidate in group)
        self.merged.add(self._judged(name, scorer, group))

    async def _judged(
        self, name: str, scorer: Scorer, group: Sequence[Candidate]
    ) -> AsyncGenerator[Draw | Scored, None]:
        yield await self._judge(name, scorer, group)

    async def _judge(self, name: str, scorer: Scorer, group: Sequence[Candidate]) -> Scored:
        pool = Pool(prompt=self.start.prompt, candidates=tuple(group)) if name in self.pointwise else self.snapshot()
        keep = None
        if self.plan.keep is not None and name not in self.instant:
            keep = self.plan.keep(pool.prompt.id, name, group[0].index if name in self.pointwise else None)
        return await landed(scorer, pool, group, name=name, hook=self._overhear, keep=keep)

    def _land_scores(self, scored: Scored) -> None:
        name, indices, scores = scored.scorer, scored.indices, scored.scores
        if self.unscored:
            self.unscored.difference_update([(name, index) for index in indices])
        if self.failures:
            asked = {None, *indices}
            self.failures = [
                failure
                for failure in self.failures
                if not (failure.stage == "score" and failure.by == name and failure.index in asked)
            ]
        self.failures += scored.failures
        for score in scores:
            if score.paid_calls or (score.usage is not None and not score.cached):
                self._pay(name, score.usage, score.seconds or 0.0, calls=score.paid_calls)
        self.scores.setdefault(name, {}).update(zip(indices, scores, strict=True))
        self._tell(scored)

    def _pay(self, by: str, usage: Usage | None, seconds: float, *, calls: int = 1) -> None:
        self.account.add(usage, calls=calls)
        self._tell(Spending(prompt_id=self.start.prompt.id, by=by, usage=usage, seconds=seconds))

    def _overhear(self, event: Event) -> None:
        """What generators tell on their own: retries, failures on the way, what was paid for what could not be used."""
        if isinstance(event, Spending):
            self.account.add(event.usage, calls=event.calls)
        elif isinstance(event, Failed):
            index = event.failure.index
            if event.failure.stage == "generate" and index in self.flying:
                self.told.setdefault(index, []).append(event.failure)  # a failure of a draw says that it has ended
            else:
                self.failures.append(event.failure)
        self._tell(event)

    def _tell(self, event: Event) -> None:
        """Tell the hook; one that breaks costs nobody a draw, and is a failure like any other."""
        try:
            self.plan.hook(event)
        except StoreError:
            raise  # what keeps the run's record cannot do so any more
        except Exception as error:  # noqa: BLE001  # a failure is data
            failure = Failure.of(error, stage="hook", by=type(event).__name__)
            if failure not in self.failures:
                self.failures.append(failure)


def _whole(draw: Draw, by: str) -> Draw:
    """The draw, unless it is an answer without an end: that is a failure, never a candidate."""
    if isinstance(draw, Candidate) and draw.finish_reason is None:
        error = Truncated("the answer ended without a finish_reason, so it is not known to be whole")
        return Failure.of(error, stage="generate", index=draw.index, by=by)
    return draw
