from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bon.errors import DataError, DrawError, TimedOut, UsageError
from bon.generate.replay import Replay
from bon.protocols import StreamingGenerator
from bon.store.pools import append_pool, write_pools
from bon.types import Candidate, Draw, Failure, Logprobs, Pool, Prompt, Usage, as_messages


def _prompt(id_: str, text: str = "?") -> Prompt:
    return Prompt(id=id_, messages=as_messages(text))


_LOST = Failure(stage="generate", error="TimedOut", message="too slow", index=2, by="m")
_POOL = Pool(
    prompt=_prompt("p", "Why?"),
    candidates=(
        Candidate(index=0, text="a", reasoning="hm", generator="m", seed=9, usage=Usage(completion_tokens=3)),
        Candidate(index=1, text="b", finish_reason="length", generator="n", logprobs=Logprobs(tokens=(-0.5,))),
        Candidate(index=3, text="d", generator="m", variation="Be brief."),
    ),
    failures=(_LOST, Failure(stage="score", error="ScoreError", message="", index=0)),
)


async def _drawn(generator: Any, prompt: Prompt, n: int, start: int = 0) -> list[Draw]:
    return [draw async for draw in generator(prompt, n, start=start)]


@pytest.fixture(params=["file", "pools"])
def replay(request: pytest.FixtureRequest, tmp_path: Path):
    pools = [Pool(prompt=_prompt("first")), _POOL]
    if request.param == "file":
        write_pools(tmp_path / "pools.jsonl", pools)
        replay = Replay(tmp_path / "pools.jsonl")
    else:
        replay = Replay(pools)
    yield replay
    replay.close()


async def test_what_was_drawn_is_drawn_again_whole(replay: Replay) -> None:
    assert await _drawn(replay, _prompt("p"), 4) == [*_POOL.candidates[:2], _LOST, _POOL.candidates[2]]


async def test_more_draws_extend_fewer(replay: Replay) -> None:
    whole = await _drawn(replay, _prompt("p"), 6)
    assert await _drawn(replay, _prompt("p"), 2) + await _drawn(replay, _prompt("p"), 4, 2) == whole


async def test_beyond_what_is_recorded_there_are_failures(replay: Replay) -> None:
    draws = await _drawn(replay, _prompt("p"), 3, 3)
    assert draws[0] == _POOL.candidates[2]
    assert [(draw.stage, draw.error, draw.index, draw.by) for draw in draws[1:] if isinstance(draw, Failure)] == [
        ("generate", "DrawError", 4, replay.name),
        ("generate", "DrawError", 5, replay.name),
    ]
    assert "4 draws are recorded for prompt 'p', so there is no draw 4: ask for fewer" in draws[1].message


async def test_a_prompt_that_is_not_recorded_fails_draw_by_draw(replay: Replay) -> None:
    draws = await _drawn(replay, _prompt("q", "Unheard of"), 2)
    assert [(draw.index, type(draw)) for draw in draws] == [(0, Failure), (1, Failure)]
    assert "prompt 'q' is not recorded" in draws[0].message


async def test_a_prompt_of_another_id_is_found_by_its_messages(replay: Replay) -> None:
    assert await _drawn(replay, _prompt("another", "Why?"), 1) == [_POOL.candidates[0]]


async def test_the_id_goes_before_the_messages() -> None:
    other = Pool(prompt=_prompt("other", "Why?"), candidates=(Candidate(index=0, text="of other"),))
    replay = Replay([_POOL, other])
    assert await _drawn(replay, _prompt("other", "Why?"), 1) == list(other.candidates)


async def test_a_draw_is_streamed_in_one_piece(replay: Replay) -> None:
    assert isinstance(replay, StreamingGenerator)
    (delta,) = [delta async for delta in replay.stream(_prompt("p"), 0)]
    assert (delta.text, delta.reasoning, delta.candidate) == ("a", "hm", _POOL.candidates[0])
    with pytest.raises(TimedOut, match="too slow"):
        [delta async for delta in replay.stream(_prompt("p"), 2)]
    with pytest.raises(DrawError, match="no draw 9"):
        [delta async for delta in replay.stream(_prompt("p"), 9)]


async def test_the_last_line_of_an_id_is_replayed(tmp_path: Path) -> None:
    path = tmp_path / "pools.jsonl"
    append_pool(path, Pool(prompt=_prompt("p")))
    append_pool(path, _POOL)
    replay = Replay(str(path))
    assert replay.name == f"replay:{path}"
    assert await _drawn(replay, _prompt("p"), 1) == [_POOL.candidates[0]]
    replay.close()
    replay.close()


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        Replay(tmp_path / "none.jsonl")
    (tmp_path / "pools.jsonl").write_text("{}}\n")
    with pytest.raises(DataError, match=r"pools\.jsonl:1: not valid JSON"):
        Replay(tmp_path / "pools.jsonl")
