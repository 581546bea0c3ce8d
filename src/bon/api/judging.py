"""The judges, endpoints and writers of tests among scorers: whom they would ask what of candidates to come; pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bon.engine.lacking import lacking
from bon.errors import ScoreError
from bon.protocols import Scorer
from bon.score.code import GeneratedTests
from bon.score.judge import Judge
from bon.score.remote import RemoteScorer
from bon.types import Pool, Prompt

__all__ = ["Asking", "asked", "marks"]

_BYTES_A_TOKEN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Questions of one kind to one model."""

    model: Any
    """The generator, or the endpoint that scores: its name, defaults and price are read."""
    prompt: Prompt
    """Such a question, about candidates as long as they may be."""
    calls: int


def asked(scorers: Mapping[str, Scorer], pool: Pool, more: int, *, most_tokens: int) -> Iterator[Asking]:
    """What the judges and endpoints among scorers would ask about a pool of which `more` candidates are drawn.

    `most_tokens` is how long these may be, at 4 bytes a token. A pointwise judge is asked about those that it has not
    scored, another one about all, where there are any.
    """
    for name, scorer in scorers.items():
        unscored = len(lacking(pool, name)) + more
        each = getattr(scorer, "pointwise", False)
        yield from _of(scorer, pool.prompt, unscored if each or not unscored else len(pool) + more, most_tokens)


def _of(scorer: Any, prompt: Prompt, n: int, tokens: int) -> Iterator[Asking]:
    """What one scorer would ask about `n` candidates, the scorers inside it included."""
    if isinstance(scorer, Judge):
        shown, calls = scorer.questions(n)
        if calls:
            messages = scorer.form.messages(prompt, ["x" * (_BYTES_A_TOKEN * tokens)] * shown)
            request = {"max_tokens": scorer.conduct.max_tokens}
            yield Asking(model=scorer.generator, prompt=Prompt(id="", messages=messages, request=request), calls=calls)
        return
    if isinstance(scorer, RemoteScorer):
        shown = 1 if scorer.pointwise else n
        answers = [{"role": "assistant", "content": "x" * (_BYTES_A_TOKEN * tokens)}] * shown
        read = Prompt(id="", messages=(*prompt.messages, *answers), request={"max_tokens": 0})  # it writes nothing
        if n:
            yield Asking(model=scorer, prompt=read, calls=n // shown)
        return
    if isinstance(scorer, GeneratedTests):
        with suppress(ScoreError):  # no tests are drawn for a prompt that names no function
            if n:
                yield Asking(model=scorer.generator, prompt=scorer.question(prompt), calls=scorer.draws)
        return
    dear = getattr(scorer, "dear", {})
    for name, member in _inside(scorer).items():
        yield from _of(member, prompt, min(n, scorer.k) if name in dear else n, tokens)


def marks(scorers: Mapping[str, Scorer]) -> dict[str, str]:
    """By scorer's name, what tells it from another one of that name: the models that judge, and a hash of the rest.

    Scorers that do not say who they are and have no judge in them are left out.
    """
    found = {}
    for name, scorer in scorers.items():
        judges = list(_judges(scorer))
        identity = getattr(scorer, "identity", None)
        if identity is None and not judges:
            continue
        who = identity if identity is not None else [judge.made_with for judge in judges]
        digest = hashlib.sha256(json.dumps(who, sort_keys=True, default=str).encode()).hexdigest()[:16]
        found[name] = " ".join([*dict.fromkeys(judge.asker.name for judge in judges), digest])
    return found


def _judges(scorer: Any) -> Iterator[Judge]:
    if isinstance(scorer, Judge):
        yield scorer
    else:
        for member in _inside(scorer).values():
            yield from _judges(member)


def _inside(scorer: Any) -> Mapping[str, Any]:
    """The scorers that a scorer is made of, by name."""
    for attribute in ("thing", "inner"):
        if (inside := getattr(scorer, "__dict__", {}).get(attribute)) is not None:
            return {"": inside}
    return getattr(scorer, "scorers", None) or {}
