"""Training from data and specs: `bon.train_prm`; reads solutions, asks teachers, and hands both to `train`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bon.api.training import taught_pools
from bon.errors import UsageError
from bon.ledger import Ledger
from bon.registry import Builder
from bon.score import ScorerLike
from bon.score.process.steps import Splitter
from bon.store.datasets import Dataset, load
from bon.store.diagnosis import OnBad
from bon.store.pools import read_pools
from bon.store.sources import Source
from bon.train.process_model import RECIPE, Marks
from bon.train.process_model import train_prm as train
from bon.train.recipe import Hook, Recipe
from bon.train.starting import Setup
from bon.train.step_report import StepReport
from bon.train.stepwise import Labels, Solution, Stepwise, hard_solutions, shown, solutions, taught, unlabelled

__all__ = ["StepOptions", "solutions_for", "steps_measured_on", "train_prm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOptions:
    """How solutions with labelled steps are made of data."""

    by: str | None = None
    """The scorer that labels them; None: `correct`, then `math`, else the only one there is."""
    labels: Labels = "steps"
    """"steps", or "outcome": at the last step, whether the solution ends right, and nothing before it."""
    cut: str | Splitter | None = None
    """How texts are cut into steps; None: as the data name them, else as is seen from the text."""
    teacher: str | ScorerLike | None = None
    """A scorer whose step scores become the labels, instead of `by`; one of whole solutions labels the last step."""
    hard_negatives: str | Path | None = None
    """Scored pools whose wrong solutions that scored high are trained on too, and never measured on."""
    hard_by: str | None = None
    """The scorer that they fooled; None: the only one of those pools besides `correct`."""
    held_out: float | Source | Dataset = 0.1
    """What is measured on: a share of the prompts, or data of its own, with labels."""

    def __post_init__(self) -> None:
        if self.teacher is not None and self.by is not None and isinstance(self.held_out, int | float):
            raise UsageError(f"by is {self.by!r}, and the teacher labels the steps instead: give one of the two")
        if self.hard_negatives is None and self.hard_by is not None:
            raise UsageError(f"hard_by is {self.hard_by!r}, and there are no hard_negatives: give pools, or leave it")


def train_prm(
    data: Source | Dataset | Stepwise,
    *,
    out: str | Path,
    setup: Setup | None = None,
    recipe: Recipe = RECIPE,
    options: StepOptions | None = None,
    marks: Marks | None = None,
    progress: Hook | None = None,
) -> StepReport:
    """Train a process reward model on solutions, and return what it is worth; `out` then loads as `prm:out`. It blocks.

    `data` are rows of prompt, completions and labels, PRM800K's or Math-Shepherd's, or scored pools: a file, a folder,
    a data set of the hub, rows in memory. `setup` says what is trained (base, head alone, LoRA or all weights),
    `recipe` how, `options` how steps are labelled and what is held out, `marks` by which loss and separator. The same
    call goes on where one was stopped.

    Raises as `bon.train.process_model.train_prm` does, `DataError` for a row that cannot be used, and `CapReached`
    where the ledger that is charged has no room for the teacher.
    """
    options = options or StepOptions()
    made = data if isinstance(data, Stepwise) else solutions_for(data, options)
    held_out = steps_measured_on(options)
    return train(made, out=Path(out), setup=setup, recipe=recipe, marks=marks, held_out=held_out, progress=progress)


def steps_measured_on(options: StepOptions) -> float | Sequence[Solution]:
    """The share of prompts, or the solutions, that are held out; those have labels of their own, not a teacher's."""
    if isinstance(options.held_out, int | float):
        return options.held_out
    plain = replace(options, teacher=None, hard_negatives=None, hard_by=None)
    return solutions_for(options.held_out, plain).solutions


def solutions_for(
    data: Source | Dataset,
    options: StepOptions,
    *,
    format: str | None = None,  # noqa: A002  # what it is called everywhere else
    on_bad: OnBad | None = None,
    builder: Builder | None = None,
    ledger: Ledger | None = None,
) -> Stepwise:
    """The solutions of a data set, with its own labels or a teacher's, and hard negatives. Raises as `train_prm`."""
    source = data if isinstance(data, Dataset) else load(data, format=format, on_bad=on_bad)
    if options.teacher is None:
        found = solutions(source, by=options.by, labels=options.labels, cut=options.cut)
        told = source.name
    else:
        bare = unlabelled(source, cut=options.cut)
        pools, name = taught_pools(shown(bare), options.teacher, builder or Builder(), ledger)
        found, told = taught(bare, pools, by=name), f"{source.name}, with soft labels of {name}"
    if options.hard_negatives is not None:
        hard = hard_solutions(read_pools(options.hard_negatives), by=options.hard_by)
        told = f"{told}, and {len(hard)} wrong solutions that scored high"
        found = replace(found, solutions=(*found.solutions, *hard))
    return replace(found, source=told)
