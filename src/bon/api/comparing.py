"""Greedy against best-of-N on the same prompts: `bon.compare`. Draws into files of a folder, so a run goes on later."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bon.api import blocking, default_scorer
from bon.api.files import Progress, sample_file, score_file
from bon.api.job import Job, build_scorers, make_job
from bon.api.origins import strangers
from bon.api.prompts import as_prompt
from bon.api.settings import recording, settings_of
from bon.api.shared import shared_builder
from bon.budgets import Fixed
from bon.errors import UsageError
from bon.evaluation.comparing import GREEDY, Against, against, labelled
from bon.ledger import FREE, Ledger
from bon.protocols import Generator, Scorer
from bon.registry import Builder, BuiltGenerator
from bon.registry.extractors import extractor
from bon.score import ScorerLike
from bon.store.pools import PoolFile
from bon.store.prompts import read_prompts, write_prompts
from bon.store.runfile import Run
from bon.types import Pool, Prompt, Spent

__all__ = ["COMPARED", "Merged", "Stage", "Stages", "compare", "measured", "stages_of"]

COMPARED = "compared.jsonl"
"""The file of a comparison's folder in which everything lies together, scored."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One thing to draw: everything at one temperature."""

    variation: str
    temperature: float
    job: Job
    n: int
    policy: str | None = None
    """The name of the policy that draws, where it is not the model that is compared."""

    @property
    def file(self) -> str:
        """The name of its file of pools."""
        return f"{re.sub(r'[^A-Za-z0-9.]+', '-', self.variation)}.jsonl"


@dataclass(kw_only=True)
class Stages:
    """A comparison: what is drawn, who scores it, and where it lies."""

    folder: Path
    stages: Sequence[Stage]
    scorers: Mapping[str, Scorer]
    extract: str | None = None
    concurrency: int = 8
    ledger: Callable[[Spent], Ledger] = field(default=lambda spent: Ledger(spent=spent))
    """Makes the ledger of a run, which goes on from what earlier ones spent."""
    notes: Sequence[str] = ()
    """What a reader must know of the models."""

    async def run(self, prompts: Callable[[], Iterable[Prompt]], data: Path) -> AsyncGenerator[Progress, None]:
        """Draw each stage and score all of it, each in a file that a second run goes on with.

        `prompts` reads them anew for each stage, `data` is the file they come from. Raises what `sample_file` and
        `score_file` raise.
        """
        if self._left(prompts()):
            for generator in {stage.policy: stage.job.plan.generator for stage in self.stages}.values():
                await _warmed(generator)
        spent = Spent()
        for stage in self.stages:
            out = self.folder / stage.file
            settings = settings_of("compare", stage.job, data=data, n=stage.n)
            with recording(out, settings, data=data) as journal:
                ledger = self.ledger(_sum(spent, journal.spent))
                steps = sample_file(
                    _same_heat(prompts()), out, stage.job, concurrency=self.concurrency, ledger=ledger, journal=journal
                )
                async with aclosing(steps):
                    async for step in steps:
                        yield step
                spent = _sum(spent, journal.spent)
        async for step in self._scored(spent, data):
            yield step

    def _left(self, prompts: Iterable[Prompt]) -> bool:
        """Whether anything is still to be drawn: a run that goes on loads its model anew, and must not time that."""
        files = [self.folder / stage.file for stage in self.stages]
        if not all(file.exists() for file in files):
            return True
        with ExitStack() as stack:
            drawn = [stack.enter_context(PoolFile(file, tolerate_truncated_tail=True)) for file in files]
            return any(
                prompt.id not in pools or len(pools[prompt.id]) < stage.n
                for prompt in prompts
                for stage, pools in zip(self.stages, drawn, strict=True)
            )

    async def _scored(self, spent: Spent, data: Path) -> AsyncGenerator[Progress, None]:
        out = self.folder / COMPARED
        settings = {"scorers": [getattr(scorer, "spec", "") for scorer in self.scorers.values()]}
        with ExitStack() as stack:
            files = {stage.variation: stack.enter_context(PoolFile(self.folder / stage.file)) for stage in self.stages}
            journal = stack.enter_context(
                recording(out, Run(command="compare", settings=settings, data={}), data=data, alike=("scorers",))
            )
            steps = score_file(
                Merged(files),
                out,
                self.scorers,
                extract=extractor(self.extract) if self.extract else None,
                concurrency=self.concurrency,
                ledger=self.ledger(_sum(spent, journal.spent)),
                journal=journal,
            )
            async with aclosing(steps):
                async for step in steps:
                    yield step


def compare(
    prompts: Path | str | Sequence[str | Prompt],
    *,
    n: int | Sequence[int] = 5,
    temperatures: Sequence[float] = (),
    scorer: str | ScorerLike | Sequence[str | ScorerLike] = (),
    by: str | None = None,
    gold: str | None = None,
    generator: str | Generator | None = None,
    policies: Sequence[str | Generator] = (),
    folder: str | Path | None = None,
    **request: Any,
) -> Against:
    """Greedy against best-of-N on the same prompts; blocks, also inside a running loop.

    `prompts` is a file or a list of them, `n` how many draws, or several numbers to see what N does; `temperatures` at
    which they are drawn (by default that of the run; the greedy answer is drawn at 0). `scorer`s choose and measure:
    `by` names the one that chooses (by default the only one), `gold` the one that is the truth (by default the same).
    `policies` are models that best-of-N was trained into: one draw of each is held against the best of N.

    All candidates of a prompt are scored side by side, so judges that compare can be used. With a `folder` what was
    drawn stays there, and the same call goes on. `request` are request fields: max_tokens, seed ...

    Raises `UsageError` where it is not said which scorer chooses, and what sampling and scoring raise.
    """
    sizes = sorted({n} if isinstance(n, int) else set(n))
    with ExitStack() as stack:
        place = Path(folder) if folder is not None else Path(stack.enter_context(TemporaryDirectory(prefix="bon-")))
        place.mkdir(parents=True, exist_ok=True)
        data = _file_of(prompts, place)
        builder = shared_builder()
        stages = stages_of(
            builder,
            place,
            generator=generator,
            scorers=scorer or builder.config.defaults.get("scorer") or default_scorer(next(read_prompts(data))),
            n=sizes[-1],
            temperatures=temperatures,
            request=request,
            policies=policies,
        )
        chosen = _by(stages, by)

        async def finished() -> None:
            async with aclosing(stages.run(lambda: read_prompts(data), data)) as steps:
                async for _ in steps:
                    pass

        blocking.run(finished())
        return measured(stages, by=chosen, gold=gold, sizes=sizes)


def stages_of(
    builder: Builder,
    folder: Path,
    *,
    generator: str | Generator | None,
    scorers: str | ScorerLike | Sequence[str | ScorerLike],
    n: int,
    temperatures: Sequence[float] = (),
    extract: str | None = None,
    request: Mapping[str, Any] | None = None,
    policies: Sequence[str | Generator] = (),
) -> Stages:
    """What a comparison draws: one greedy answer a prompt, n draws at each temperature, and one of each policy.

    Raises `UsageError` for fewer than two draws, a temperature that is not above 0, and two that are the same.
    """
    if n < 1:
        raise UsageError(f"best-of-{n}: a number of draws is 1 or more")
    built = builder.generator(generator or builder.config.defaults.get("generator", "local"))
    given = dict(request or {})
    usual = given.pop("temperature", None)
    warm = make_job(builder, generator=built, select="first").request["temperature"] if usual is None else usual
    for temperature in temperatures or (warm,):
        if not 0 < temperature < float("inf"):
            raise UsageError(f"temperature {temperature!r}: greedy is 0, and draws that differ need more than that")

    def stage(variation: str, temperature: float, count: int, policy: BuiltGenerator | None = None) -> Stage:
        job = make_job(
            builder,
            generator=policy or built,
            select="first",
            budget=Fixed(count),
            request={**given, "temperature": temperature},
        )
        name = policy.name if policy else None
        return Stage(variation=variation, temperature=temperature, job=job, n=count, policy=name)

    heat = list(dict.fromkeys(temperatures or (warm,)))
    drawn = [stage(labelled(temperature), temperature, n) for temperature in heat]
    trained = [builder.generator(policy) for policy in policies]
    for policy in trained:
        drawn += [stage(labelled(temperature, policy.name), temperature, 1, policy) for temperature in heat]
    made = build_scorers(builder.for_run(built), scorers)
    reads = extract or ("any" if any(name == "agreement" for name in made) else None)
    return Stages(
        folder=folder,
        stages=[stage(GREEDY, 0.0, 1), *drawn],
        scorers=made,
        extract=reads,
        notes=list(strangers(built, trained)),
    )


def measured(stages: Stages, *, by: str | None, gold: str | None, sizes: Sequence[int]) -> Against:
    """What a comparison whose files are all there has come to."""
    with PoolFile(stages.folder / COMPARED) as pools:
        found = against(
            pools.values(),
            by=_by(stages, by),
            gold=gold,
            temperatures=[stage.temperature for stage in stages.stages[1:] if stage.policy is None],
            sizes=sizes,
            policies=list(dict.fromkeys(stage.policy for stage in stages.stages if stage.policy)),
        )
        return replace(found, notes=tuple(stages.notes))


class Merged(Mapping[str, Pool]):
    """The pools of several files, by id: the candidates of all of them side by side, each with its file's variation."""

    def __init__(self, files: Mapping[str, Mapping[str, Pool]]) -> None:
        if not files:
            raise UsageError("there is nothing to put together")
        self._files = files

    def __getitem__(self, id_: str) -> Pool:
        parts = {variation: pools[id_] for variation, pools in self._files.items() if id_ in pools}
        if not parts:
            raise KeyError(id_)
        first, *_ = parts.values()
        together = [
            replace(candidate, variation=variation)
            for variation, pool in parts.items()
            for candidate in pool.candidates
        ]
        return Pool(
            prompt=replace(first.prompt, request={}),
            candidates=tuple(replace(candidate, index=place) for place, candidate in enumerate(together)),
            failures=tuple(replace(failure, index=None) for pool in parts.values() for failure in pool.failures),
        )

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(id_ for pools in self._files.values() for id_ in pools))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _by(stages: Stages, by: str | None) -> str:
    """The scorer that chooses. Raises `UsageError` where that is not said, or it is not there."""
    names = ", ".join(map(repr, stages.scorers)) or "none"
    if by is None and len(stages.scorers) != 1:
        raise UsageError(f"which scorer chooses? There are {names}; name one with by= (--by)")
    if by is not None and by not in stages.scorers:
        raise UsageError(f"{by!r} is to choose, but the scorers are {names}")
    return by or next(iter(stages.scorers))


def _file_of(prompts: Path | str | Sequence[str | Prompt], folder: Path) -> Path:
    """The file of prompts; those of a list are written into the folder, in which a second run finds them."""
    if isinstance(prompts, str | Path):
        return Path(prompts)
    path = folder / "prompts.jsonl"
    write_prompts(path, [as_prompt(each) for each in prompts])
    return path


async def _warmed(generator: Generator) -> None:
    """Have a model of this machine load before anything is timed: a token is drawn for nothing, where it is free."""
    if getattr(generator, "price", None) is FREE:
        warm_up = Prompt(id="warm-up", messages=({"role": "user", "content": "Hello"},), request={"max_tokens": 1})
        async for _ in generator(warm_up, 1):
            pass


def _same_heat(prompts: Iterable[Prompt]) -> Iterator[Prompt]:
    """Prompts without a temperature of their own: the comparison sets it."""
    for prompt in prompts:
        rest = {name: value for name, value in prompt.request.items() if name != "temperature"}
        yield prompt if len(rest) == len(prompt.request) else replace(prompt, request=rest)


def _sum(one: Spent, other: Spent) -> Spent:
    money = None if one.money is None and other.money is None else (one.money or 0.0) + (other.money or 0.0)
    return Spent(
        usage=one.usage + other.usage,
        calls=one.calls + other.calls,
        money=money,
        seconds=one.seconds + other.seconds,
    )
