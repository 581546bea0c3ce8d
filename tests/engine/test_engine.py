"""The engine: N draws, every failure on the pool, scores as candidates land, budgets obeyed, nothing left over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon.budgets import Fixed, Threshold
from bon.engine import Plan, run, run_many, score_pool, score_pools
from bon.errors import ModelError, NoCandidates, RateLimited, SpecError
from bon.events import Drawn, Event, Scored, Spending, tell
from bon.testing import virtual_time
from bon.types import Candidate, Draw, Failure, Pool, Prompt, Score, Usage

PROMPT = Prompt(id="p", messages=({"role": "user", "content": "2+2?"},))


class Draws:
    """A generator whose draw `i` is what `make(i)` gives, landing in the order of `delays`; it keeps a ledger."""

    name = "draws"

    def __init__(
        self, make: Callable[[int], Draw] | None = None, *, delay: Callable[[int], float] | None = None
    ) -> None:
        self.make = make or candidate
        self.delay = delay or (lambda index: 0.0)
        self.calls: list[tuple[int, int]] = []
        self.started: list[int] = []
        self.aborted: list[int] = []

    async def __call__(self, prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
        self.calls.append((start, n))
        waiting = set(range(start, start + n))
        self.started.extend(waiting)
        try:
            for index in sorted(waiting, key=self.delay):
                await asyncio.sleep(self.delay(index))
                waiting.discard(index)
                yield self.make(index)
        finally:
            self.aborted.extend(waiting)


def candidate(index: int, text: str | None = None) -> Candidate:
    return Candidate(
        index=index,
        text=str(index) if text is None else text,
        usage=Usage(prompt_tokens=10, completion_tokens=index + 1),
        generator="draws",
    )


def failure(index: int) -> Failure:
    return Failure.of(RateLimited("429"), stage="generate", index=index, by="draws")


class ByIndex:
    """A pointwise scorer: a candidate's score is its index over ten."""

    pointwise = True
    instant = True

    def __init__(self) -> None:
        self.saw: list[int] = []

    async def __call__(self, pool: Pool) -> Sequence[Score]:
        self.saw += [c.index for c in pool.candidates]
        return [Score(value=c.index / 10) for c in pool.candidates]


class Wide:
    """A budget that lets three draws more than are surely needed be under way."""

    wave = 3

    def __init__(self, rule: Callable[[Pool], int]) -> None:
        self.rule = rule

    def __call__(self, pool: Pool) -> int:
        return self.rule(pool)


class SlowByIndex(ByIndex):
    """The same after a while."""

    instant = False

    async def __call__(self, pool: Pool) -> Sequence[Score]:
        await asyncio.sleep(0.002)
        return await super().__call__(pool)


class Share:
    """A pool scorer: one over the number of candidates it sees."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    async def __call__(self, pool: Pool) -> Sequence[Score]:
        self.sizes.append(len(pool))
        return [Score(value=1 / len(pool))] * len(pool)


async def test_results_stand_in_the_order_of_their_index_and_not_of_their_landing() -> None:
    pool = await run(PROMPT, Plan(generator=Draws(delay=lambda i: (8 - i) / 1000), budget=Fixed(8)))
    assert [c.index for c in pool.candidates] == list(range(8))
    assert pool.spent.usage == Usage(prompt_tokens=80, completion_tokens=36)
    assert pool.spent.calls == 8
    assert pool.spent.seconds > 0


@pytest.mark.parametrize("k", range(9))
async def test_k_of_n_arriving_is_a_result(k: int) -> None:
    generator = Draws(lambda i: candidate(i) if i < k else failure(i))
    plan = Plan(generator=generator, budget=Fixed(8), scorers={"s": ByIndex()})
    if k == 0:
        with pytest.raises(NoCandidates, match="RateLimited: 429") as caught:
            await run(PROMPT, plan)
        pool = caught.value.pool
    else:
        pool = await run(PROMPT, plan)
    assert [c.index for c in pool.candidates] == list(range(k))
    assert [f.index for f in pool.failures] == list(range(k, 8))
    assert len(pool.scores.get("s", ())) == k


async def test_too_few_candidates_is_an_error_with_the_pool() -> None:
    plan = Plan(generator=Draws(lambda i: candidate(i) if i < 2 else failure(i)), budget=Fixed(8), min_candidates=3)
    with pytest.raises(NoCandidates, match="2 candidates arrived, at least 3 wanted") as caught:
        await run(PROMPT, plan)
    assert len(caught.value.pool) == 2


async def test_a_generator_that_breaks_half_way_costs_only_the_rest() -> None:
    def make(index: int) -> Draw:
        if index == 3:
            raise LookupError("a bug of theirs")
        return candidate(index)

    pool = await run(PROMPT, Plan(generator=Draws(make), budget=Fixed(8)))
    assert [c.index for c in pool.candidates] == [0, 1, 2]
    assert {f.error for f in pool.failures} == {"LookupError"}
    assert [f.index for f in pool.failures] == [3, 4, 5, 6, 7]


async def test_an_endpoint_that_ignores_n_is_not_silently_best_of_1() -> None:
    async def only_one(prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
        yield candidate(start)

    pool = await run(PROMPT, Plan(generator=only_one, budget=Fixed(8)))
    assert len(pool) == 1
    assert [f.index for f in pool.failures] == list(range(1, 8))
    assert "must yield all" in pool.failures[0].message


async def test_surplus_and_repeated_draws_are_dropped() -> None:
    async def too_many(prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
        for index in [*range(n + 3), 0, 1]:
            yield candidate(index)

    pool = await run(PROMPT, Plan(generator=too_many, budget=Fixed(4)))
    assert [c.index for c in pool.candidates] == [0, 1, 2, 3]
    assert pool.spent.calls == 4


async def test_an_answer_without_finish_reason_is_never_a_candidate() -> None:
    generator = Draws(lambda i: replace(candidate(i), finish_reason=None) if i % 2 else candidate(i))
    scorer = ByIndex()
    pool = await run(PROMPT, Plan(generator=generator, budget=Fixed(4), scorers={"s": scorer}))
    assert [c.index for c in pool.candidates] == [0, 2]
    assert [f.error for f in pool.failures] == ["Truncated", "Truncated"]
    assert sorted(scorer.saw) == [0, 2]


@pytest.mark.parametrize("error", [ModelError("no such model"), SpecError("what?")])
async def test_what_can_never_succeed_is_raised(error: Exception) -> None:
    def make(index: int) -> Draw:
        raise error

    with pytest.raises(type(error)):
        await run(PROMPT, Plan(generator=Draws(make)))


@pytest.mark.parametrize("scorer", [ByIndex(), SlowByIndex()])
async def test_pointwise_scorers_run_as_candidates_land(scorer: ByIndex) -> None:
    order: list[str] = []

    def hook(event: Event) -> None:
        order.append("draw" if isinstance(event, Drawn) else "score" if isinstance(event, Scored) else "")

    plan = Plan(generator=Draws(delay=lambda i: i / 100), budget=Fixed(4), scorers={"s": scorer}, hook=hook)
    pool = await run(PROMPT, plan)
    assert [o for o in order if o] == ["draw", "score"] * 4
    assert pool.values("s") == (0.0, 0.1, 0.2, 0.3)


async def test_pool_scorers_run_once_after_the_last_draw() -> None:
    scorer = Share()
    pool = await run(PROMPT, Plan(generator=Draws(), budget=Fixed(4), scorers={"share": scorer}))
    assert scorer.sizes == [4]
    assert pool.values("share") == (0.25,) * 4


class Breaks:
    """A scorer that does one of the things scorers must not do."""

    def __init__(self, *, pointwise: bool, how: str) -> None:
        self.pointwise = pointwise
        self.how = how

    async def __call__(self, pool: Pool) -> Sequence[Score]:
        if self.how == "raises":
            raise ZeroDivisionError("division by zero")
        if self.how == "too few":
            return []
        return [0.5] * len(pool)  # type: ignore[list-item]  # what a careless scorer does


@pytest.mark.parametrize("pointwise", [True, False])
@pytest.mark.parametrize("how", ["raises", "too few", "no Score"])
async def test_a_scorer_that_fails_leaves_reasons_and_a_failure(pointwise: bool, how: str) -> None:
    scorer = Breaks(pointwise=pointwise, how=how)
    plan = Plan(generator=Draws(), budget=Fixed(3), scorers={"bad": scorer, "good": ByIndex()})
    pool = await run(PROMPT, plan)
    assert pool.values("good") == (0.0, 0.1, 0.2)
    assert pool.values("bad") == (None, None, None)
    expected = "ZeroDivisionError" if how == "raises" else "ScoreError"
    assert all(score.reason.startswith(expected) for score in pool.scores["bad"])
    assert {(f.stage, f.by, f.error) for f in pool.failures} == {("score", "bad", expected)}
    assert len(pool.failures) == (3 if pointwise else 1)


async def test_answers_are_extracted_and_an_extractor_that_breaks_is_a_failure() -> None:
    def extract(text: str) -> str | None:
        if text == "1":
            raise LookupError("a bug")
        return None if text == "2" else text

    pool = await run(PROMPT, Plan(generator=Draws(), budget=Fixed(4), extract=extract))
    assert [c.answer for c in pool.candidates] == ["0", None, None, "3"]
    assert [(f.stage, f.index, f.error) for f in pool.failures] == [("extract", 1, "LookupError")]


def test_a_threshold_stops_drawing_and_cancels_the_surplus() -> None:
    generator = Draws(delay=lambda i: i / 200)
    plan = Plan(generator=generator, budget=Threshold(0.3, most=32, wave=3), scorers={"s": ByIndex()})
    pool = virtual_time(run(PROMPT, plan))
    landed = {c.index for c in pool.candidates}
    assert [value for value in pool.values("s") if value is not None and value >= 0.3], "it was reached"
    assert sum(index >= 3 for index in landed) == 1, "and nothing landed after that"
    assert set(generator.started) == set(range(len(landed) + 3)), "one needed and three beyond were in flight"
    assert set(generator.aborted) == set(generator.started) - landed


@pytest.mark.parametrize("scorer", [ByIndex(), SlowByIndex()])
async def test_a_threshold_never_reached_draws_exactly_the_most(scorer: ByIndex) -> None:
    generator = Draws()
    pool = await run(PROMPT, Plan(generator=generator, budget=Threshold(9.0, most=10, wave=3), scorers={"s": scorer}))
    assert [c.index for c in pool.candidates] == list(range(10))
    assert generator.aborted == []


async def test_what_has_landed_together_is_kept_though_the_first_of_it_would_do() -> None:
    """It is paid for: the budget is asked when all of it is in the pool."""
    asked: list[int] = []

    def one_will_do(pool: Pool) -> int:
        asked.append(len(pool))
        return 1 - len(pool)

    async def at_once(prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
        for index in range(start, start + n):
            yield candidate(index)

    plan = Plan(generator=at_once, budget=Wide(one_will_do), scorers={"s": ByIndex()})
    pool = await run(PROMPT, plan)
    assert asked == [0, 4]
    assert [c.index for c in pool.candidates] == [0, 1, 2, 3]
    assert pool.values("s") == (0.0, 0.1, 0.2, 0.3)
    assert pool.spent.calls == 4


async def test_a_budget_that_reads_a_pool_scorer_gets_it_after_every_wave() -> None:
    share = Share()
    budget = Threshold(2.0, by="share", most=12, wave=3)
    pool = await run(PROMPT, Plan(generator=Draws(), budget=budget, scorers={"share": share}))
    assert len(pool) == 12
    assert share.sizes == [4, 8, 12]


async def test_a_pool_scorer_that_never_scores_does_not_keep_the_engine_busy() -> None:
    async def mute(pool: Pool) -> Sequence[Score]:
        return [Score.missing("no opinion")] * len(pool)

    budget = Threshold(0.5, by="mute", most=8, wave=3)
    pool = await run(PROMPT, Plan(generator=Draws(), budget=budget, scorers={"mute": mute}))
    assert pool.values("mute") == (None,) * 8


async def test_a_pool_is_continued_and_nothing_is_drawn_or_scored_twice() -> None:
    scorer = ByIndex()
    first = await run(PROMPT, Plan(generator=Draws(), budget=Fixed(8), scorers={"s": scorer}))
    generator = Draws()
    second = await run(first, Plan(generator=generator, budget=Fixed(16), scorers={"s": scorer}))
    whole = await run(PROMPT, Plan(generator=Draws(), budget=Fixed(16), scorers={"s": ByIndex()}))
    assert generator.calls == [(8, 8)]
    assert scorer.saw == list(range(16))
    assert second.candidates == whole.candidates
    assert second.scores == whole.scores
    assert second.spent.usage == whole.spent.usage


async def test_holes_are_filled_before_new_indices_are_drawn() -> None:
    first = Pool(prompt=PROMPT, candidates=(candidate(0), candidate(3)))
    generator = Draws()
    pool = await run(first, Plan(generator=generator, budget=Fixed(6)))
    assert [c.index for c in pool.candidates] == list(range(6))
    assert generator.calls == [(1, 2), (4, 2)]


async def test_cancelling_a_run_aborts_its_draws_and_its_scorers() -> None:
    ended: list[str] = []

    class Stuck:
        pointwise = True

        async def __call__(self, pool: Pool) -> Sequence[Score]:
            try:
                await asyncio.sleep(60)
            finally:
                ended.append("scorer")
            return []

    generator = Draws(delay=lambda i: 0.0 if i == 0 else 60.0)
    task = asyncio.ensure_future(run(PROMPT, Plan(generator=generator, budget=Fixed(8), scorers={"s": Stuck()})))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(generator.aborted) == list(range(1, 8))
    assert ended == ["scorer"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_many_prompts_run_at_a_time_but_never_more_than_allowed() -> None:
    flying = most = 0

    async def generator(prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(0.001)
        flying -= 1
        for index in range(start, start + n):
            yield candidate(index)

    read = 0

    def prompts() -> Sequence[Prompt]:
        nonlocal read
        for i in range(40):
            read += 1
            yield replace(PROMPT, id=str(i))

    ids = []
    async for pool in run_many(prompts(), Plan(generator=generator, budget=Fixed(2)), concurrency=4):
        ids.append(pool.prompt.id)
        assert read <= len(ids) + 5, "prompts are read as places become free"
    assert sorted(ids, key=int) == [str(i) for i in range(40)]
    assert most == 4


async def test_a_prompt_without_candidates_is_a_pool_with_its_failures() -> None:
    plan = Plan(generator=Draws(failure), budget=Fixed(2))
    pools = [pool async for pool in run_many([PROMPT], plan)]
    assert len(pools) == 1
    assert not pools[0].candidates
    assert len(pools[0].failures) == 2


async def test_scoring_alone_keeps_the_scores_there_are() -> None:
    scorer = ByIndex()
    pool = Pool(prompt=PROMPT, candidates=(candidate(0), candidate(1)), scores={"old": (Score(value=1.0),) * 2})
    scored = await score_pool(pool, {"s": scorer})
    again = await score_pool(scored, {"s": scorer, "share": Share()})
    assert again.scores.keys() == {"old", "s", "share"}
    assert scorer.saw == [0, 1]
    async for pool in score_pools([again], {"s": scorer}):
        assert pool.scores == again.scores


async def test_the_spending_of_scorers_is_counted() -> None:
    class Paid:
        pointwise = True

        async def __call__(self, pool: Pool) -> Sequence[Score]:
            return [Score(value=1.0, usage=Usage(prompt_tokens=100, completion_tokens=1), seconds=0.1)] * len(pool)

    spent: list[Spending] = []
    plan = Plan(
        generator=Draws(), budget=Fixed(4), scorers={"paid": Paid()},
        hook=lambda event: spent.append(event) if isinstance(event, Spending) else None,
    )  # fmt: skip
    pool = await run(PROMPT, plan)
    assert pool.spent.usage == Usage(prompt_tokens=440, completion_tokens=14)
    assert pool.spent.calls == 8
    assert sum((event.usage for event in spent if event.usage), Usage()) == pool.spent.usage


async def test_a_hook_that_breaks_costs_no_draw() -> None:
    def hook(event: Event) -> None:
        raise RuntimeError("a bug in a logger")

    pool = await run(PROMPT, Plan(generator=Draws(), budget=Fixed(4), scorers={"s": ByIndex()}, hook=hook))
    assert len(pool) == 4
    assert {(f.stage, f.error) for f in pool.failures} == {("hook", "RuntimeError")}


async def test_a_generator_that_breaks_when_it_is_called_is_a_failure_of_its_draws() -> None:
    def broken(prompt: Prompt, n: int, *, start: int = 0) -> AsyncGenerator[Draw, None]:
        raise LookupError("a bug")

    with pytest.raises(NoCandidates, match="LookupError: a bug"):
        await run(PROMPT, Plan(generator=broken, budget=Fixed(2)))


@given(
    kinds=st.lists(st.sampled_from("cfts"), min_size=1, max_size=12),
    delays=st.lists(st.integers(0, 3), min_size=12, max_size=12),
)
def test_every_draw_ends_up_exactly_once_whatever_happens(kinds: list[str], delays: list[int]) -> None:
    def make(index: int) -> Draw:
        kind = kinds[index]
        if kind == "f":
            return failure(index)
        return replace(candidate(index), finish_reason=None) if kind == "t" else candidate(index)

    async def go() -> Pool:
        plan = Plan(
            generator=Draws(make, delay=lambda i: delays[i] / 10000),
            budget=Fixed(len(kinds)),
            scorers={"a": ByIndex(), "b": SlowByIndex(), "c": Share()},
            min_candidates=0,
        )
        return await run(PROMPT, plan)

    pool = asyncio.run(go())
    assert sorted([c.index for c in pool.candidates] + [f.index for f in pool.failures if f.index is not None]) == list(
        range(len(kinds))
    )
    assert [c.index for c in pool.candidates] == [i for i, kind in enumerate(kinds) if kind in "cs"]
    assert all(None not in pool.values(name) for name in pool.scores)


@pytest.mark.parametrize(("calls", "shared"), [(1, 3), (6, 3), (2, 0), (3, 3), (1, 1)])
async def test_calls_are_counted_as_they_were_made_however_many_scores_share_them(calls: int, shared: int) -> None:
    """A listwise judge makes one call for all scores, a pairwise one n(n - 1); one that fails has no usage to show."""
    usage = Usage(prompt_tokens=10, completion_tokens=2)

    async def judge(pool: Pool) -> Sequence[Score]:
        made = [calls, *[0] * (len(pool) - 1)]
        return [Score(value=1.0, usage=usage if i < shared else None, calls=n) for i, n in enumerate(made)]

    plan = Plan(generator=Draws(), budget=Fixed(3), scorers={"judge": judge})
    pool = await run(PROMPT, plan)
    assert pool.spent.calls == 3 + calls
    assert pool.spent.usage == Usage(prompt_tokens=30 + 10 * shared, completion_tokens=6 + 2 * shared)


async def test_calls_that_a_scorer_tells_of_are_counted_beside_those_of_its_scores() -> None:
    async def hedging(pool: Pool) -> Sequence[Score]:
        tell(Spending(prompt_id=pool.prompt.id, by="spare", usage=None, seconds=0.0, calls=2))
        return [Score(value=1.0, usage=Usage(prompt_tokens=1))] * len(pool)

    pool = await run(PROMPT, Plan(generator=Draws(), budget=Fixed(3), scorers={"judge": hedging}))
    assert pool.spent.calls == 3 + 3 + 2
