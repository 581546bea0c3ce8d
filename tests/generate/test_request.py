"""The request of a draw, its seed, and its thinking."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bon
from bon.generate.embedded import EmbeddedGenerator
from bon.generate.reasoning import Split, split_reasoning
from bon.generate.request import at_most, draw_seed, merged
from bon.types import Usage


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


def test_the_upper_bound_of_a_call() -> None:
    prompt = bon.prompt("Why?")
    bound = at_most(prompt, {"max_tokens": 100}, draws=8)
    assert bound == Usage(prompt_tokens=256 + 16 + len("user") + len("Why?"), completion_tokens=800)
    assert at_most(prompt, {"max_tokens": 100, "max_completion_tokens": 300}, draws=2).completion_tokens == 600
    assert at_most(prompt, {}) is None
    assert at_most(prompt, {"max_tokens": "many"}) is None


def bytes_read(*messages: dict[str, object], **request: object) -> int:
    bound = at_most(bon.Prompt(id="p", messages=messages), {"max_tokens": 1, **request})
    assert bound is not None
    return bound.prompt_tokens


def test_the_upper_bound_counts_bytes_parts_tools_and_formats() -> None:
    empty = bytes_read({"role": "user", "content": ""})
    assert bytes_read({"role": "user", "content": "日本語"}) == empty + 9
    assert bytes_read({"role": "user", "content": "\ud800"}) == empty + 3, "half a character is no reason to fail"
    assert bytes_read({"role": "user", "content": None}) == empty
    parts = [{"type": "text", "text": "four"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    assert bytes_read({"role": "user", "content": parts}) == empty + 4 + 4096
    calls = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "x" * 500}}]}
    assert bytes_read(calls) > empty + 500
    assert bytes_read({"role": "user", "content": ""}, tools=[{"function": {"description": "x" * 300}}]) > empty + 300
    schema = {"type": "json_schema", "json_schema": {"schema": {"title": "y" * 200}}}
    assert bytes_read({"role": "user", "content": ""}, response_format=schema) > empty + 200


async def test_the_upper_bound_holds_for_a_real_tokenizer(embedded: EmbeddedGenerator) -> None:
    """The template of this model adds a system message of its own; the text is of the kind that has a token a byte."""
    for text in ("Hi", "日本語の文章です。" * 5, "🜚🜛🜜" * 10, "a b c 1 2 3 ~~ \t\n" * 10):
        prompt = bon.prompt(text, max_tokens=4)
        bound = at_most(prompt, merged(embedded.defaults, prompt))
        async for draw in embedded(prompt, 1):
            assert isinstance(draw, bon.Candidate)
            assert draw.usage is not None
            assert bound is not None
            assert draw.usage.prompt_tokens <= bound.prompt_tokens
            assert draw.usage.completion_tokens <= bound.completion_tokens
