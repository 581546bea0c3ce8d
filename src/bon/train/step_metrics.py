"""How well a process reward model tells right steps from wrong ones, with intervals; pure: numbers in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bon.errors import UsageError
from bon.score.process.aggregate import THRESHOLD, first_error
from bon.stats import auc, expected_calibration_error
from bon.train.metrics import Figure, intervals

__all__ = ["Marked", "figures_of_steps", "first_error_f1", "measured_steps"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_LEAST = 1e-7
"""The least probability of which a logarithm is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A solution of which a model has said how likely each step is right."""

    said: tuple[float, ...]
    """In [0, 1], or a little outside of it where a model was trained by squares."""
    labels: tuple[float | None, ...]
    """What is known of each step; None where nothing is."""

    @property
    def first(self) -> int | None:
        """The first step that is wrong, -1 where all are right; None where the labels do not say."""
        for place, label in enumerate(self.labels):
            if label is None:
                return None
            if label < THRESHOLD:
                return place
        return -1


def figures_of_steps(rows: Sequence[Marked], threshold: float = THRESHOLD) -> dict[str, float]:
    """The figures that are watched while training. Raises UsageError where no step has a label.

    Over labelled steps: `loss`, the cross-entropy with the labels in nats, whatever the model is trained by;
    `accuracy`, the share told right or wrong; `auc`; and `calibration`, the expected calibration error. Over solutions
    of which it is known which step is the first wrong one, or that there is none: those of `first_error_f1`. What
    cannot be told (all steps are right, or all solutions) is left out.
    """
    table = _Table.of(rows, threshold)
    return table.figures(np.arange(len(rows)))


def first_error_f1(found: npt.ArrayLike, flawed: npt.ArrayLike) -> dict[str, float]:
    """ProcessBench's score (Zheng et al. 2024): the harmonic mean of two shares; nothing where one is of no solution.

    Both of shape `(m,)`, of 0 and 1: whether the first wrong step was found, or that there is none, and whether there
    is one. `first_error_found` is the share of flawed solutions, `flawless_found` that of flawless ones.
    """
    hits, wrong = np.asarray(found, dtype=np.float64), np.asarray(flawed, dtype=np.bool_)
    if wrong.all() or not wrong.any():
        return {}
    of_flawed, of_flawless = float(hits[wrong].mean()), float(hits[~wrong].mean())
    total = of_flawed + of_flawless
    return {
        "first_error_f1": 2 * of_flawed * of_flawless / total if total else 0.0,
        "first_error_found": of_flawed,
        "flawless_found": of_flawless,
    }


def measured_steps(rows: Sequence[Marked], *, groups: Sequence[str], seed: int = 0) -> dict[str, Figure]:
    """`figures_of_steps` with 95 % intervals, by the bootstrap over groups (prompts), one a solution."""
    table = _Table.of(rows, THRESHOLD)
    ends = intervals(table.figures, groups, seed=seed)
    return {
        name: Figure(value=value, n=table.solutions if name in _OF_SOLUTIONS else table.steps, **ends.get(name, {}))
        for name, value in table.figures(np.arange(len(rows))).items()
    }


_OF_SOLUTIONS = frozenset({"first_error_f1", "first_error_found", "flawless_found"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """Labelled steps of all solutions as arrays, and which of them are whose; what is worked out once."""

    said: Floats
    labels: Floats
    places: list[Ints]
    """Of each solution: where its labelled steps are."""
    known: npt.NDArray[np.bool_]
    """Of each solution: whether its first wrong step is known, or that there is none."""
    found: npt.NDArray[np.bool_]
    flawed: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Sequence[Marked], threshold: float) -> _Table:
        said, labels, places = list[float](), list[float](), list[Ints]()
        for row in rows:
            pairs = [(s, label) for s, label in zip(row.said, row.labels, strict=True) if label is not None]
            places.append(np.arange(len(said), len(said) + len(pairs)))
            said += [s for s, _ in pairs]
            labels += [label for _, label in pairs]
        if not said:
            raise UsageError("no step has a label: there is nothing to measure")
        first = [row.first for row in rows]
        return cls(
            said=np.array(said),
            labels=np.array(labels),
            places=places,
            known=np.array([one is not None for one in first]),
            found=np.array([first_error(row.said, threshold) == one for row, one in zip(rows, first, strict=True)]),
            flawed=np.array([one != -1 for one in first]),
        )

    @property
    def steps(self) -> int:
        return self.said.size

    @property
    def solutions(self) -> int:
        return int(self.known.sum())

    def figures(self, rows: Ints) -> dict[str, float]:
        """Of these solutions, of which some may be there more than once."""
        at = np.concatenate([self.places[row] for row in rows])
        known = rows[self.known[rows]]
        told = first_error_f1(self.found[known], self.flawed[known])
        return {**_of_steps(self.said[at], self.labels[at]), **told} if at.size else told


def _of_steps(said: Floats, labels: Floats) -> dict[str, float]:
    chance, right = np.clip(said, _LEAST, 1 - _LEAST), (labels >= THRESHOLD).astype(np.float64)
    separated = auc(said, right)
    promised = expected_calibration_error(np.clip(said, 0.0, 1.0), right)
    return {
        "loss": float(-(labels * np.log(chance) + (1 - labels) * np.log(1 - chance)).mean()),
        "accuracy": float(((said >= THRESHOLD) == (right == 1)).mean()),
        **({} if separated is None else {"auc": separated}),
        **({} if promised is None else {"calibration": promised}),
    }
