"""Pairs out of rows and pools."""

from __future__ import annotations

from typing import Any

import pytest

from bon.errors import UsageError
from bon.store.datasets import load
from bon.train.preferences import Pairing, hard_negatives, pairs_of, preferences
from bon.types import Candidate, Pool, Prompt, Score, as_messages


def pool(values: list[float | None], *, metadata: dict[str, Any] | None = None, **more: list[float | None]) -> Pool:
    def scores(some: list[float | None]) -> tuple[Score, ...]:
        return tuple(Score.missing("none") if value is None else Score(value=value) for value in some)

    return Pool(
        prompt=Prompt(id="p", messages=as_messages("Why?"), metadata=metadata or {}),
        candidates=tuple(Candidate(index=i, text=f"answer {i}") for i in range(len(values))),
        scores={"judge": scores(values), **{name: scores(some) for name, some in more.items()}},
    )


@pytest.mark.parametrize(
    ("pairing", "expected"),
    [
        ("best-worst", [(2, 1)]),
        ("all", [(2, 0), (2, 4), (2, 1), (0, 1), (4, 1)]),
        ("adjacent", [(2, 0), (4, 1)]),
    ],
)
def test_pairs_of_a_pool(pairing: Pairing, expected: list[tuple[int, int]]) -> None:
    found = pairs_of(pool([0.5, 0.1, 0.9, None, 0.5]), by="judge", pairing=pairing)
    assert [(pair.chosen, pair.rejected) for pair in found] == [(f"answer {a}", f"answer {b}") for a, b in expected]


def test_margins_are_gaps_or_columns() -> None:
    one = pool([3.0, 1.0], metadata={"margin": 0.5, "strength": 2})
    assert [pair.margin for pair in pairs_of(one, by="judge")] == [0.5]
    assert [pair.margin for pair in pairs_of(one, by="judge", margin="gap")] == [2.0]
    assert [pair.margin for pair in pairs_of(one, by="judge", margin="strength")] == [2.0]
    with pytest.raises(UsageError, match="margin 'size' is None"):
        list(pairs_of(one, by="judge", margin="size"))
    with pytest.raises(UsageError, match="margin 'margin' is True"):
        list(pairs_of(pool([2.0, 1.0], metadata={"margin": True}), by="judge"))


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Why?", "chosen": "Because.", "rejected": "No."},
        {"chosen": "Why? Because.", "rejected": "Why? No."},
        {
            "prompt": [{"role": "user", "content": "Why?"}],
            "chosen": [{"role": "assistant", "content": "Because."}],
            "rejected": [{"role": "assistant", "content": "No."}],
        },
        {
            "chosen": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}],
            "rejected": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "No."}],
        },
    ],
)
def test_rows_of_trl_are_preferences(row: dict[str, Any]) -> None:
    (pair,) = preferences(load([{**row, "margin": 1.5}])).pairs
    assert [message["content"] for message in pair.messages] == ["Why?"]
    assert (pair.chosen.strip(), pair.rejected.strip()) == ("Because.", "No.")
    assert (pair.margin, pair.target) == (1.5, 1.0)


def test_what_gives_no_pair_is_counted() -> None:
    pools = [pool([1.0, 0.0]), pool([1.0, 1.0]), pool([1.0, None]), pool([0.5, 0.5])]
    found = preferences(pools)
    assert len(found.pairs) == 1
    assert found.left_out == {"all values are equal": 2, "fewer than two candidates have a value of judge": 1}


def test_correct_is_the_truth_unless_something_else_is_said() -> None:
    both = pool([0.9, 0.1], correct=[0.0, 1.0])
    assert [pair.chosen for pair in preferences([both]).pairs] == ["answer 1"]
    assert [pair.chosen for pair in preferences([both], by="judge").pairs] == ["answer 0"]


def test_data_without_pairs_and_scorers_that_are_not_there_are_said() -> None:
    with pytest.raises(UsageError, match=r"no pair to learn from .1 pools: all values are equal"):
        preferences([pool([1.0, 1.0])])
    with pytest.raises(UsageError, match="no scores 'rm'; it has 'judge'"):
        preferences([pool([1.0, 0.0])], by="rm")
    with pytest.raises(UsageError, match="scorers 'judge', 'rm'"):
        preferences([pool([1.0, 0.0], rm=[0.0, 1.0])])


def test_wrong_answers_that_scored_high_go_back_in() -> None:
    fooled = pool([0.9, 0.4, 0.7, 0.2, 0.8], correct=[0.0, 1.0, 1.0, 0.0, 0.0])
    assert [(pair.chosen, pair.rejected) for pair in hard_negatives([fooled])] == [
        ("answer 1", "answer 0"),
        ("answer 1", "answer 4"),
    ]
    assert all(pair.hard for pair in hard_negatives([fooled]))
    assert len(hard_negatives([fooled], most=1)) == 1


def test_pools_that_fool_nobody_give_no_hard_negatives() -> None:
    assert hard_negatives([pool([0.9, 0.1], correct=[1.0, 0.0])]) == ()
    assert hard_negatives([pool([0.9, 0.1], correct=[0.0, 0.0])]) == ()
    with pytest.raises(UsageError, match="say by which"):
        hard_negatives([pool([0.9], rm=[0.1], correct=[1.0])])
