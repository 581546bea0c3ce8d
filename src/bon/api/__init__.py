"""Best-of-N in one call, blocking or awaited: what `import bon` offers for running it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

from bon import score
from bon.api import blocking
from bon.api.job import Job, build_scorers, make_job
from bon.api.prompts import as_prompt, prompt, with_defaults
from bon.api.result import Result, decide
from bon.api.shared import close, shared_builder
from bon.engine import run
from bon.events import Hook, no_hook
from bon.protocols import Budget, Extractor, Generator, Scorer, Selector
from bon.score import ScorerLike
from bon.types import Message, Prompt

__all__ = [
    "Job",
    "Result",
    "abest_of_n",
    "as_prompt",
    "best_of_n",
    "build_scorers",
    "close",
    "decide",
    "default_scorer",
    "make_job",
    "prompt",
    "with_defaults",
]


def best_of_n(
    prompt: str | Sequence[Message] | Prompt,
    *,
    n: int | None = None,
    generator: str | Generator | None = None,
    scorer: str | ScorerLike | Sequence[str | ScorerLike] | None = None,
    select: str | Selector | None = None,
    budget: str | Budget | None = None,
    extract: str | Extractor | None = None,
    hook: Hook = no_hook,
    **request: Any,
) -> Result:
    """Draw n candidates, score them and keep the best; blocks, also inside a running event loop.

    `prompt` is a text, OpenAI messages, or a `Prompt` (`bon.prompt` makes one with a reference). The others are specs
    or the things themselves; None takes the default: n=8, the embedded model, the scorer `math` where there is a
    reference and `heuristic` elsewhere, `argmax`. What else is given is a request field: temperature, top_p,
    max_tokens, seed, tools, response_format and so on. `hook` is told of every draw, retry, score, selection and
    spending. What a spec names is built once and kept (`bon.close` lets go).

    Raises `SpecError` for a spec that names nothing, `NoCandidates` when nothing arrived, and `ModelError` when the
    model cannot be had.
    """
    return blocking.run(
        abest_of_n(
            prompt,
            n=n,
            generator=generator,
            scorer=scorer,
            select=select,
            budget=budget,
            extract=extract,
            hook=hook,
            **request,
        )
    )


async def abest_of_n(
    prompt: str | Sequence[Message] | Prompt,
    *,
    n: int | None = None,
    generator: str | Generator | None = None,
    scorer: str | ScorerLike | Sequence[str | ScorerLike] | None = None,
    select: str | Selector | None = None,
    budget: str | Budget | None = None,
    extract: str | Extractor | None = None,
    hook: Hook = no_hook,
    **request: Any,
) -> Result:
    """`best_of_n` for async code: the same arguments, the same result."""
    builder = shared_builder(n, hook)
    asked = as_prompt(prompt)
    # In a thread: the first use of a model may fetch it, and the caller's event loop has other things to do.
    job = await asyncio.to_thread(
        make_job,
        builder,
        generator=generator,
        scorer=scorer or builder.config.defaults.get("scorer") or default_scorer(asked),
        select=select,
        budget=budget,
        extract=extract,
        request=request,
    )
    asked = job.prepared(asked)
    pool = await run(asked, job.plan)
    return decide(pool, job.selector, seed=int(asked.request.get("seed") or 0), hook=builder.hook)


def default_scorer(prompt: Prompt, *, quiet: bool = False) -> Scorer:
    """`math` where there is a reference, else `heuristic`, and once a line on stderr that it is no reward model."""
    chosen = score.default_scorer(prompt)
    if chosen is score.heuristic and not quiet:
        _say_heuristic()
    return chosen


@cache
def _say_heuristic() -> None:
    sys.stderr.write(
        "bon: scoring with 'heuristic', rules of thumb and no reward model; name a scorer of yours with "
        'scorer="..." or --scorer (`bon list scorers`)\n'
    )
