"""Training from data and specs: `bon.train_rm`; reads preferences, asks teachers, and hands both to `train`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bon.api import blocking
from bon.api.bench import scored
from bon.errors import UsageError
from bon.ledger import Ledger
from bon.registry import Builder
from bon.score import ScorerLike
from bon.store.datasets import Dataset, load
from bon.store.diagnosis import OnBad
from bon.store.pools import read_pools
from bon.store.sources import Source
from bon.train.preferences import Apart, Pair, Pairing, Preferences, hard_negatives, preferences
from bon.train.recipe import Hook, Recipe
from bon.train.report import Report
from bon.train.reward_model import RECIPE
from bon.train.reward_model import train_rm as train
from bon.train.starting import Setup
from bon.train.teacher import softened
from bon.types import Pool

__all__ = ["PairOptions", "measured_on", "pairs_for", "taught_pools", "train_rm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairOptions:
    """How preferences are made of data."""

    by: str | None = None
    """The scorer that says which answers are better; None: `correct`, else the only one there is, else the teacher."""
    pairing: Pairing = "best-worst"
    margin: str | None = None
    """"gap", or a column of numbers; None: the column `margin` where there is one."""
    teacher: str | ScorerLike | None = None
    """A scorer whose certainty becomes the pairs' soft labels."""
    teacher_scale: float | None = None
    """Nats for each unit of the teacher's values; None: fitted to the labels."""
    hard_negatives: str | Path | None = None
    """Scored pools whose wrong answers that scored high are trained on too, and never measured on."""
    hard_by: str | None = None
    """The scorer that they fooled; None: the only one of those pools besides `correct`."""
    held_out: float | Source | Dataset = 0.1
    """What is measured on: a share of the prompts, or data of its own, with labels."""
    apart: Apart = "prompt"
    """What must not be on both sides: a prompt; or, where all rows have one prompt, the text of an answer."""

    def __post_init__(self) -> None:
        if self.teacher is None and self.teacher_scale is not None:
            raise UsageError(f"teacher_scale is {self.teacher_scale!r}, and there is no teacher: give one, or leave it")
        if self.hard_negatives is None and self.hard_by is not None:
            raise UsageError(f"hard_by is {self.hard_by!r}, and there are no hard_negatives: give pools, or leave it")


def train_rm(
    data: Source | Dataset | Preferences,
    *,
    out: str | Path,
    setup: Setup | None = None,
    recipe: Recipe = RECIPE,
    options: PairOptions | None = None,
    centre: float = 0.0,
    progress: Hook | None = None,
) -> Report:
    """Train a reward model on preferences, and return what it is worth; `out` then loads as `rm:out`. It blocks.

    `data` are rows with chosen and rejected answers, or scored pools: a file, a folder, a data set of the hub, rows in
    memory. `setup` says what is trained (base, head alone, LoRA or all weights), `recipe` how, `options` how pairs are
    made and which are held out. `centre` keeps rewards about 0. The same call goes on where one was stopped.

    Raises as `bon.train.reward_model.train_rm` does, `DataError` for a row that cannot be used, and `CapReached` where
    the ledger that is charged has no room for the teacher.
    """
    options = options or PairOptions()
    made = data if isinstance(data, Preferences) else pairs_for(data, options)
    return train(
        made, out=Path(out), setup=setup, recipe=recipe, centre=centre, held_out=measured_on(options), progress=progress
    )


def measured_on(options: PairOptions) -> float | Sequence[Pair]:
    """The share of prompts, or the pairs, that are held out."""
    if isinstance(options.held_out, int | float):
        return options.held_out
    plain = replace(options, teacher=None, teacher_scale=None, hard_negatives=None, hard_by=None)
    return pairs_for(options.held_out, plain).pairs


def pairs_for(
    data: Source | Dataset,
    options: PairOptions,
    *,
    format: str | None = None,  # noqa: A002  # what it is called everywhere else
    on_bad: OnBad | None = None,
    builder: Builder | None = None,
    ledger: Ledger | None = None,
) -> Preferences:
    """The preferences of a data set, with its teacher's soft labels and its hard negatives. Raises as `train_rm`."""
    source = data if isinstance(data, Dataset) else load(data, format=format, on_bad=on_bad)
    pools: Sequence[Pool] | Dataset = source
    by, taught = options.by, ""
    if options.teacher is not None:
        pools, taught = taught_pools(source, options.teacher, builder or Builder(), ledger)
        unlabelled = all(pool.scores.keys() <= {taught} for pool in pools)
        by = taught if by is None and unlabelled else by
    label = by if by is not None or not taught else _other(pools, taught)
    made = preferences(pools, by=label, pairing=options.pairing, margin=options.margin)
    found = replace(made, source=source.name, apart=options.apart)
    if taught:
        found, scale = softened(found, pools, by=taught, scale=options.teacher_scale)
        found = replace(found, source=f"{found.source}, with soft labels of {taught} (scale {scale:.3g})")
    if options.hard_negatives is not None:
        hard = hard_negatives(read_pools(options.hard_negatives), by=options.hard_by)
        told = f"{found.source}, and {len(hard)} pairs of wrong answers that scored high"
        found = replace(found, pairs=(*found.pairs, *hard), source=told)
    return found


def taught_pools(
    source: Iterable[Pool], teacher: str | ScorerLike, builder: Builder, ledger: Ledger | None
) -> tuple[list[Pool], str]:
    """Pools with a teacher's scores, which it gave without seeing others; and their name."""
    scorer = builder.scorer(teacher)

    async def run() -> list[Pool]:
        return [pool async for pool in scored(source, {scorer.name: scorer}, ledger=ledger)]

    try:
        return blocking.run(run()), scorer.name
    finally:
        if scorer.spec:  # what was given is the caller's to close
            scorer.close()


def _other(pools: Sequence[Pool] | Dataset, taught: str) -> str | None:
    """The one scorer besides the teacher that pools have, where none is called `correct`."""
    names = {name for pool in pools for name in pool.scores} - {taught}
    if "correct" in names:
        return None
    if len(names) > 1:
        raise UsageError(
            f"pools have the scorers {', '.join(sorted(names))}: say by which answers are better (by=NAME)"
        )
    return next(iter(names), None)
