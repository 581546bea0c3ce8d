from __future__ import annotations

from bon.score import agreement
from bon.testing.pools import pool_of


async def test_agreement_is_the_share_of_votes_for_ones_own_answer() -> None:
    scores = await agreement(pool_of("abcd", answers=["4", "4", "5", None]))
    assert [score.value for score in scores] == [2 / 3, 2 / 3, 1 / 3, None]
    assert scores[0].reason == "2 of 3 votes for '4'"
    assert scores[3].reason == "no answer that could be read"


async def test_a_truncated_candidate_does_not_vote() -> None:
    pool = pool_of("abc", answers=["4", "5", "5"], finish_reasons=["stop", "length", "length"])
    assert [score.value for score in await agreement(pool)] == [1, 0, 0]


async def test_nobody_votes() -> None:
    scores = await agreement(pool_of("ab", answers=[None, "4"], finish_reasons=["stop", "length"]))
    assert [score.value for score in scores] == [None, None]
    assert "nobody votes" in scores[1].reason
    assert await agreement(pool_of([])) == []


def test_it_needs_the_pool() -> None:
    assert (agreement.name, agreement.pointwise, agreement.instant) == ("agreement", False, True)
