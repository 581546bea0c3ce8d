"""Scores that come from the pool itself: how many of the others gave the same answer."""

from __future__ import annotations

from collections import Counter

from bon.score.lift import listwise
from bon.select import voters
from bon.types import Pool, Score

__all__ = ["agreement"]


@listwise
def agreement(pool: Pool) -> list[Score]:
    """The share of voters whose answer is the candidate's own, in [0, 1] (self-consistency, Wang et al. 2023).

    Voters are the candidates that came to their own end with an answer that could be read. One that was cut off may
    agree with them, but is not counted itself. A candidate without an answer has no score.
    """
    votes = Counter(
        candidate.answer for candidate, votes in zip(pool.candidates, voters(pool).tolist(), strict=True) if votes
    )
    if not votes:
        return [Score.missing("nobody votes: no complete candidate has an answer that could be read")] * len(pool)
    return [
        Score.missing("no answer that could be read")
        if candidate.answer is None
        else Score(
            value=votes[candidate.answer] / votes.total(),
            reason=f"{votes[candidate.answer]} of {votes.total()} votes for {candidate.answer!r:.80}",
        )
        for candidate in pool.candidates
    ]
