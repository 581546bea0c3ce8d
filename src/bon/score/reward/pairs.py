"""From comparisons of two answers at a time to a score for each answer; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bon.types import Score, Usage

__all__ = ["pair_scores"]


def pair_scores(compared: Mapping[tuple[int, ...], Score], indices: Sequence[int]) -> dict[int, Score]:
    """The score of each answer, from `compared[i, j]`: how much better i is than j, in both orders.

    The mean over the answers it was compared with, and itself, of `d(i, j) - d(j, i)`: what LLM-Blender's rank
    returns (yuchenlin/LLM-Blender 2a673661, `llm_blender/gpt_eval/utils.py`, get_scores_from_cmps). An answer that
    could be compared with none has no score; one whose pairs failed in part is scored by the rest.
    """
    scores: dict[int, Score] = {}
    for i in indices:
        deltas, reasons, tokens = list[float](), list[str](), 0
        for j in indices:
            if i == j:
                continue
            forward, back = compared[i, j], compared[j, i]
            tokens += forward.usage.prompt_tokens if forward.usage else 0  # each reading is booked on its first answer
            if forward.value is not None and back.value is not None:
                deltas.append(forward.value - back.value)
            else:
                reasons.append(forward.reason or back.reason)
        usage = Usage(prompt_tokens=tokens) if tokens else None
        if deltas:
            value = sum(deltas) / (len(deltas) + 1)
            scores[i] = Score(value=value, usage=usage, calls=0)
        else:
            reason = reasons[0] if reasons else "there is no other answer to compare it with"
            scores[i] = Score(value=None, reason=reason, usage=usage, calls=0)
    return scores
