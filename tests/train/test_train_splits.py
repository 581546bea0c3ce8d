"""Splits never part rows that share a prompt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon.errors import UsageError
from bon.train.splits import components, normalised, prompt_key, split_rows


@given(
    st.lists(st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=3), min_size=4, max_size=40), st.integers()
)
def test_no_key_is_on_both_sides(rows: list[list[str]], seed: int) -> None:
    try:
        train, held = split_rows(rows, lambda row: row, fraction=0.4, seed=seed)
    except UsageError:
        assert len(set(components(rows))) <= 2
        return
    assert not {key for row in train for key in row} & {key for row in held for key in row}
    assert sorted(map(str, [*train, *held])) == sorted(map(str, rows))


def test_rows_that_share_through_others_belong_together() -> None:
    assert components([["a", "b"], ["c"], ["b", "d"], ["d"], ["c", "e"]]) == ["a", "c", "a", "a", "c"]


@given(st.permutations([["q", "r"], ["r", "s"], ["t"], ["t", "u"], ["v"]]))
def test_parts_do_not_depend_on_the_order_of_rows(rows: list[list[str]]) -> None:
    assert {tuple(row): part for row, part in zip(rows, components(rows), strict=True)} == {
        ("q", "r"): "q",
        ("r", "s"): "q",
        ("t",): "t",
        ("t", "u"): "t",
        ("v",): "v",
    }


def test_the_share_is_of_prompts_and_a_row_that_is_added_moves_little() -> None:
    rows = [f"p{i}" for i in range(200)]
    train, held = split_rows(rows, lambda row: [row], fraction=0.25, seed=3)
    assert len(held) == 50
    assert (train, held) == split_rows(rows, lambda row: [row], fraction=0.25, seed=3)
    assert held != split_rows(rows, lambda row: [row], fraction=0.25, seed=4)[1]
    more = set(split_rows([*rows, "new"], lambda row: [row], fraction=0.25, seed=3)[1])
    assert len(more ^ set(held)) <= 2


@pytest.mark.parametrize("same", ["What is it?", "  what IS\nit", "What is it", "Ｗhat is it?!"])
def test_copies_of_a_prompt_are_known(same: str) -> None:
    assert normalised(same) == "what is it"
    assert prompt_key([{"role": "user", "content": same}]) == "user: what is it"


def test_texts_without_letters_are_told_apart() -> None:
    assert len({normalised(text) for text in ("?", "!", "+-", "")}) == 4


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1])
def test_a_share_that_is_none_is_refused(fraction: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        split_rows(["a", "b"], lambda row: [row], fraction=fraction)


def test_data_of_one_prompt_cannot_be_split() -> None:
    with pytest.raises(UsageError, match="3 rows of 1 prompts"):
        split_rows([1, 2, 3], lambda _: ["same"], fraction=0.5)
