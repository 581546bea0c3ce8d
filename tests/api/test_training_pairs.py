"""Preferences out of data and specs: labels, teachers, hard negatives, and data held out of its own."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from bon.api.training import PairOptions, measured_on, pairs_for
from bon.errors import UsageError
from bon.score import pointwise
from bon.store.datasets import Dataset
from bon.store.pools import write_pools
from bon.types import Candidate, Pool, Prompt, Score, as_messages

ROWS = [{"prompt": f"Question {i}?", "chosen": "yes " * (i + 1), "rejected": "no"} for i in range(6)]


@pointwise
def length(prompt: Prompt, candidate: Candidate) -> float:
    """A teacher that likes length."""
    return len(candidate.text) / 10


def unlabelled(count: int = 4) -> list[Pool]:
    return [
        Pool(
            prompt=Prompt(id=str(i), messages=as_messages(f"Question {i}?")),
            candidates=(Candidate(index=0, text="no"), Candidate(index=1, text=f"yes, and {i} more")),
        )
        for i in range(count)
    ]


def dataset(pools: list[Pool]) -> Dataset:
    return Dataset(lambda: iter(pools), name="pools of ours")


def test_rows_need_nothing_said() -> None:
    found = pairs_for(ROWS, PairOptions())
    assert [pair.target for pair in found.pairs] == [1.0] * 6
    assert found.source == "the rows given"


def test_a_teacher_gives_soft_labels_to_labelled_rows() -> None:
    found = pairs_for(ROWS, PairOptions(teacher=length, teacher_scale=2.0))
    gaps = [(len(row["chosen"]) - len(row["rejected"])) / 10 for row in ROWS]
    assert [pair.target for pair in found.pairs] == pytest.approx([1 / (1 + math.exp(-2 * gap)) for gap in gaps])
    assert found.source == "the rows given, with soft labels of length (scale 2)"


def test_pools_without_scores_take_the_teachers_order_too() -> None:
    found = pairs_for(dataset(unlabelled()), PairOptions(teacher=length))
    assert all(pair.chosen.startswith("yes") for pair in found.pairs)
    assert all(0.5 < pair.target < 1 for pair in found.pairs)


def test_scores_of_somebody_else_stay_the_labels_beside_a_teacher() -> None:
    judged = [pool.with_scores("judge", [Score(value=1.0), Score(value=0.0)]) for pool in unlabelled()]
    found = pairs_for(dataset(judged), PairOptions(teacher=length, teacher_scale=1.0))
    assert all(pair.chosen == "no" and pair.target < 0.5 for pair in found.pairs)
    by_teacher = pairs_for(dataset(judged), PairOptions(teacher=length, by="length"))
    assert all(pair.chosen.startswith("yes") and pair.target > 0.5 for pair in by_teacher.pairs)


def test_two_scorers_and_a_teacher_leave_open_who_labels() -> None:
    judged = [
        pool.with_scores("one", [Score(value=1.0), Score(value=0.0)]).with_scores("two", [Score(value=0.5)] * 2)
        for pool in unlabelled()
    ]
    with pytest.raises(UsageError, match="scorers one, two: say by which"):
        pairs_for(dataset(judged), PairOptions(teacher=length))


def test_a_teacher_that_sees_whole_pools_is_shown_no_labels() -> None:
    seen: list[Any] = []

    async def listwise(pool: Pool) -> list[Score]:
        seen.append(pool.scores)
        return [Score(value=float(len(candidate.text))) for candidate in pool.candidates]

    pairs_for(ROWS, PairOptions(teacher=listwise, teacher_scale=1.0))
    assert seen == [{}] * 6


def test_hard_negatives_come_beside_the_pairs(tmp_path: Path) -> None:
    fooled = [
        pool.with_scores("rm", [Score(value=2.0), Score(value=1.0)]).with_scores(
            "correct", [Score(value=0.0), Score(value=1.0)]
        )
        for pool in unlabelled(2)
    ]
    write_pools(tmp_path / "hard.jsonl", fooled)
    found = pairs_for(ROWS, PairOptions(hard_negatives=tmp_path / "hard.jsonl"))
    assert [pair.hard for pair in found.pairs] == [False] * 6 + [True] * 2
    assert found.pairs[-1].rejected == "no"


def test_what_is_held_out_may_be_data_and_is_measured_by_its_labels() -> None:
    assert measured_on(PairOptions(held_out=0.2)) == 0.2
    pairs = measured_on(PairOptions(held_out=ROWS[:2], teacher=length, teacher_scale=9.0))
    assert not isinstance(pairs, float)
    assert [pair.target for pair in pairs] == [1.0, 1.0]
