"""What `bon doctor` finds out about a scorer that reads tokens: padding, BOS, truncation, steps; by using it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from bon.errors import BonError
from bon.protocols import Scorer
from bon.testing.finding import Finding, alike, finding
from bon.testing.pools import pool_of
from bon.types import Pool, Score

__all__ = ["CHECKS", "examine_reading"]

_WORDS = 700
"""Words of a long answer: more than the 512 tokens at which tokenizers and encoders cut where nobody thought of it."""
_FEWER = 100
"""Words of an answer that is long beside a short one, for models that read no more."""
_FILLER = "and so on "
_SHORT = ("4", "The answer is 4.", "I am not sure, maybe 5?")
_SAME = 2e-5
"""Two texts of which a model has read the same tokens get scores no further apart than this, times their size: what
single precision makes of reading them in one batch or in two."""
_STEPS = (
    "Step 1: 2 + 2 is 4.\nStep 2: 4 + 1 is 5.\nStep 3: The answer is 5.",
    "1. 2 + 2 is 4.\n2. 4 + 1 is 5.\n3. The answer is 5.",
    "2 + 2 is 4.\n\n4 + 1 is 5.\n\nThe answer is 5.",
)
"""One solution in three steps, marked in three ways."""


async def examine_reading(scorer: Scorer) -> AsyncGenerator[Finding, None]:
    """Score short and long answers, and yield what was seen.

    The scorer has `tokens(pool)`, awaited for the ids that it reads of each candidate (None where it cannot tell), and
    perhaps `limit`, how many it reads at the most.
    """
    for check, look in CHECKS.items():
        if look in (_beside_longer, _beside_others) and not getattr(scorer, "pointwise", False):
            continue
        try:
            yield await look(check, scorer)
        except BonError as error:
            yield Finding(check=check, verdict="unknown", detail=f"{type(error).__name__}: {error}")
    solved = await scorer(pool_of(_STEPS, prompt="What is 2 + 2 + 1?"))
    if any(score.steps is not None for score in solved):
        yield _every_step(solved)


async def _apart(check: str, scorer: Scorer) -> Finding:
    values = _values(await scorer(_short()))
    told = len(set(values)) > 1
    advice = "" if told else ": is it a softmax over one number, or the wrong head?"
    return finding(check, told, f"{len(set(values))} values for {len(values)} answers{advice}")


async def _beside_longer(check: str, scorer: Scorer) -> Finding:
    """Padding: what a short answer is worth does not depend on how long its neighbours are."""
    alone = [(await scorer(pool_of([text], prompt=_short().prompt)))[0] for text in _SHORT]
    for words in (_WORDS, _FEWER):
        *beside, long = await scorer(pool_of([*_SHORT, _long(words, end="So: 4.")], prompt=_short().prompt))
        if long.value is not None:
            return alike(check, alone, beside)
    return Finding(check=check, verdict="unknown", detail=f"an answer of {_FEWER} words gets no score: {long.reason}")


async def _beside_others(check: str, scorer: Scorer) -> Finding:
    """Batching: nor on which other prompts are scored at the same time."""
    alone = await scorer(_short())
    prompts = [f"{'Please. ' * 40 * times}What is the capital of France?" for times in (0, 1)]
    others = [pool_of(["Paris.", _long(_FEWER, end="Paris.")], prompt=prompt) for prompt in prompts]
    together, *_ = await asyncio.gather(scorer(_short()), *map(scorer, others))
    return alike(check, alone, together)


async def _bos(check: str, scorer: Any) -> Finding:
    rows = await scorer.tokens(_short())
    if not rows or any(len(ids) < 2 for ids in rows):
        return Finding(check=check, verdict="unknown", detail="it does not tell which tokens it reads")
    first, second = rows[0][:2]
    single = all(ids[0] != ids[1] for ids in rows)
    detail = f"each row begins with the tokens {first}, {second}"
    return finding(check, single, detail if single else f"{detail}: a chat template and a tokenizer both put a BOS")


async def _end(check: str, scorer: Scorer) -> Finding:
    answers = [_long(_WORDS, end=end) for end in ("The answer is 4.", "No: it is 5, or even 7!", "Whatever.")]
    return await _cut(check, scorer, answers, where="end")


async def _beginning(check: str, scorer: Scorer) -> Finding:
    answers = [f"{start} {_long(_WORDS, end='The answer is 4.')}" for start in ("Yes!", "No, 17?", "Whatever.")]
    return await _cut(check, scorer, answers, where="beginning")


async def _cut(check: str, scorer: Scorer, answers: Sequence[str], *, where: str) -> Finding:
    """Whether answers that differ in one place only get different scores."""
    scores = await scorer(pool_of(answers, prompt=_short().prompt))
    missing = next((score.reason for score in scores if score.value is None), None)
    if missing is not None:
        return finding(check, True, f"{_WORDS} words are too many, and it says so: {missing}")
    values = [score.value for score in scores if score.value is not None]
    gap = max(values) - min(values)
    if gap > _SAME * max(1.0, *map(abs, values)):
        return finding(check, True, f"a change at the {where} of {_WORDS} words changes the score by {gap:.2g} at most")
    detail = f"a change at the {where} of {_WORDS} words changes nothing: what is there was cut off"
    if where == "end":
        return finding(check, False, detail)
    return Finding(check=check, verdict="unknown", detail=f"{detail}, or half precision rounds it away")


async def _too_long(check: str, scorer: Any) -> Finding:
    await scorer.tokens(_short())
    limit = getattr(scorer, "limit", None)
    if limit is None:
        return Finding(check=check, verdict="unknown", detail="nothing says how much it reads")
    count = limit + 16
    (score,) = await scorer(pool_of([" ".join(["so"] * count)], prompt=_short().prompt))
    if score.value is None:
        return finding(check, True, f"it reads {limit} tokens: {score.reason}")
    return finding(check, False, f"it reads {limit} tokens, and gave {count} words {score.value:g}: they were cut off")


CHECKS: Mapping[str, Callable[[str, Any], Awaitable[Finding]]] = {
    "tells answers apart": _apart,
    "the same beside a long answer (padding)": _beside_longer,
    "the same beside other prompts (batches)": _beside_others,
    "one BOS": _bos,
    "reads a long answer to its end": _end,
    "reads a long answer to its beginning": _beginning,
    "says when an answer is too long": _too_long,
}
"""What is looked at, in this order, and how."""


def _every_step(solved: Sequence[Score]) -> Finding:
    counts = [len(score.steps or ()) for score in solved]
    detail = f"a solution in 3 steps, marked in {len(_STEPS)} ways, got {', '.join(map(str, counts))} scores"
    return finding("a score for every step", set(counts) == {3}, detail)


def _short() -> Pool:
    return pool_of(_SHORT, prompt="What is 2 + 2?")


def _long(words: int, *, end: str) -> str:
    return f"Let us see: {_FILLER * (words // len(_FILLER.split()))}{end}"


def _values(scores: Sequence[Score]) -> list[float | None]:
    return [score.value for score in scores]
