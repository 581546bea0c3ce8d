"""BoN-SFT in rounds: the trained model draws again, what it drew is scored, and it is trained on the best of that."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path

from bon.api import blocking
from bon.api.files import Progress, sample_file
from bon.api.job import Job, make_job
from bon.api.settings import recording, settings_of
from bon.api.timed import read_timed
from bon.budgets import Fixed
from bon.errors import UsageError
from bon.ledger import Ledger
from bon.registry import Builder
from bon.score import ScorerLike
from bon.store.prompts import read_prompts, write_prompts
from bon.train.policy.distil import Offline, Round, train_offline
from bon.train.policy.model import PolicySetup
from bon.train.policy.outcome import PolicyReport
from bon.train.policy.report import holds_policy, read_run
from bon.train.recipe import Hook, Recipe
from bon.types import Pool, Prompt

__all__ = ["ROUNDS", "Rounds", "train_rounds"]

ROUNDS = "rounds"
"""Where in the folder the models and pools of all rounds but the last lie."""
_ALIKE = frozenset({"n", "scorers", "data", "generator"})
"""Settings of a round's pools that may differ: the model is known by its folder, which may have been moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """How often it is drawn, scored and trained."""

    count: int
    """Rounds in all; the first one learns from the pools that are given."""
    scorer: str | ScorerLike
    """Who scores what later rounds draw: the same as in the pools, or nothing could be compared."""
    draws: int | None = None
    """Draws of a prompt in later rounds; None: as many as the smallest of the given pools has."""
    concurrency: int = 8
    builder: Builder = field(default_factory=Builder)
    ledger: Ledger | None = None
    """What scoring is charged to."""
    drawn: Callable[[int, Progress], None] | None = None
    """Told how far the drawing of a round has come: (round, progress)."""

    def __post_init__(self) -> None:
        for name in ("count", "draws", "concurrency"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} of rounds is {value!r}: give a whole number from 1")


def train_rounds(
    pools: Iterable[Pool],
    offline: Offline,
    rounds: Rounds,
    *,
    out: Path,
    setup: PolicySetup,
    recipe: Recipe,
    progress: Hook | None = None,
) -> PolicyReport:
    """Train in rounds, the last of them into `out`; the others lie in `out/rounds`, models and pools.

    Each round starts from the model of the one before, which has drawn for it, with the requests of the given pools
    and a seed of its own. A run that was stopped goes on in its round. The report adds up what all rounds cost.

    Raises UsageError for a scorer that is not the one of the pools, for an `out` that was trained in another number of
    rounds, and under torchrun; and what sampling, scoring and `train_offline` raise.
    """
    _refuse_other(out, rounds)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("rounds draw with one process between trainings: start it without torchrun")
    scorer = rounds.builder.scorer(rounds.scorer).name
    if offline.choosing.by not in (None, scorer):
        raise UsageError(
            f"pools are to be chosen from by {offline.choosing.by!r}, and new rounds would be scored by {scorer!r}: "
            "give rounds the scorer of that name"
        )
    offline = replace(offline, choosing=replace(offline.choosing, by=scorer))
    prompts: list[Prompt] = []
    sizes: list[int] = []

    def noted() -> Iterator[Pool]:
        """The given pools, of which later rounds need the prompts alone: memory holds no more."""
        for pool in pools:
            prompts.append(pool.prompt)
            sizes.append(len(pool))
            yield pool

    start, report = setup, None
    learned: Iterable[Pool] = noted()

    def trained(folder: Path, number: int) -> PolicyReport:
        within = Round(origin=setup, number=number, of=rounds.count, before=report)
        return train_offline(learned, offline, out=folder, setup=start, recipe=recipe, within=within, progress=progress)

    for number in range(1, rounds.count):
        report = trained(out / ROUNDS / str(number), number)
        start = replace(setup, reference=str(out / ROUNDS / str(number)), revision=None)
        draws = rounds.draws or min(sizes)
        learned = read_timed(_drawn_again(prompts, start, rounds, draws=draws, number=number + 1, out=out))
    return trained(out, rounds.count)


def _refuse_other(out: Path, rounds: Rounds) -> None:
    if holds_policy(out) and (had := read_run(out).settings.get("rounds", 1)) != rounds.count:
        raise UsageError(
            f"{str(out)!r} holds a policy that was trained in {had} rounds, not {rounds.count}: name another out"
        )


def _drawn_again(
    prompts: Sequence[Prompt], policy: PolicySetup, rounds: Rounds, *, draws: int, number: int, out: Path
) -> Path:
    """The file of scored pools of a round: drawn by the model of the one before, where they are not there yet."""
    folder = out / ROUNDS / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    asked, file = folder / "prompts.jsonl", folder / "pools.jsonl"
    write_prompts(asked, [_asked(prompt, number) for prompt in prompts])
    device = f"?device={policy.device}" if policy.device else ""
    job = make_job(
        rounds.builder,
        generator=f"hf:{policy.reference}{device}",
        scorer=rounds.scorer,
        select="first",
        budget=Fixed(draws),
    )

    async def run() -> None:
        async with aclosing(_sampled(job, asked, file, draws, rounds)) as steps:
            async for step in steps:
                if rounds.drawn is not None:
                    rounds.drawn(number, step)

    try:
        blocking.run(run())
    finally:
        _let_go(job)
    return file


async def _sampled(job: Job, asked: Path, file: Path, draws: int, rounds: Rounds) -> AsyncGenerator[Progress, None]:
    run = settings_of("sample", job, data=asked, n=draws)
    with recording(file, run, data=asked, alike=_ALIKE) as journal:
        steps = sample_file(
            read_prompts(asked), file, job, concurrency=rounds.concurrency, ledger=rounds.ledger, journal=journal
        )
        async with aclosing(steps):
            async for step in steps:
                yield step


def _asked(prompt: Prompt, number: int) -> Prompt:
    """A prompt as a later round asks it: as its pool was, with draws of its own, whose tokens are kept."""
    seed = int(prompt.request.get("seed") or 0) + number - 1
    return replace(prompt, request={**prompt.request, "seed": seed, "return_token_ids": True})


def _let_go(job: Job) -> None:
    """Give the memory of models back before training needs it; a scorer that was given built is its owner's."""
    job.plan.generator.close()  # type: ignore[attr-defined]  # a Job's parts come from a Builder
    for scorer in job.plan.scorers.values():
        if getattr(scorer, "spec", ""):
            scorer.close()  # type: ignore[attr-defined]
