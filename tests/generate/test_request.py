"""The request of a draw, its seed, and its thinking."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bon
from bon.generate.reasoning import Split, split_reasoning
from bon.generate.request import draw_seed, merged


def test_the_prompt_wins_and_none_takes_away() -> None:
    prompt = bon.prompt("Why?", temperature=0, max_tokens=None)
    assert merged({"temperature": 0.7, "max_tokens": 512, "top_p": 0.9}, prompt) == {"temperature": 0, "top_p": 0.9}


@given(st.integers(), st.text(), st.integers(0, 10**6))
def test_a_seed_depends_on_its_three_and_fits_everywhere(run: int, prompt: str, index: int) -> None:
    seed = draw_seed(run, prompt, index)
    assert 0 <= seed < 2**31
    assert seed == draw_seed(run, prompt, index)


def test_seeds_are_pinned_since_files_are_continued_by_later_versions() -> None:
    assert [draw_seed(0, "p", index) for index in range(3)] == [588653706, 1822417303, 1674195825]


def test_seeds_differ() -> None:
    seeds = {draw_seed(run, prompt, index) for run in range(5) for prompt in ("a", "b") for index in range(200)}
    assert len(seeds) == 2000


@pytest.mark.parametrize(
    ("raw", "split"),
    [
        ("plain", Split(None, "plain", True)),
        ("<think>2 and 2</think>\n\n4", Split("2 and 2", "4", True)),
        ("  <think>\nlong\n</think>4", Split("long", "4", True)),
        ("<think>never closed", Split("never closed", "", False)),
        ("opened by the template</think>4", Split("opened by the template", "4", True)),
        ("4, as <think>x</think> shows", Split(None, "4, as <think>x</think> shows", True)),
        ("<think></think>4", Split("", "4", True)),
        ("", Split(None, "", True)),
    ],
)
def test_thinking_is_no_part_of_the_answer(raw: str, split: Split) -> None:
    assert split_reasoning(raw) == split


@given(st.text())
def test_any_text_is_split_without_loss_of_its_answer(text: str) -> None:
    found = split_reasoning(f"<think>{text.replace('<', '')}</think>{text}")
    assert found.text == text.lstrip()
