"""What can be said of an answer without any model: a rough, honest proxy, and no reward model."""

from __future__ import annotations

import math
import re

from bon import answers
from bon.score.lift import pointwise
from bon.types import Candidate, Prompt, Score

__all__ = ["WEIGHTS", "heuristic"]

WEIGHTS = {"length": 0.2, "reasoning": 0.2, "answer": 0.25, "variety": 0.25, "certainty": 0.1}
"""What each part counts for; they sum to 1."""

_HALF_LENGTH = 20  # words at which the length counts half
_ENOUGH_MARKERS = 4  # different ones
_TRUNCATED = 0.5  # what an answer cut by max_tokens is worth of a whole one

_PUNCTUATION = ".,;:!?()[]{}\"'*_`"
_MARKERS = frozenset(
    "because since therefore thus hence so if first second then next finally step".split()  # noqa: SIM905  # it reads better
)
_HEDGES = (
    "maybe", "perhaps", "possibly", "probably", "might", "unsure", "unclear", "i guess", "i think", "not sure",
    "don't know", "do not know", "can't say", "cannot say", "can't answer", "cannot answer",
)  # fmt: skip
_SPACED_HEDGES = tuple(f" {hedge} " for hedge in _HEDGES)
_ENDED = re.compile(r"[.!?)\]}»\"'`*$]\s*\Z")


@pointwise
def heuristic(prompt: Prompt, candidate: Candidate) -> Score:  # noqa: ARG001  # a scorer is given both
    """What the text itself shows, in [0, 1]: no reward model, but a rough proxy where there is none.

    The sum of five parts, each in [0, 1] and better when higher, times their `WEIGHTS`:

    - length: w / (w + 20) for w words;
    - reasoning: how many of the signs of reasoning (because, therefore, first, ..., =) occur, over 4, at most 1;
    - answer: 1 if an answer is announced (boxed, "the answer is", "####"), 0.5 if the text comes to an end, else 0;
    - variety: the share of different three-word sequences; text that repeats itself has few;
    - certainty: 1 / (1 + h) for h hedges (maybe, perhaps, I think, not sure, ...).

    An answer cut by max_tokens counts half. An empty one is worth 0; one that only calls tools has no score.
    """
    text = candidate.text
    words = [word.strip(_PUNCTUATION) or word for word in text.lower().replace("’", "'").split()]
    if not words:
        has_calls = bool(candidate.tool_calls)
        return Score.missing("tool calls without text") if has_calls else Score(value=0.0, reason="empty text")
    markers = _MARKERS.intersection(words) | ({"="} if "=" in text else set())
    spaced = f" {' '.join(words)} "
    trigrams = list(zip(words, words[1:], words[2:], strict=False))
    marked = bool(answers.marked(text)) or answers.boxed(text) is not None
    parts = {
        "length": len(words) / (len(words) + _HALF_LENGTH),
        "reasoning": min(1.0, len(markers) / _ENOUGH_MARKERS),
        "answer": 1.0 if marked else 0.5 if _ENDED.search(text) else 0.0,
        "variety": len(set(trigrams)) / len(trigrams) if trigrams else 1.0,
        "certainty": 1 / (1 + sum(map(spaced.count, _SPACED_HEDGES))),
    }
    value = math.fsum(WEIGHTS[name] * part for name, part in parts.items())
    if candidate.finish_reason == "length":
        return Score(value=value * _TRUNCATED, reason="cut by max_tokens", parts=parts)
    return Score(value=value, parts=parts)
