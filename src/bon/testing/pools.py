"""Pools made by hand, for tests of scorers, selectors and budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bon.types import Candidate, Pool, Prompt, Score, as_messages

__all__ = ["pool_of"]


def pool_of(
    texts: Sequence[str],
    *,
    scores: Mapping[str, Sequence[float | None]] | None = None,
    answers: Sequence[str | None] | None = None,
    finish_reasons: Sequence[str] | None = None,
    prompt: Prompt | str = "What is six times seven?",
) -> Pool:
    """A pool of `n` texts; `scores` by scorer's name, `answers` and `finish_reasons` have shape `(n,)` too."""
    n = len(texts)
    return Pool(
        prompt=prompt if isinstance(prompt, Prompt) else Prompt(id="p", messages=as_messages(prompt)),
        candidates=tuple(
            Candidate(index=index, text=text, answer=answer, finish_reason=finish_reason)
            for index, (text, answer, finish_reason) in enumerate(
                zip(texts, answers or [None] * n, finish_reasons or ["stop"] * n, strict=True)
            )
        ),
        scores={
            name: tuple(Score.missing("not scored") if value is None else Score(value=value) for value in values)
            for name, values in (scores or {}).items()
        },
    )
