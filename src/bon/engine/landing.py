"""One call of a scorer, and what it comes to: a score a candidate and every failure, whatever the scorer does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bon.errors import HOPELESS, ScoreError
from bon.events import Event, Failed, Hook, Keep, Scored, keeping, listening
from bon.protocols import Scorer
from bon.score import failure_of
from bon.types import Candidate, Failure, Pool, Score

__all__ = ["landed"]


async def landed(
    scorer: Scorer, pool: Pool, group: Sequence[Candidate], *, name: str, hook: Hook, keep: Keep | None = None
) -> Scored:
    """Call a scorer on a pool, for the scores of a group of its candidates.

    What it raises, or gives wrongly, becomes a failure and a reason a candidate; what it tells as `Failed` a failure
    beside them; what else is told meanwhile goes on to `hook`. The answers it pays for meanwhile are kept in `keep`.
    Raises what would be the same for every candidate of every prompt.
    """
    told: list[Failure] = []

    def hear(event: Event) -> None:
        if isinstance(event, Failed):
            told.append(event.failure)
        else:
            hook(event)

    failures: list[Failure] = []
    try:
        with listening(hear), keeping(keep):
            scores = tuple(await scorer(pool))
        if len(scores) != len(group) or not all(isinstance(score, Score) for score in scores):
            raise ScoreError(f"scorer {name!r} gave {scores!r:.200} for {len(group)} candidates; one Score each wanted")
    except HOPELESS:
        raise
    except Exception as error:  # noqa: BLE001  # a failure is data
        # A pointwise scorer will be asked about these one by one: each has a failure of its own.
        indices = [c.index for c in group] if getattr(scorer, "pointwise", False) or len(group) == 1 else [None]
        failures = [Failure.of(error, stage="score", index=index, by=name) for index in indices]
        scores = (Score.missing(failures[-1].reason),) * len(group)
    else:
        unscored = [(c, score) for c, score in zip(group, scores, strict=True) if score.value is None]
        found = [failure_of(score, index=candidate.index, by=name) for candidate, score in unscored]
        failures = [failure for failure in found if failure]
    if told:
        failures = [_of_scorer(failure, name, group) for failure in told] + failures
    return Scored(
        prompt_id=pool.prompt.id,
        scorer=name,
        indices=tuple([candidate.index for candidate in group]),
        scores=scores,
        failures=tuple(dict.fromkeys(failures)),
    )


def _of_scorer(failure: Failure, name: str, group: Sequence[Candidate]) -> Failure:
    """A failure as one of this scorer, and of the candidate where there is one alone."""
    index = group[0].index if failure.index is None and len(group) == 1 else failure.index
    return replace(failure, stage="score", by=name, index=index)
