"""Rewards of answers, for code that blocks: in their places, charged, and refused where they would be none."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

import bon
from bon.api.rewards import Rewards
from bon.errors import CapReached, ScoreError, UsageError
from bon.ledger import Caps, Ledger
from bon.score import as_scorer, pointwise
from bon.score.heuristics import heuristic
from bon.score.judge import Rating
from bon.testing import ScriptedJudge
from bon.types import Candidate, Pool, Prompt, Score


def asked(id_: str) -> Prompt:
    return Prompt(id=id_, messages=({"role": "user", "content": f"Say {id_}"},))


def said(*texts: str) -> list[Candidate]:
    return [Candidate(index=place, text=text) for place, text in enumerate(texts)]


@pointwise
async def slow(prompt: Prompt, candidate: Candidate) -> float | None:
    """The longer the text the sooner it is done, so that results come in another order than the questions."""
    await asyncio.sleep(0.01 / len(candidate.text))
    return None if candidate.text == "none" else len(candidate.text) + (prompt.id == "b") * 100


def test_rewards_stand_where_their_answers_stood() -> None:
    found = Rewards(slow)(
        [
            (asked("a"), said("x", "none", "xxx")),
            (asked("b"), said("xx")),
            (asked("a"), []),
            (asked("a"), said("xxxx")),
        ]
    )
    assert found == [[1.0, None, 3.0], [102.0], [], [4.0]]
    assert Rewards(slow)([]) == []


def test_a_scorer_of_whole_pools_gives_no_rewards() -> None:
    with pytest.raises(UsageError, match="scores a pool as a whole"):
        Rewards(as_scorer(lambda pool: [1.0] * len(pool)))


def test_no_reward_at_all_is_an_error_that_says_why() -> None:
    def broken(prompt: Prompt, candidate: Candidate) -> float:
        raise RuntimeError("no model there")

    with pytest.raises(ScoreError, match="any of 2 answers: RuntimeError: no model there"):
        Rewards(pointwise(broken))([(asked("a"), said("x", "y"))])


def test_what_scorers_cost_is_charged_and_capped() -> None:
    judge = bon.judge(
        "base_helpfulness_pointwise", judge=ScriptedJudge(lambda q, answers, mode: Rating(value=len(answers[0])))
    )
    ledger = Ledger(Caps(calls=3))
    rewards = Rewards(judge, ledger=ledger)
    assert rewards([(asked("a"), said("x", "yyyy"))]) == [[1.0, 4.0]]
    assert ledger.spent.calls == 2
    with pytest.raises(CapReached):
        rewards([(asked("a"), said("yy", "yyy"))])
    assert ledger.spent.calls == 3


def test_a_pool_of_answers_keeps_its_prompt() -> None:
    """A verifier reads the reference of the prompt."""

    async def verifier(pool: Pool) -> list[Score]:
        await asyncio.sleep(0)
        return [Score(value=float(candidate.text == pool.prompt.reference)) for candidate in pool.candidates]

    verifier.pointwise = True  # type: ignore[attr-defined]
    prompt = Prompt(id="a", messages=({"role": "user", "content": "2 + 2?"},), reference="4")
    assert Rewards(verifier)([(prompt, said("4", "5"))]) == [[1.0, 0.0]]


def test_a_scorer_sees_how_an_answer_ended_and_what_was_thought_before_it() -> None:
    @pointwise
    def whole(prompt: Prompt, candidate: Candidate) -> float:
        """Ten off for an answer that was cut off, one more for each letter of reasoning."""
        return 5.0 + len(candidate.reasoning or "") - 10 * (candidate.finish_reason == "length")

    answers = [
        Candidate(index=0, text="sky"),
        Candidate(index=1, text="sky", finish_reason="length"),
        Candidate(index=2, text="sky", reasoning="hm"),
    ]
    assert Rewards(whole)([(asked("a"), answers)]) == [[5.0, -5.0, 7.0]]
    ((one, half, _),) = Rewards(heuristic)([(asked("a"), [replace(each, text="It is so.") for each in answers])])
    assert one == pytest.approx(2 * half)  # type: ignore[operator]


def test_answers_to_a_prompt_that_is_asked_for_twice_are_one_pool() -> None:
    """Scorers, and what is recorded of their failures, know candidates by their index: no two of a pool share one."""
    seen: list[int] = []

    @pointwise
    def noting(prompt: Prompt, candidate: Candidate) -> float:
        seen.append(candidate.index)
        return float(len(candidate.text))

    assert Rewards(noting)([(asked("a"), said("x", "xx")), (asked("a"), said("xxx"))]) == [[1.0, 2.0], [3.0]]
    assert sorted(seen) == [0, 1, 2]
