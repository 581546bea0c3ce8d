"""What a request for scores may take at the most, and each candidate's share of what it took; pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from bon.score.remote.shape import Ask
from bon.types import Usage

__all__ = ["most_of", "shares"]

_TEMPLATE = 256
"""Tokens that a template may put around one conversation or pair, at the most."""


def most_of(ask: Ask) -> Usage:
    """An upper bound of what a request reads: a tokenizer that falls back on bytes makes one token of each.

    The prompt counts once a candidate, as JSON writes it, which no template does more widely; so do the separators.
    """
    terms = ask.terms
    around = len(json.dumps(list(ask.prompt.messages), default=str)) + len((terms.system or "").encode()) + _TEMPLATE
    around += len(terms.template.encode())
    texts = sum(_size(candidate.text) for candidate in ask.candidates)
    if terms.separator is not None:
        ends = sum(len(terms.cut(ask.prompt, candidate)) for candidate in ask.candidates)
        texts += ends * _size(terms.separator)
    return Usage(prompt_tokens=around * len(ask.candidates) + texts)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def shares(total: Usage | None, weights: Sequence[int]) -> list[Usage | None]:
    """What a request for several took, shared out by `weights` (the lengths of the texts); the shares add up exactly.

    What rounding leaves goes to the first.
    """
    if total is None or not weights:
        return [None] * len(weights)
    whole = sum(weights) + len(weights)  # an empty text is read with its prompt
    rest = [_part(total, (weight + 1) / whole) for weight in weights[1:]]
    taken = sum(rest, Usage())
    first = replace(
        total,
        prompt_tokens=total.prompt_tokens - taken.prompt_tokens,
        completion_tokens=total.completion_tokens - taken.completion_tokens,
        cached_tokens=total.cached_tokens - taken.cached_tokens,
        money=None if total.money is None else total.money - (taken.money or 0.0),
    )
    return [first, *rest]


def _part(total: Usage, share: float) -> Usage:
    return Usage(
        prompt_tokens=int(total.prompt_tokens * share),
        completion_tokens=int(total.completion_tokens * share),
        cached_tokens=int(total.cached_tokens * share),
        money=None if total.money is None else total.money * share,
    )
