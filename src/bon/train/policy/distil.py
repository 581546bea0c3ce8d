"""Trains a policy from scored pools, without drawing: BoN-SFT, DPO and BoNBoN, by the loop that trains everything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bon.errors import UsageError
from bon.store.jsonl import read_jsonl
from bon.train.finished import settings_of
from bon.train.loop import METRICS, fit
from bon.train.order import met, rows_of
from bon.train.place import Place, libraries
from bon.train.policy.choices import Choice, Choices, choices, digest
from bon.train.policy.clock import Clock
from bon.train.policy.examples import Example, Speaker, examples
from bon.train.policy.identity import REFERENCE_FILES, reference_files, setup_used
from bon.train.policy.learned import write_learned
from bon.train.policy.model import Policy, PolicySetup, load_policy
from bon.train.policy.offline_task import Loss, Offline, loss_of, task_of
from bon.train.policy.origin import taken_for
from bon.train.policy.outcome import Cost, PolicyReport
from bon.train.policy.referred import Referred, forget, referred
from bon.train.policy.report import known_policy, leave_policy
from bon.train.recipe import Hook, Reading, Recipe, Step
from bon.train.saving import TRAINING
from bon.train.splits import prompt_key, split_rows
from bon.types import Pool

__all__ = ["RECIPE", "Offline", "Round", "train_offline"]

RECIPE = Recipe(epochs=1, lr=1e-5, batch=32, adam_eps=1e-5, tokens=16_384)
"""How a policy is trained from pools where nothing else is said."""


def train_offline(
    pools: Iterable[Pool],
    offline: Offline,
    *,
    out: Path,
    setup: PolicySetup | None = None,
    recipe: Recipe = RECIPE,
    within: Round | None = None,
    progress: Hook | None = None,
) -> PolicyReport:
    """Train a model that draws on what was best in scored pools; the folder `out` then loads as `hf:out`.

    What the reference says of the rows is computed once, before the first step: at that moment the policy is the
    reference. `within` says of which rounds it is one, where there are several.
    The same call goes on where one was stopped, and ends the same; one that is done gives its report again.

    Raises UsageError for pools that nothing can be learned from, an `out` that holds something else, and settings that
    make no sense; ModelError where the reference cannot be loaded or a loss is not finite; StoreError where the disk
    refuses.
    """
    libraries()
    setup = setup or PolicySetup()
    job = _Job.of(pools, offline, out=out, setup=setup, recipe=recipe, within=within or Round(origin=setup))
    if (known := known_policy(out, job.whole_identity)) is not None:
        return known
    # The copy of the reference is not needed: the policy is asked while it is the reference still.
    policy = replace(load_policy(setup, seed=recipe.seed), copy=None)
    place = Place(setup.device)
    work = _Work.of(policy, job)
    clock = Clock(job.folder, writes=place.first)
    with clock.part("reading"):
        rows, held = _read(policy, work, job, place)
    loss = loss_of(offline, job.made.n, rows)
    with clock.part("training") as tick:
        done = fit(
            policy.model,
            task_of(loss, rows, held, temperature=job.temperature, tokens=recipe.tokens),
            job.recipe,
            folder=job.folder,
            identity=job.identity,
            device=setup.device,
            progress=_both(tick, progress),
        )
    report = _report(job, work, loss, clock, steps=done.steps)
    if place.first:
        write_learned(out, (row.prompt for row in (*job.train, *job.held)))
        leave_policy(out, policy, report, identity=job.whole_identity)
        forget(job.folder)
        clock.forget()
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Which of several trainings this is, each of which starts from the model of the one before."""

    origin: PolicySetup
    """What the first one started from: the reference, as the report calls it."""
    number: int = 1
    of: int = 1
    before: PolicyReport | None = None
    """Of the round before: its steps, episodes and costs are counted on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One training: what it was asked for, and the rows that were chosen for it."""

    offline: Offline
    out: Path
    setup: PolicySetup
    within: Round
    recipe: Recipe
    made: Choices
    train: Sequence[Choice]
    held: Sequence[Choice]
    temperature: float
    reference_files: Mapping[str, int] | None
    """As they were before anything was read of them."""

    @classmethod
    def of(cls, pools: Iterable[Pool], offline: Offline, *, setup: PolicySetup, recipe: Recipe, **more: Any) -> _Job:
        if recipe.patience is not None and not offline.held_out:
            raise UsageError(
                "patience waits for a better figure on prompts held out: give held_out too, or no patience"
            )
        made = choices(pools, offline.kind, offline.choosing)
        train, held = _parted(made.rows, offline.held_out, recipe.seed)
        return cls(
            offline=offline,
            setup=setup,
            recipe=replace(recipe, precision=setup.precision),
            made=made,
            train=train,
            held=held,
            temperature=offline.temperature or _temperature(made.rows),
            # A later round's reference is what the round before left, written again where that was: the first knows.
            reference_files=reference_files(setup.reference) if more["within"].number == 1 else None,
            **more,
        )

    @property
    def folder(self) -> Path:
        """Where it keeps what a second run goes on from."""
        return self.out / TRAINING

    @property
    def identity(self) -> dict[str, Any]:
        """What makes two trainings the same, beside the recipe."""
        return {
            **{name: value for name, value in setup_used(self.setup).items() if name != "precision"},  # in the recipe
            REFERENCE_FILES: self.reference_files,
            "origin": self.within.origin.reference,
            "round": self.within.number,
            "rounds": self.within.of,
            **asdict(self.offline),
            "temperature": self.temperature,
            "data": digest(self.train),
            "held_out_data": digest(self.held),
        }

    @property
    def whole_identity(self) -> dict[str, Any]:
        return {**self.identity, "recipe": settings_of(self.recipe)}

    @property
    def settings(self) -> dict[str, Any]:
        """What it was made with, for people."""
        offline, chosen = self.offline, self.offline.choosing
        return {
            **settings_of(self.recipe),
            "by": self.made.by,
            "n": self.made.n,
            "groups": chosen.groups,
            **({"pairing": chosen.pairing} if offline.kind == "dpo" else {}),
            "temperature": self.temperature,
            "held_out": offline.held_out,
            "max_length": offline.max_length,
            **({"round": self.within.number, "rounds": self.within.of} if self.within.of > 1 else {}),
            **{"lora": {"rank": self.setup.rank}, "last": {"layers": self.setup.layers}}.get(self.setup.adapt, {}),
        }


def _parted(rows: Sequence[Choice], share: float, seed: int) -> tuple[Sequence[Choice], Sequence[Choice]]:
    """Rows to train on, and rows of other prompts to measure on."""
    if not share:
        return rows, ()
    return split_rows(rows, lambda row: [prompt_key(row.prompt.messages)], fraction=share, seed=seed)


def _temperature(rows: Sequence[Choice]) -> float:
    """At which the pools were drawn; 1 where they do not say, or were drawn without any chance in it.

    Raises UsageError where they differ.
    """
    said = {float(row.prompt.request.get("temperature") or 1.0) for row in rows}
    if len(said) > 1:
        told = ", ".join(f"{one:g}" for one in sorted(said))
        raise UsageError(f"the pools were drawn at the temperatures {told}: say which one is learned (temperature=)")
    return said.pop()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """The rows of one training as token ids."""

    rows: Sequence[Example]
    held: Sequence[Example]
    prompts: int
    """Distinct ones to train on."""
    left_out: Mapping[str, int]
    answers: int
    """Distinct draws in all rows."""
    encoded: int
    """Of them, those whose tokens are of their text, since the pools do not have them."""

    @classmethod
    def of(cls, policy: Policy, job: _Job) -> _Work:
        limits = [limit for limit in (job.offline.max_length, policy.context) if limit is not None]
        speaker = Speaker(tokenizer=policy.tokenizer, eos=policy.eos, limit=min(limits, default=None))
        train = examples(job.train, speaker)
        rows = met(train.rows, job.recipe)
        parts = [train, *([examples(job.held, speaker)] if job.held else [])]
        return cls(
            rows=rows,
            held=[row for part in parts[1:] for row in part.rows],
            prompts=len({row.prompt for row in rows}),
            left_out=dict(sum((Counter(part.left_out) for part in parts), Counter(job.made.left_out))),
            answers=sum(part.answers for part in parts),
            encoded=sum(part.encoded for part in parts),
        )


def _read(policy: Policy, work: _Work, job: _Job, place: Place) -> tuple[Sequence[Referred], Sequence[Referred]]:
    """Rows to train on and rows held out, with what the reference says of them where the loss asks for it."""
    every = [*work.rows, *work.held]
    read = [Referred(example=row) for row in every]
    if job.offline.kind != "sft":
        read = referred(
            policy,
            every,
            folder=job.folder,
            identity=job.identity,
            tokens=job.recipe.tokens,
            temperature=job.temperature,
            place=place,
        )
    return read[: len(work.rows)], read[len(work.rows) :]


def _report(job: _Job, work: _Work, loss: Loss, clock: Clock, *, steps: int) -> PolicyReport:
    """How it went and what it took."""
    met = Counter(place for step in range(steps) for place in rows_of(step, len(work.rows), job.recipe))
    tokens = sum(times * work.rows[place].tokens_read for place, times in met.items())
    episodes = sum(times * (1 + bool(work.rows[place].rejected)) for place, times in met.items())
    lines = (row for _, row in read_jsonl(job.folder / METRICS) if "loss" in row)
    figures = [{name: value for name, value in row.items() if name != "step"} for row in lines]
    made, before = job.made, job.within.before
    pools = "preprocessing" if before is None else "inference"  # of a later round the policy has drawn them
    cost = {
        pools: Cost(seconds=made.seconds, tokens=made.tokens, draws=made.draws),
        "optimisation": Cost(seconds=clock["reading"] + clock["training"], tokens=tokens, draws=episodes),
    }
    earlier = before.cost if before else {}
    return PolicyReport(
        out=str(job.out),
        method=job.offline.kind,
        reference=job.within.origin.reference,
        revision=job.within.origin.revision,
        adapt=job.setup.adapt,
        settings={**job.settings, **loss.numbers},
        seed=job.recipe.seed,
        steps=steps + (before.steps if before else 0),
        episodes=episodes + (before.episodes if before else 0),
        prompts=work.prompts,
        first=before.first if before else figures[0],
        last=figures[-1],
        cost={name: earlier.get(name, Cost()) + cost.get(name, Cost()) for name in {**earlier, **cost}},
        left_out=work.left_out,
        notes=tuple(dict.fromkeys([*(before.notes if before else ()), *_notes(job, work)])),
    )


def _notes(job: _Job, work: _Work) -> Iterator[str]:
    """What a reader must know of the pools."""
    rows, reference = job.train, job.setup.reference
    if work.encoded:
        yield (
            f"{work.encoded} of {work.answers} answers carried no token ids: they were encoded again from their text, "
            "which may give other tokens than were drawn; draw with return_token_ids=true to keep those (bon sample "
            '-g "hf:MODEL?return_token_ids=true").'
        )
    if (taken := taken_for({row.chosen.generator for row in rows}, reference)) is not None:
        yield taken
    for name, whole in {"top_p": 1, "top_k": 0, "min_p": 0}.items():
        values = {row.prompt.request.get(name, whole) for row in rows} - {whole, None}
        if values:
            yield (
                f"The pools were drawn with {name} {', '.join(sorted(map(str, values)))}: what that cuts off was never "
                "seen, while log-probabilities are over the whole vocabulary."
            )


def _both(tick: Callable[[], None], progress: Hook | None) -> Hook:
    """A hook that has the clock written now and then, and tells another."""

    def hook(event: Step | Reading) -> None:
        tick()
        if progress is not None:
            progress(event)

    return hook
