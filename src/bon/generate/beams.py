"""Diverse beam search over any next-token model; pure: the model is a function, and nothing here knows of text.

Vijayakumar et al. 2016, "Diverse Beam Search: Decoding Diverse Solutions from Neural Sequence Models".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Advance", "Beam", "diverse_beam_search"]

Advance: TypeAlias = Callable[[Sequence[int], Sequence[int]], npt.NDArray[np.floating]]
"""`(rows, tokens) -> (R, V)`: log-probabilities after row `rows[i]` of the previous call went on with `tokens[i]`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beam:
    """One hypothesis."""

    group: int
    row: int = 0
    """Where the model's last answer speaks of it; meaningless once it has ended."""
    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    """Of each token, in nats; beams are ranked by their sum, without any length normalisation."""
    certainties: tuple[float, ...] = ()
    """KL(uniform || p) at each token."""
    ended: bool = False

    @property
    def total(self) -> float:
        return math.fsum(self.logprobs)


def diverse_beam_search(
    first: npt.NDArray[np.floating],
    advance: Advance,
    *,
    groups: int,
    width: int,
    penalty: float,
    length: int,
    ends: Callable[[Sequence[int]], bool],
) -> Generator[list[Beam], None, None]:
    """Search with `groups` groups of `width` beams; yields all of them after each token, the most likely first.

    `first` are the log-probabilities after the prompt, shape `(V,)`. In each step the groups choose one after another,
    and a token costs a later group `penalty` nats for each earlier beam that chose it in this step; the penalty
    decides who goes on, and is not part of a beam's total. `ends` says whether tokens are a whole answer: such a beam
    keeps its place until better ones push it out. The search is over when all beams have ended or have `length` tokens.
    """
    beams = [[Beam(group=group)] for group in range(groups)]
    logprobs = first[None, :]
    for step in range(length):
        taken = np.zeros(logprobs.shape[-1])
        for group, current in enumerate(beams):
            beams[group] = _best(current, logprobs, penalty * taken, width=width, ends=ends)
            for beam in beams[group]:
                if len(beam.tokens) > step:
                    taken[beam.tokens[-1]] += 1
        live = [beam for group_beams in beams for beam in group_beams if not beam.ended]
        yield sorted((beam for group_beams in beams for beam in group_beams), key=lambda beam: -beam.total)
        if not live or step + 1 == length:
            return
        logprobs = advance([beam.row for beam in live], [beam.tokens[-1] for beam in live])
        row = count()
        beams = [[b if b.ended else replace(b, row=next(row)) for b in group_beams] for group_beams in beams]


def _best(
    beams: Sequence[Beam],
    logprobs: npt.NDArray[np.floating],
    cost: npt.NDArray[np.float64],
    *,
    width: int,
    ends: Callable[[Sequence[int]], bool],
) -> list[Beam]:
    """The `width` best of what a group's beams become with one more token; those that have ended stay as they are."""
    options: list[tuple[float, Beam, int | None]] = [(beam.total, beam, None) for beam in beams if beam.ended]
    for beam in beams:
        if not beam.ended:
            worth = logprobs[beam.row] - cost
            likely = np.argsort(-worth, kind="stable")[:width]
            options += [(beam.total + float(worth[token]), beam, int(token)) for token in likely]
    options.sort(key=lambda option: -option[0])
    return [beam if token is None else _grown(beam, token, logprobs, ends) for _, beam, token in options[:width]]


def _grown(beam: Beam, token: int, logprobs: npt.NDArray[np.floating], ends: Callable[[Sequence[int]], bool]) -> Beam:
    row = logprobs[beam.row]
    tokens = (*beam.tokens, token)
    return replace(
        beam,
        tokens=tokens,
        logprobs=(*beam.logprobs, float(row[token])),
        certainties=(*beam.certainties, -float(row.mean()) - math.log(len(row))),
        ended=ends(tokens),
    )
