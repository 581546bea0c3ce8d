"""Diverse beam search on small table-driven models: known answers, exhaustive search, and its own definition."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from bon.generate.beams import Beam, diverse_beam_search

Floats = npt.NDArray[np.float64]


class Table:
    """A first-order model: the next token's log-probabilities depend on the last token only."""

    def __init__(self, size: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.start = np.log(rng.dirichlet(np.ones(size)))
        self.after = np.log(rng.dirichlet(np.ones(size), size))

    def advance(self, rows: Sequence[int], tokens: Sequence[int]) -> Floats:
        return self.after[list(tokens)]

    def total(self, tokens: Sequence[int]) -> float:
        steps = (self.after[a][b] for a, b in itertools.pairwise(tokens))
        return float(self.start[tokens[0]]) + math.fsum(steps)


def search(
    model: Table, *, groups: int = 1, width: int = 1, penalty: float = 0.0, length: int = 4, end: int | None = None
) -> list[Beam]:
    *_, last = diverse_beam_search(
        model.start,
        model.advance,
        groups=groups,
        width=width,
        penalty=penalty,
        length=length,
        ends=lambda tokens: tokens[-1] == end,
    )
    return last


def test_a_search_wide_enough_finds_the_best_of_all() -> None:
    model = Table(4)
    ranked = sorted(itertools.product(range(4), repeat=4), key=lambda tokens: -model.total(tokens))
    beams = search(model, width=256)
    assert {beam.tokens for beam in beams} == set(ranked)
    assert [beam.total for beam in beams] == pytest.approx([model.total(tokens) for tokens in ranked])


@pytest.mark.parametrize("seed", range(5))
def test_one_beam_is_greedy(seed: int) -> None:
    model = Table(9, seed)
    [beam] = search(model, length=6)
    token = int(model.start.argmax())
    expected = [token]
    for _ in range(5):
        token = int(model.after[token].argmax())
        expected.append(token)
    assert list(beam.tokens) == expected


@pytest.mark.parametrize("seed", range(5))
def test_groups_without_penalty_are_the_same_search(seed: int) -> None:
    model = Table(9, seed)
    alone = {beam.tokens for beam in search(model, width=3)}
    for group in range(2):
        assert {beam.tokens for beam in search(model, width=3, groups=2) if beam.group == group} == alone


@pytest.mark.parametrize("seed", range(5))
def test_groups_of_one_follow_the_papers_algorithm(seed: int) -> None:
    """Algorithm 1 with one beam a group: each group is greedy on what the earlier groups of this step left."""
    model, penalty = Table(9, seed), 0.4
    beams = sorted(search(model, groups=4, penalty=penalty, length=6), key=lambda beam: beam.group)
    paths: list[list[int]] = [[] for _ in range(4)]
    for _ in range(6):
        taken: list[int] = []
        for path in paths:
            logprobs = model.after[path[-1]] if path else model.start
            worth = [lp - penalty * taken.count(token) for token, lp in enumerate(logprobs)]
            taken.append(worth.index(max(worth)))
            path.append(taken[-1])
    assert [list(beam.tokens) for beam in beams] == paths
    assert [beam.total for beam in beams] == pytest.approx([model.total(path) for path in paths])


def test_a_large_penalty_makes_every_group_go_its_own_way() -> None:
    beams = search(Table(8), groups=4, penalty=1e6, length=5)
    for step in range(5):
        assert len({beam.tokens[step] for beam in beams}) == 4


def test_ended_beams_stay_until_better_ones_push_them_out() -> None:
    model = Table(3)
    model.start = np.log(np.array([0.5, 0.3, 0.2]))
    model.after[:] = np.log(np.array([0.05, 0.9, 0.05]))
    two = search(model, width=2, length=3, end=0)
    assert [beam.tokens for beam in two] == [(0,), (1, 1, 1)]
    assert [beam.ended for beam in two] == [True, False]
    one = search(model, width=1, length=3, end=0)
    assert [beam.tokens for beam in one] == [(0,)], "an ended search stops"
    model.start = np.log(np.array([0.2, 0.5, 0.3]))
    assert [beam.tokens for beam in search(model, width=2, length=3, end=0)] == [(1, 1, 1), (2, 1, 1)]


def test_what_the_model_said_of_each_token_is_kept() -> None:
    model = Table(6)
    for beam in search(model, groups=2, width=2, penalty=3.0):
        assert beam.total == pytest.approx(model.total(beam.tokens))
        rows = [model.start, *(model.after[token] for token in beam.tokens[:-1])]
        expected = [-sum(math.log(6 * math.exp(lp)) for lp in row) / 6 for row in rows]
        assert beam.certainties == pytest.approx(expected)


def test_rows_lead_back_to_their_parents() -> None:
    """A model that remembers whole rows must see each beam's own history."""
    model, histories = Table(5, 3), [[()]]

    def advance(rows: Sequence[int], tokens: Sequence[int]) -> Floats:
        histories.append([(*histories[-1][row], token) for row, token in zip(rows, tokens, strict=True)])
        return model.advance(rows, tokens)

    *_, last = diverse_beam_search(
        model.start, advance, groups=2, width=3, penalty=0.5, length=6, ends=lambda tokens: tokens[-1] == 4
    )
    alive = {beam.tokens[:-1] for beam in last if len(beam.tokens) == 6}
    assert alive
    assert alive <= set(histories[-1])
