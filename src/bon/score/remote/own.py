"""Our own shape, `POST /score`: a pool as it lies in a file, and the scores of its candidates; pure.

Sent: the pool's row (docs/concepts.md) with its prompt and its candidates, of these what a scorer judges by (text,
reasoning, tool_calls, answer, finish_reason), and `model`, the scorer that is wanted, where one is named. Answered:

    {"scores": [{"index": 0, "value": 0.7, "reason": "", "parts": {}, "steps": null}, ...],
     "usage": {"prompt_tokens": 12, "completion_tokens": 0}}

one a candidate, each with the `index` that the candidate had; `value` null has a reason; `usage` may be left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bon.score.remote.reply import in_order, shaped, usage_of
from bon.score.remote.shape import TOGETHER, Ask, Numbers, Shape
from bon.store.rows import row_of
from bon.types import Candidate, Pool, Score

__all__ = ["OWN"]


def _body(ask: Ask) -> Mapping[str, Any]:
    """Each candidate under its place in the request: that is the index which the answer speaks of."""
    shown = tuple(
        Candidate(
            index=place,
            text=candidate.text,
            reasoning=candidate.reasoning,
            tool_calls=candidate.tool_calls,
            answer=candidate.answer,
            finish_reason=candidate.finish_reason,
        )
        for place, candidate in enumerate(ask.candidates)
    )
    row: dict[str, Any] = msgspec.to_builtins(row_of(Pool(prompt=ask.prompt, candidates=shown)))
    return {**row, **ask.terms.named}


class _Row(msgspec.Struct):
    index: int
    value: float | None
    reason: str = ""
    parts: dict[str, float | None] = {}
    steps: tuple[float, ...] | None = None


class _Answer(msgspec.Struct):
    scores: list[_Row]


def _read(found: Any, ask: Ask) -> Sequence[Numbers | Score]:
    rows = shaped(found, _Answer).scores
    return [_score(row) for row in in_order([(row.index, row) for row in rows], len(ask.candidates))]


def _score(row: _Row) -> Score:
    """A row as a Score; one that cannot be is missing, and says why."""
    reason = row.reason
    if row.value is None and not reason:
        reason = "the endpoint gave no finite number, and no reason"
    try:
        return Score(value=row.value, reason=reason, parts=row.parts, steps=row.steps)
    except ValueError as error:
        return Score.missing(str(error))


OWN = Shape(path="/score", body=_body, read=_read, usage=usage_of, most=TOGETHER, rooted=False)
