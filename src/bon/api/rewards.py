"""Rewards of answers by a scorer, for code that blocks: what trains and measures policies asks for them here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bon.api import blocking
from bon.api.bench import scored
from bon.errors import ScoreError, UsageError
from bon.ledger import Ledger
from bon.protocols import Scorer
from bon.types import Candidate, Pool, Prompt, Score

__all__ = ["Rewards", "require_pointwise"]


class Rewards:
    """Gives answers their rewards, on the background loop, within the caps of a ledger.

    Called with prompts, each with candidates; gives a reward a candidate, None where the scorer has none. A prompt may
    be there twice. The scorer sees candidates as they are, but for their index, which is their place.

    Raises UsageError for a scorer whose scores depend on what else is in the pool, CapReached where the ledger has no
    room, and ScoreError where of several answers not one has a reward: it would be so again.
    """

    def __init__(self, scorer: Scorer, *, ledger: Ledger | None = None, concurrency: int = 8) -> None:
        require_pointwise(scorer)
        self.name = str(getattr(scorer, "name", "reward"))
        self._scorer, self._ledger, self._concurrency = scorer, ledger, concurrency

    def __call__(self, asked: Sequence[tuple[Prompt, Sequence[Candidate]]]) -> list[list[float | None]]:
        prompts = {prompt.id: prompt for prompt, _ in asked}
        candidates: dict[str, list[Candidate]] = {id_: [] for id_ in prompts}
        for prompt, answers in asked:
            candidates[prompt.id] += answers
        found = blocking.run(self._scored(_pool(prompts[id_], each) for id_, each in candidates.items() if each))
        scores = [score for own in found.values() for score in own]
        if scores and all(score.value is None for score in scores):
            raise ScoreError(f"{self.name} has no reward for any of {len(scores)} answers: {scores[0].reason}")
        left = {id_: iter(own) for id_, own in found.items()}
        return [[next(left[prompt.id]).value for _ in answers] for prompt, answers in asked]

    async def _scored(self, pools: Iterable[Pool]) -> dict[str, Sequence[Score]]:
        scorers = {self.name: self._scorer}
        return {
            pool.prompt.id: pool.scores[self.name]
            async for pool in scored(pools, scorers, ledger=self._ledger, concurrency=self._concurrency)
        }


def require_pointwise(scorer: Scorer) -> None:
    """Raise UsageError for a scorer whose scores depend on what else is in the pool: they are no rewards."""
    if not getattr(scorer, "pointwise", False):
        raise UsageError(
            f"{getattr(scorer, 'name', 'this scorer')!r} scores a pool as a whole, and a reward is of an answer alone: "
            "take a scorer of single answers (rm:, rule:, a pointwise judge, a function of (prompt, candidate))"
        )


def _pool(prompt: Prompt, candidates: Sequence[Candidate]) -> Pool:
    return Pool(prompt=prompt, candidates=tuple(replace(each, index=place) for place, each in enumerate(candidates)))
