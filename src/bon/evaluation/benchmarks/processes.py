"""Solutions in steps: finding the first wrong step (ProcessBench), marking every step (PRMBench); pure.

Zheng et al. 2024, "ProcessBench: Identifying Process Errors in Mathematical Reasoning"; Song et al. 2025, "PRMBench: A
Fine-grained and Challenging Benchmark for Process-Level Reward Models". Both as in the benchmarks' own code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from bon.evaluation.benchmarks.family import Family
from bon.evaluation.benchmarks.graded import graded
from bon.evaluation.items import UNSCORED, Item, Outcome, Said
from bon.evaluation.measures import OVERALL, Floats, Found, Measure, Row, counted, outcomes

__all__ = ["PRMBENCH", "PROCESSBENCH", "THRESHOLD", "first_wrong", "prm_score"]

_Of: TypeAlias = Callable[[Floats], Floats]

THRESHOLD = 0.5
"""A step whose score is below it is held to be wrong."""

_COUNTS = 4
"""Columns of PRMBench: right steps called right and wrong, wrong steps called right and wrong."""
_CORRECT_KIND = "correct"
"""The kind of PRMBench's solutions without an error, which its total leaves out."""
_ASPECTS = {
    "simplicity": ("redundency", "circular"),
    "soundness": ("counterfactual", "step_contradiction", "domain_inconsistency", "confidence"),
    "sensitivity": ("missing_condition", "deception", "multi_solutions"),
}
"""The kinds of errors by what they test, as PRMBench's tables put them together."""


def first_wrong(item: Item, said: Said) -> int | None:
    """Which step a scorer holds to be the first wrong one, from 0; -1 for none. None where it does not say.

    The part `first_error` says so; else it is the first of the scores of all steps that is below `THRESHOLD`.
    """
    if said.first_error is not None:
        return int(said.first_error)
    if said.steps is None or len(said.steps) != item.count:
        return None
    return next((place for place, score in enumerate(said.steps) if score < THRESHOLD), -1)


def found_error(item: Item, said: Said) -> Outcome | None:
    """Whether the first wrong step is found, or that there is none."""
    if "first_error" not in item.facts:
        return None
    found = first_wrong(item, said)
    if found is None:
        return UNSCORED
    label = item.facts["first_error"]
    return Outcome(float(found == (-1 if label is None else label)))


def processbench(items: Sequence[Item], scorer: str) -> Iterator[Measure | Row]:
    """Accuracy on flawed and on flawless solutions and their harmonic mean (F1) by subset; overall the mean of the F1.

    A scorer that scores whole solutions alone has the AUC of telling flawless ones.
    """
    yield from graded(items, scorer)
    if not any(_says(item, scorer) for item in items):
        return
    found = outcomes(items, scorer, found_error)
    names = list(dict.fromkeys(item.subset for item, _ in found))
    table = np.zeros((len(found), 4 * len(names)))
    for row, (item, outcome) in zip(table, found, strict=True):
        at = 4 * names.index(item.subset) + 2 * (item.facts["first_error"] is None)
        row[at : at + 2] = outcome.credit, 1.0
    for place, name in enumerate(names):
        part = [at for at, (item, _) in enumerate(found) if item.subset == name]
        yield from _f1(name, [found[at] for at in part], table[part, 4 * place : 4 * place + 4])
    yield counted(
        found,
        table,
        metric="mean f1",
        of=lambda means: np.mean([_harmonic(means[..., 4 * k : 4 * k + 4]) for k in range(len(names))], axis=0),
    )


def marked(item: Item, said: Said) -> Outcome | None:
    """The share of the steps that are called what they are; None without steps."""
    if not item.count:
        return None
    table = _marks(item, said)
    return UNSCORED if table is None else Outcome(float((table[0] + table[3]) / table.sum()))


def prmbench(items: Sequence[Item], scorer: str) -> Iterator[Measure | Row]:
    """PRM-score by the kind of error, by aspect (the mean of its kinds), and over the steps of all kinds; both F1.

    As in the benchmark, solutions without an error are a kind of their own, and what is unscored counts nowhere. Of a
    kind whose solutions are all flawless ("multi_solutions") the PRM-score is the F1 of right steps.
    """
    yield from graded(items, scorer)
    if not any(_says(item, scorer) for item in items):
        return
    found = outcomes(items, scorer, marked)
    kinds = list(dict.fromkeys(item.subset for item, _ in found))
    of = {kind: _positive if _flawless(found, kind) else prm_score for kind in kinds}
    for kind in kinds:
        yield _scored([one for one in found if one[0].subset == kind], scorer, subset=kind, of=of[kind])
    for aspect, all_kinds in _ASPECTS.items():
        if there := [kind for kind in all_kinds if kind in of]:
            yield _mean_of_kinds(found, scorer, aspect, {kind: of[kind] for kind in there})
    flawed = [one for one in found if one[0].subset != _CORRECT_KIND]
    yield _scored(flawed, scorer, metric="f1 of right steps", of=_positive)
    yield _scored(flawed, scorer, metric="f1 of wrong steps", of=_negative)
    yield _scored(flawed, scorer, metric="accuracy of steps", of=_accuracy)
    yield _scored(flawed, scorer)


def prm_score(counts: Floats) -> Floats:
    """The mean of the F1 of right and of wrong steps, of counts of shape `(..., 4)`."""
    return np.asarray((_positive(counts) + _negative(counts)) / 2)


def _scored(
    found: Found, scorer: str, *, subset: str = OVERALL, metric: str = "prm-score", of: _Of = prm_score
) -> Measure:
    return counted(found, _table(found, scorer), subset=subset, metric=metric, of=of)


def _mean_of_kinds(found: Found, scorer: str, aspect: str, of: Mapping[str, _Of]) -> Measure:
    """The mean of the PRM-scores of kinds; each has columns of its own."""
    part = [one for one in found if one[0].subset in of]
    counts, table = _table(part, scorer), np.zeros((len(part), _COUNTS * len(of)))
    place = {kind: slice(_COUNTS * k, _COUNTS * (k + 1)) for k, kind in enumerate(of)}
    for row, (item, _), marks in zip(table, part, counts, strict=True):
        row[place[item.subset]] = marks

    def mean(means: Floats) -> Floats:
        return np.asarray(np.mean([score(means[..., place[kind]]) for kind, score in of.items()], axis=0))

    return counted(part, table, subset=aspect, metric="prm-score", of=mean)


def _table(found: Found, scorer: str) -> Floats:
    """Counts of each item, shape `(m, 4)`; 0 where it could not be scored."""
    tables = [_marks(item, item.said[scorer]) for item, _ in found]
    return np.array([np.zeros(_COUNTS) if one is None else one for one in tables]).reshape(-1, _COUNTS)


def _flawless(found: Found, kind: str) -> bool:
    return not any(item.facts.get("error_steps") for item, _ in found if item.subset == kind)


def _marks(item: Item, said: Said) -> Floats | None:
    """How many right steps are called right, and wrong; and wrong ones right, and wrong; None unless all are scored."""
    if said.steps is None or len(said.steps) != item.count:
        return None
    called = np.array(said.steps) >= THRESHOLD
    right = np.ones(item.count, dtype=np.bool_)
    right[[*item.facts.get("error_steps", ())]] = False
    sums = [(right & called).sum(), (right & ~called).sum(), (~right & called).sum(), (~right & ~called).sum()]
    return np.array(sums, dtype=np.float64)


def _positive(counts: Floats) -> Floats:
    return _f(counts[..., 0], counts[..., 2], counts[..., 1])


def _negative(counts: Floats) -> Floats:
    return _f(counts[..., 3], counts[..., 1], counts[..., 2])


def _accuracy(counts: Floats) -> Floats:
    return np.asarray((counts[..., 0] + counts[..., 3]) / counts.sum(axis=-1))


def _f(hits: Floats, false: Floats, missed: Floats) -> Floats:
    """F1 of hits, false alarms and misses; 0 where there is no hit."""
    return np.asarray(2 * hits / np.maximum(2 * hits + false + missed, 1e-300))


def _f1(subset: str, found: Found, table: Floats) -> Iterator[Measure]:
    """The three metrics of a subset; columns are (hits, count) of flawed and of flawless solutions."""
    names = ("accuracy, flawed", "accuracy, flawless")
    for place, name in enumerate(names):
        part = [at for at, row in enumerate(table) if row[2 * place + 1]]
        if part:
            yield counted([found[at] for at in part], table[part][:, [2 * place]], subset=subset, metric=name)
    yield counted(found, table, subset=subset, metric="f1", of=_harmonic)


def _harmonic(means: Floats) -> Floats:
    """The harmonic mean of both accuracies, 0 where both are; NaN unless there are solutions of both kinds."""
    flawed, flawless = means[..., 0] / means[..., 1], means[..., 2] / means[..., 3]
    return np.asarray(2 * flawed * flawless / np.where(flawed + flawless == 0, 1.0, flawed + flawless))


def _says(item: Item, scorer: str) -> bool:
    said = item.said.get(scorer)
    return said is not None and (said.steps is not None or said.first_error is not None)


PROCESSBENCH = Family(
    summary="the first wrong step: the harmonic mean of flawed and flawless by subset; overall: their mean",
    outcome=found_error,
    measures=processbench,
)
PRMBENCH = Family(
    summary="every step: PRM-score (the mean of two F1) by kind of error and over all kinds",
    outcome=marked,
    measures=prmbench,
)
