"""Which rows each step of a training takes, in which passes, at what learning rate; pure: all follows from the seed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np

from bon.train.recipe import Recipe

R = TypeVar("R")

__all__ = ["learning_rate", "met", "passes", "rows_from", "rows_of", "seed_of", "steps_an_epoch", "steps_in_all"]


def steps_an_epoch(rows: int, recipe: Recipe) -> int:
    """Steps in which each row is met once; the last may have fewer rows."""
    return math.ceil(rows / recipe.batch)


def steps_in_all(rows: int, recipe: Recipe) -> int:
    """Steps of the whole training, if it does not stop early."""
    return min(recipe.epochs * steps_an_epoch(rows, recipe), recipe.steps or 10**12)


def rows_of(step: int, rows: int, recipe: Recipe) -> list[int]:
    """The places of the rows that step number `step`, from 0, takes: every epoch has an order of its own."""
    epoch, within = divmod(step, steps_an_epoch(rows, recipe))
    return _shuffled(rows, recipe.seed, epoch)[within * recipe.batch : (within + 1) * recipe.batch]


def rows_from(start: int, count: int, rows: int, *, seed: int) -> list[int]:
    """The places of the rows that numbers `start`, `start + 1` ... of an endless row of epochs take.

    Each epoch meets every row once, in an order of its own.
    """
    return [_shuffled(rows, seed, number // rows)[number % rows] for number in range(start, start + count)]


@lru_cache(maxsize=2)
def _shuffled(rows: int, seed: int, epoch: int) -> list[int]:
    return [int(place) for place in np.random.default_rng([abs(seed), seed < 0, epoch]).permutation(rows)]


def met(rows: Sequence[R], recipe: Recipe) -> Sequence[R]:
    """The rows that a training meets at all, in their order: as many as its steps take, drawn by its seed."""
    count = len(rows) if recipe.steps is None else recipe.steps * recipe.batch
    if count >= len(rows):
        return rows
    return [rows[place] for place in sorted(rows_from(0, count, len(rows), seed=recipe.seed))]


def passes(lengths: Sequence[int], tokens: int | None) -> list[list[int]]:
    """Places of rows, cut into passes, longest first: rows times the longest of them stay within `tokens`.

    A row that is longer than that by itself is a pass of its own. Without `tokens` all rows are one pass.
    """
    if tokens is None:
        return [list(range(len(lengths)))]
    found: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda place: (-lengths[place], place)):
        if found and lengths[found[-1][0]] * (len(found[-1]) + 1) <= tokens:
            found[-1].append(place)
        else:
            found.append([place])
    return found


def learning_rate(step: int, steps: int, recipe: Recipe) -> float:
    """The learning rate of step number `step`, from 0, of `steps`; the formulas of transformers' schedules."""
    warm = math.ceil(recipe.warmup * steps)
    if step < warm:
        return recipe.lr * step / warm
    done = (step - warm) / max(1, steps - warm)
    if recipe.schedule == "linear":
        return recipe.lr * (1 - done)
    return recipe.lr * (1 + math.cos(math.pi * done)) / 2 if recipe.schedule == "cosine" else recipe.lr


def seed_of(*parts: int | str) -> int:
    """One seed of 63 bits from what it is for, a run's seed and where the run has come to, in this order.

    What happened before leaves no trace in it. Two lists of parts that differ anywhere, in a word, in a sign or in how
    many they are, have seeds that are as good as independent: the parts are hashed as they are written. Begin with a
    word that nobody else begins with, so that draws that are held against each other share no random numbers.
    """
    written = repr([part if isinstance(part, str) else int(part) for part in parts])
    return int.from_bytes(hashlib.sha256(written.encode()).digest()[:8], "big") >> 1
