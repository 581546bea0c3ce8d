"""Runs over files from Python: order, caps, continuing, and the same file whatever happened on the way."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bon
from bon.answers import extractor
from bon.api import make_job
from bon.api.files import Progress, sample_file, score_file
from bon.api.job import Job, build_scorers
from bon.errors import CapReached, StoreError, UsageError
from bon.ledger import Caps, Ledger
from bon.registry import Builder, Config
from bon.store.journal import Journal, journal_path
from bon.store.pools import PoolFile, read_pools, same_pools, write_pools
from bon.testing import Scripted, virtual_time
from bon.types import Candidate, Failure, Pool, Prompt, Score

PROMPTS = [Prompt(id=f"q{i}", messages=({"role": "user", "content": f"What is {i}?"},)) for i in range(6)]


def text_of(prompt: Prompt, index: int) -> str:
    return f"{prompt.id} says {index}"


def job_of(generator: Scripted, *, n: int = 3, scorer: object = "heuristic") -> Job:
    return make_job(Builder(Config(), n=n), generator=generator, scorer=scorer)  # type: ignore[arg-type]


async def run(out: Path, job: Job, prompts: list[Prompt] = PROMPTS, **options: object) -> list[Progress]:
    return [progress async for progress in sample_file(prompts, out, job, **options)]  # type: ignore[arg-type]


def ids(out: Path) -> list[str]:
    return [json.loads(line)["id"] for line in out.read_text().splitlines()]


def backwards(prompt: Prompt, index: int) -> float:
    """Later prompts are done first."""
    return 1.0 + 0.1 * (len(PROMPTS) - int(prompt.id[1:])) + index / 100


def test_pools_stand_in_the_order_of_the_input_whichever_is_done_first(tmp_path: Path) -> None:
    out = tmp_path / "out"
    steps = virtual_time(run(out, job_of(Scripted(text_of, delay=backwards))))
    assert [step.pool.prompt.id for step in steps if step.pool] == ["q5", "q4", "q3", "q2", "q1", "q0"]
    assert ids(out) == ["q0", "q1", "q2", "q3", "q4", "q5"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_pools_that_wait_are_kept_on_disk_where_they_are_too_large_for_memory(tmp_path: Path) -> None:
    out = tmp_path / "out"
    large = Scripted(lambda prompt, index: f"{text_of(prompt, index)} {'x' * 150_000}", delay=backwards)

    async def waiting_on_disk() -> int:
        journal, most = Journal(out), 0
        with journal:
            async for _ in sample_file(PROMPTS, out, job_of(large), journal=journal):
                most = max(most, sum(journal.parked(prompt.id) is not None for prompt in PROMPTS))
        return most

    assert virtual_time(waiting_on_disk()) == 3, "of the five that wait, two are within the megabyte at hand"
    assert ids(out) == [prompt.id for prompt in PROMPTS]


def test_unordered_pools_stand_as_they_were_done(tmp_path: Path) -> None:
    out = tmp_path / "out"
    virtual_time(run(out, job_of(Scripted(text_of, delay=backwards)), unordered=True))
    assert ids(out) == ["q5", "q4", "q3", "q2", "q1", "q0"]
    generator = Scripted(text_of, delay=backwards)
    virtual_time(run(out, job_of(generator), unordered=True))
    assert generator.started == []
    assert ids(out) == ["q5", "q4", "q3", "q2", "q1", "q0"]
    virtual_time(run(out, job_of(generator)))
    assert ids(out) == ["q0", "q1", "q2", "q3", "q4", "q5"], "who asks for order gets it, without a draw"


def test_a_pool_that_waits_for_its_turn_outlives_the_run(tmp_path: Path) -> None:
    out = tmp_path / "out"

    async def stopped() -> None:
        async with aclosing(sample_file(PROMPTS, out, job_of(Scripted(text_of, delay=backwards)))) as steps:
            async for _ in steps:
                break  # q5 is done, and waits for all the others

    virtual_time(stopped())
    assert not out.exists()
    again = Scripted(text_of, delay=backwards)
    virtual_time(run(out, job_of(again)))
    assert ("q5", 0) not in again.started
    assert ids(out) == [prompt.id for prompt in PROMPTS]


def test_a_cap_stops_cleanly_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    virtual_time(run(whole, job_of(Scripted(text_of, delay=backwards))))
    drawn: Counter[tuple[str, int]] = Counter()
    for cap in (0, 7, 7, 11, 17):
        generator = Scripted(text_of, delay=backwards)
        with Journal(out) as journal:
            ledger = Ledger(Caps(calls=cap), spent=journal.spent)
            with pytest.raises(CapReached, match=r"raise it to go on"):
                virtual_time(run(out, job_of(generator), ledger=ledger, journal=journal, concurrency=2))
        drawn.update(generator.started)
        assert sorted(generator.started) == sorted(generator.finished), "what was under way has landed"
        assert sum(drawn.values()) == cap, "a continued run counts what it spent before, and spends all it may"
        pools = list(read_pools(out)) if out.exists() else []
        assert all(len(pool) == 3 and not pool.failures for pool in pools), "no half pools"
    generator = Scripted(text_of, delay=backwards)
    virtual_time(run(out, job_of(generator)))
    drawn.update(generator.started)
    assert set(drawn.values()) == {1}, "nothing was paid for twice"
    assert same_pools(read_pools(out), read_pools(whole))
    assert ids(out) == ids(whole)


def test_a_ledger_that_others_share_leaves_each_output_its_own_account(tmp_path: Path) -> None:
    async def both() -> Ledger:
        ledger = Ledger()
        for name in ("a", "b"):
            with Journal(tmp_path / name) as journal:
                await run(tmp_path / name, job_of(Scripted(text_of)), ledger=ledger, journal=journal)
                assert journal.spent.calls == 18
        return ledger

    assert asyncio.run(both()).spent.calls == 36


def test_two_runs_on_one_output_are_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    out, generator = tmp_path / "out", Scripted(text_of)
    with Journal(out), pytest.raises(UsageError, match="in use"):
        asyncio.run(run(out, job_of(generator)))
    assert generator.started == []


def test_a_prompt_that_has_changed_since_is_refused_and_what_was_paid_for_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"

    async def stopped() -> None:
        slow = Scripted(text_of, delay=lambda prompt, index: float(index))
        async with asyncio.timeout(1.5):
            await run(out, job_of(slow), PROMPTS[:1])

    with pytest.raises(TimeoutError):
        virtual_time(stopped())
    assert journal_path(out).exists()
    changed = [Prompt(id="q0", messages=({"role": "user", "content": "Something else?"},))]
    generator = Scripted(text_of)
    with pytest.raises(UsageError, match="another prompt"):
        asyncio.run(run(out, job_of(generator), changed))
    asyncio.run(run(out, job_of(generator), PROMPTS[:1]))
    assert generator.started == [("q0", 2)], "what had landed before is drawn once"
    with pytest.raises(UsageError, match="another messages"):
        asyncio.run(run(out, job_of(generator), changed))


async def score(source: Path, out: Path, *scorers: object, **options: object) -> None:
    built = build_scorers(Builder(Config()), scorers)  # type: ignore[arg-type]
    with PoolFile(source) as given:
        async for _ in score_file(given, out, built, **options):  # type: ignore[arg-type]
            pass


def test_answers_that_the_run_itself_reads_do_not_hide_what_an_interrupted_one_scored(tmp_path: Path) -> None:
    source, out = tmp_path / "pools", tmp_path / "scored"
    asyncio.run(run(source, job_of(Scripted(text_of), scorer=None)))

    @bon.pointwise
    async def slow(prompt: Prompt, candidate: Candidate) -> float:
        await asyncio.sleep(60.0 if prompt.id == "q0" else 1.0)
        return 1.0

    async def whole(target: Path) -> None:
        await score(source, target, slow, "agreement", extract=extractor("any"), concurrency=6)

    async def stopped(target: Path) -> None:
        async with asyncio.timeout(10):
            await whole(target)

    for target in (out, source):
        with pytest.raises(TimeoutError):
            virtual_time(stopped(target))
        virtual_time(whole(target))
        pools = list(read_pools(target))
        assert [pool.prompt.id for pool in pools] == [prompt.id for prompt in PROMPTS]
        assert all(set(pool.scores) == {"slow", "agreement"} for pool in pools)
        assert all(value is not None for pool in pools for value in pool.values("agreement"))


def test_an_output_that_is_replaced_while_a_run_writes_to_it_is_an_error_and_costs_no_draw(tmp_path: Path) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    asyncio.run(run(whole, job_of(Scripted(text_of))))

    async def meddled() -> None:
        async with aclosing(sample_file(PROMPTS, out, job_of(Scripted(text_of)), concurrency=1)) as steps:
            async for step in steps:
                if step.done == 2:
                    out.replace(tmp_path / "elsewhere")

    with pytest.raises(StoreError, match="replaced or taken away"):
        asyncio.run(meddled())
    generator = Scripted(text_of)
    asyncio.run(run(out, job_of(generator)))
    assert generator.started == [], "the journal has all of it"
    assert same_pools(read_pools(out), read_pools(whole))


def test_the_ledger_around_a_run_is_charged(tmp_path: Path) -> None:
    async def capped() -> None:
        with Ledger(Caps(calls=5)):
            await run(tmp_path / "out", job_of(Scripted(text_of)))

    with pytest.raises(CapReached, match="5 spent"):
        asyncio.run(capped())


def test_what_a_cap_of_another_run_kept_from_being_done_is_done(tmp_path: Path) -> None:
    source, out = tmp_path / "pools", tmp_path / "out"
    failures = [
        Failure(stage="generate", error="CapReached", message="the cap", index=1),
        Failure(stage="score", error="CapReached", message="the cap", index=0, by="heuristic"),
    ]
    pool = Pool(
        prompt=PROMPTS[0],
        candidates=(Candidate(index=0, text="4"),),
        scores={"heuristic": (Score.missing("CapReached: the cap"),)},
        failures=tuple(failures),
    )
    write_pools(source, [pool])
    asyncio.run(score(source, out, "heuristic"))
    (scored,) = read_pools(out)
    assert scored.failures == ()
    assert scored.values("heuristic")[0] is not None


def test_a_source_that_has_grown_has_only_its_new_candidates_scored(tmp_path: Path) -> None:
    source, out = tmp_path / "pools", tmp_path / "scored"
    asked: list[str] = []

    @bon.pointwise
    def noted(prompt: Prompt, candidate: Candidate) -> float:
        asked.append(candidate.text)
        return 1.0

    for n in (2, 3):
        asyncio.run(run(source, job_of(Scripted(text_of), n=n, scorer=None)))
        asyncio.run(score(source, out, noted))
    assert sorted(asked) == sorted(text_of(prompt, index) for prompt in PROMPTS for index in range(3))
    assert [pool.values("noted") for pool in read_pools(out)] == [(1.0, 1.0, 1.0)] * 6


def test_a_link_and_what_it_points_to_are_one_output(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    target, link = tmp_path / "deep" / "target", tmp_path / "link"
    target.touch()
    link.symlink_to(target)
    with Journal(target), pytest.raises(UsageError, match="in use"):
        asyncio.run(run(link, job_of(Scripted(text_of))))
    asyncio.run(run(link, job_of(Scripted(text_of))))
    assert link.is_symlink()
    assert ids(target) == [prompt.id for prompt in PROMPTS]


def test_what_was_paid_for_a_prompt_that_is_gone_stays_and_is_said(tmp_path: Path) -> None:
    out = tmp_path / "out"

    async def stopped() -> None:
        async with asyncio.timeout(1.5):
            await run(out, job_of(Scripted(text_of, delay=lambda prompt, index: float(index))))

    with pytest.raises(TimeoutError):
        virtual_time(stopped())
    with pytest.warns(UserWarning, match=r"1 prompts that the input does not hold any more \('q5'"):
        asyncio.run(run(out, job_of(Scripted(text_of)), PROMPTS[:-1]))
    generator = Scripted(text_of)
    asyncio.run(run(out, job_of(generator)))
    assert generator.started == [("q5", 2)]


def test_two_prompts_of_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two prompts have the id 'q0'"):
        asyncio.run(run(tmp_path / "out", job_of(Scripted(text_of)), [*PROMPTS, PROMPTS[0]]))


def test_a_finished_file_with_a_torn_line_behind_is_mended(tmp_path: Path) -> None:
    out = tmp_path / "out"
    asyncio.run(run(out, job_of(Scripted(text_of))))
    before = out.read_bytes()
    out.write_bytes(before + b'{"id": "q7')
    asyncio.run(run(out, job_of(Scripted(text_of))))
    assert out.read_bytes() == before


@pytest.mark.parametrize("cap", [5, 12, 40])
def test_a_kill_under_a_cap_counts_what_was_under_way_as_spent(tmp_path: Path, cap: int) -> None:
    """What calls that nobody heard the end of have cost is unknown, so the next run counts the most that they could."""
    out = tmp_path / "out"
    begun = 0
    for _ in range(12):
        generator = Scripted(text_of, delay=1.0)

        async def killed(generator: Scripted = generator) -> None:
            journal = Journal(out)
            ledger = Ledger(Caps(calls=cap), spent=journal.spent)
            running = asyncio.ensure_future(run(out, job_of(generator), ledger=ledger, journal=journal, concurrency=2))
            await asyncio.sleep(0.5)
            journal._database._connection.close()  # the process is gone: nothing is settled, nothing written
            assert journal._database._held is not None
            journal._database._held.release()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

        virtual_time(killed())
        begun += len(generator.started)
    assert 0 < begun <= cap


def test_scores_of_an_interrupted_run_are_not_made_again(tmp_path: Path) -> None:
    source, out = tmp_path / "pools", tmp_path / "scored"
    asyncio.run(run(source, job_of(Scripted(text_of), scorer=None)))
    asked: list[str] = []

    @bon.pointwise
    async def slow(prompt: Prompt, candidate: Candidate) -> float:
        await asyncio.sleep(1.0 + candidate.index)
        asked.append(candidate.text)
        return float(candidate.index)

    async def stopped() -> None:
        async with asyncio.timeout(2.5):
            await score(source, out, slow, concurrency=2)

    with pytest.raises(TimeoutError):
        virtual_time(stopped())
    assert sorted(asked) == ["q0 says 0", "q0 says 1", "q1 says 0", "q1 says 1"]
    virtual_time(score(source, out, slow, concurrency=2))
    assert sorted(asked) == sorted(text_of(prompt, index) for prompt in PROMPTS for index in range(3))
    assert [pool.values("slow") for pool in read_pools(out)] == [(0.0, 1.0, 2.0)] * 6


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_the_same_file_whatever_the_concurrency_and_however_often_it_was_stopped(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    chance = random.Random(seed)
    folder = tmp_path_factory.mktemp("runs")
    out, whole = folder / "out", folder / "whole"
    virtual_time(run(whole, job_of(Scripted(text_of))))
    drawn: Counter[tuple[str, int]] = Counter()
    flying: set[tuple[str, int]] = set()
    for stop in [*(chance.uniform(0.0, 4.0) for _ in range(chance.randrange(4))), 1e6]:
        generator = Scripted(text_of, delay=lambda prompt, index: chance.uniform(0.0, 1.0))

        async def stopped(generator: Scripted = generator, stop: float = stop) -> None:
            async with asyncio.timeout(stop):
                n, concurrency = (3, 8) if stop == 1e6 else (chance.randint(1, 3), chance.randint(1, 8))
                await run(out, job_of(generator, n=n), concurrency=concurrency)

        try:
            virtual_time(stopped())
        except TimeoutError:
            flying.update(generator.aborted)
        drawn.update(generator.finished)
    assert same_pools(read_pools(out), read_pools(whole))
    assert ids(out) == ids(whole)
    assert set(drawn.values()) == {1}, "nothing twice"
    assert len(drawn) == 18
    assert not journal_path(out).exists()


def test_a_file_that_ends_in_the_middle_of_a_line_goes_on_behind_the_last_whole_one(tmp_path: Path) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    asyncio.run(run(whole, job_of(Scripted(text_of))))
    write_pools(out, list(read_pools(whole))[:2])
    with out.open("ab") as file:
        file.write(b'{"id": "q2", "messa')
    generator = Scripted(text_of)
    asyncio.run(run(out, job_of(generator)))
    assert {prompt for prompt, _ in generator.started} == {"q2", "q3", "q4", "q5"}
    assert same_pools(read_pools(out), read_pools(whole))
    assert ids(out) == ids(whole)
