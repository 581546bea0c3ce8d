"""Tool calls: whether they are valid, and which of them most candidates make."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bon.errors import UsageError
from bon.score.tools import tool_calls, tool_votes
from bon.select import argmax
from bon.types import Candidate, Pool, Prompt

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
}
PROMPT = Prompt(id="p", messages=(), request={"tools": [WEATHER]})


def call(name: str, /, **arguments: Any) -> dict[str, Any]:
    return {"id": "c", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


def drawn(*calls: tuple[dict[str, Any], ...], finish_reason: str = "tool_calls") -> Pool:
    return Pool(
        prompt=PROMPT,
        candidates=tuple(
            Candidate(index=index, text="", tool_calls=each, finish_reason=finish_reason)
            for index, each in enumerate(calls)
        ),
    )


async def values(pool: Pool, **options: Any) -> list[float]:
    scores = await tool_votes(**options)(pool)
    return [score.value for score in scores if score.value is not None]


async def test_calls_are_valid_where_they_fit_the_tools_schema() -> None:
    pool = drawn((call("weather", city="Oslo"),), (call("weather"),), (call("whether", city="Oslo"),), ())
    scores = await tool_calls()(pool)
    assert [score.value for score in scores] == [1, 0, 0, 0]
    assert "no tool 'whether'" in scores[2].reason
    assert [score.value for score in await tool_calls(required=False)(pool)] == [1, 0, 0, 1]


async def test_the_same_calls_are_votes_for_each_other() -> None:
    pool = drawn(
        (call("weather", city="Oslo", days=2),),
        ({"function": {"name": "weather", "arguments": '{"days": 2.0, "city": "Oslo"}'}},),
        (call("weather", city="Bergen", days=2),),
        (call("search", query="Oslo"),),
    )
    assert await values(pool, vote="arguments") == [0.5, 0.5, 0.25, 0.25]
    assert await values(pool, vote="name") == [0.75, 0.75, 0.75, 0.25]
    assert await values(pool, vote="arguments", exclude=["city"]) == [0.75, 0.75, 0.75, 0.25]


async def test_both_elects_the_tool_first_and_its_arguments_then() -> None:
    search = (call("search", query="x"),)
    pool = drawn(
        (call("weather", city="A"),), (call("weather", city="B"),), (call("weather", city="B"),), search, search
    )
    split = drawn(*((call("weather", city=city),) for city in "ABC"), search, search)
    alone = await values(split, vote="arguments")
    assert alone[3] == max(alone)
    both = await values(split)
    assert both[0] == both[1] == both[2]
    assert both[0] > both[3]
    ranked = await values(pool)
    assert ranked[1] == ranked[2] == max(ranked)
    assert ranked[0] > ranked[3]
    assert await values(drawn(search, search)) == [1, 1]


async def test_calls_made_at_once_have_no_order() -> None:
    one, other = call("weather", city="A"), call("weather", city="B")
    pool = drawn((one, other), (other, one), (one,))
    scores = await tool_votes()(pool)
    assert scores[0].value == scores[1].value
    assert scores[0].reason == "2 of 3 votes for weather, weather"
    weights = argmax(pool.with_scores("tool_calls", scores))
    assert weights.tolist() == [0.5, 0.5, 0]


async def test_who_is_cut_off_or_cannot_be_read_does_not_vote_and_nothing_is_a_vote_too() -> None:
    broken = {"function": {"name": "weather", "arguments": "{"}}
    pool = drawn((), (), (call("weather", city="A"),), (broken,))
    scores = await tool_votes(vote="name")(pool)
    assert [score.value for score in scores] == [2 / 3, 2 / 3, 1 / 3, None]
    assert scores[3].reason == "a call that cannot be read"
    assert (await tool_votes()(drawn((call("weather"),), finish_reason="length")))[0].reason == "cut off"


async def test_calls_in_the_text_count_too() -> None:
    said = '<tool_call>{"name": "weather", "arguments": {"city": "A"}}</tool_call>'
    pool = Pool(
        prompt=PROMPT,
        candidates=(
            Candidate(index=0, text=said),
            Candidate(index=1, text="", tool_calls=(call("weather", city="A"),)),
        ),
    )
    assert [score.value for score in await tool_votes(vote="arguments")(pool)] == [1, 1]


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="one of name, arguments, both"):
        tool_votes(vote="all")
    with pytest.raises(UsageError, match="a list of names"):
        tool_votes(exclude="id")
