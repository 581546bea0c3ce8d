"""Pools as the report's browser shows them: texts, scores, steps, and which candidate each way of choosing picks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from bon.errors import UsageError
from bon.protocols import Selector
from bon.score.process.steps import SPLITTERS, steps_of
from bon.select import argmax, majority, pick, weigh, weighted
from bon.types import Candidate, Message, Pool, Score, text_of

__all__ = ["row_of"]

_DIGITS = 6


def row_of(pool: Pool, *, gold: str | None, longest: int | None = None, source: str = "") -> dict[str, Any]:
    """One pool as the page's script reads it; `longest` characters of a text are kept, and what is left out is said.

    `source` is the file it comes from, where there are several: these may hold the same ids.
    """

    def cut(text: str) -> str:
        if longest is None or len(text) <= longest:
            return text
        return f"{text[:longest]} … [{len(text) - longest:,} characters more are left out of this report]"

    return {
        "id": pool.prompt.id,
        "pools": source,
        "asked": [[str(message.get("role", "")), cut(_said(message))] for message in pool.prompt.messages],
        "reference": pool.prompt.reference,
        "subset": pool.prompt.metadata.get("subset"),
        "candidates": [_candidate(pool, place, cut=cut) for place in range(len(pool))],
        "truth": list(pool.values(gold)) if gold in pool.scores and gold is not None else None,
        "picks": _picks(pool, gold),
        "failures": [f"{failure.stage}: {failure.error}: {cut(failure.message)}" for failure in pool.failures],
    }


def _said(message: Message) -> str:
    """The text of a message; what is no text is named."""
    content = message.get("content")
    parts = content if isinstance(content, Sequence) and not isinstance(content, str) else ()
    others = [str(part.get("type")) for part in parts if isinstance(part, Mapping) and part.get("type") != "text"]
    named = [*others, *(["tool calls"] if message.get("tool_calls") else [])]
    return f"{text_of(message)} [{', '.join(named)}]" if named else text_of(message)


def _candidate(pool: Pool, place: int, *, cut: Callable[[str], str]) -> dict[str, Any]:
    candidate = pool.candidates[place]
    scores = {name: scores[place] for name, scores in pool.scores.items()}
    stepped = next((score.steps for score in scores.values() if score.steps), None)
    shown = {
        "index": candidate.index,
        "text": cut(candidate.text),
        "scores": {name: _score(score) for name, score in scores.items()},
        "reasoning": cut(candidate.reasoning) if candidate.reasoning else None,
        "answer": candidate.answer,
        "finish": None if candidate.finish_reason == "stop" else candidate.finish_reason or "truncated",
        "generator": candidate.generator or None,
        "variation": candidate.variation,
        "tokens": candidate.usage.completion_tokens if candidate.usage else None,
        "seconds": round(candidate.seconds.total, 3) if candidate.seconds else None,
        "calls": [dict(call) for call in candidate.tool_calls] or None,
        "steps": _steps(pool, candidate, len(stepped)) if stepped else None,
    }
    return {name: value for name, value in shown.items() if value is not None}


def _score(score: Score) -> dict[str, Any]:
    shown: dict[str, Any] = {"value": None if score.value is None else round(score.value, _DIGITS)}
    if score.reason:
        shown["reason"] = score.reason
    if score.parts:
        shown["parts"] = {name: None if part is None else round(part, _DIGITS) for name, part in score.parts.items()}
    if score.steps:
        shown["steps"] = [round(step, 4) for step in score.steps]
    return shown


def _steps(pool: Pool, candidate: Candidate, count: int) -> list[str] | None:
    """The text in as many pieces as it has step scores; None where no way of cutting gives that many."""
    for how in SPLITTERS:
        found = steps_of(pool.prompt, candidate, how)
        if len(found) == count:
            return list(found)
    return None


def _picks(pool: Pool, gold: str | None) -> dict[str, int]:
    """By the name of each way of choosing: the place of the candidate it picks, where it has something to go on."""
    ways: dict[str, Selector] = {}
    for scorer in pool.scores:
        if scorer != gold:
            ways[f"argmax by {scorer}"] = partial(argmax, by=scorer)
    if any(candidate.answer is not None for candidate in pool.candidates):
        ways["majority"] = majority
        ways.update({f"weighted by {s}": partial(weighted, by=s) for s in pool.scores if s != gold})
    picks: dict[str, int] = {}
    for name, selector in ways.items():
        if not pool.candidates:
            break
        try:
            weights, failure = weigh(pool, selector)
        except UsageError:
            continue
        if failure is None:
            picks[name] = pick(pool, weights, seed=0)
    return picks
