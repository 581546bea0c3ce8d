"""Scored pools of a reference as samples to rank against: refused where they are not draws of what is trained.

F(y|x) is a rank among draws of the reference for the same prompt, made as the rollouts are made: the same chat, one
temperature, one limit, nothing cut off the distribution. Pools carry the request they were drawn with; what differs is
an error, for F would be that of another distribution.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bon.errors import UsageError
from bon.stats.subsets import Floats
from bon.train.policy.outcome import Cost
from bon.types import Pool, Prompt

__all__ = ["References", "fingerprint", "references"]

_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "top_p": (1, None),
    "top_k": (0, -1, None),
    "min_p": (0, None),
    "typical_p": (1, None),
    "presence_penalty": (0, None),
    "frequency_penalty": (0, None),
    "repetition_penalty": (1, None),
    "logit_bias": ({}, None),
    "stop": ((), [], "", None),
    "num_beams": (1, None),
    "num_beam_groups": (1, None),
    "min_tokens": (0, None),
    "ignore_eos": (False, None),
    "response_format": ({"type": "text"}, None),
}
"""What leaves the model's own distribution as it is, by field: rollouts can be drawn in no other way."""
_OWN = ("hf:", "gguf:", "local")
"""Generators of bon's own, which cut nothing off unless they are told to."""
_NO_MATTER = frozenset(
    {"seed", "n", "logprobs", "top_logprobs", "return_token_ids", "user", "stream", "diversity_penalty"}
    | {"tools", "tool_choice", "chat_template_kwargs", "enable_thinking"}
    | {"temperature", "max_tokens", "max_completion_tokens"}
)
"""Fields that do not change the distribution, that rollouts are given too (they are part of the chat), or that the
fingerprint has already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """What is known of the reference's draws."""

    prompts: tuple[Prompt, ...] = field(repr=False)
    samples: Mapping[str, Floats] = field(repr=False)
    """By the id of its prompt, rewards in increasing order, shape `(M,)`."""
    temperature: float
    max_tokens: int
    cost: Cost
    """What drawing and scoring them took, as far as the pools say it."""
    notes: tuple[str, ...] = ()
    """What a reader of a report must know of them."""


def fingerprint(prompt: Prompt) -> dict[str, Any]:
    """How the draws of a pool were made, as its request says: temperature and limit, and whatever is not neutral.

    A temperature that is not stated is 1, as in the API that requests are in the words of.
    """
    request = prompt.request
    limit = request.get("max_completion_tokens", request.get("max_tokens"))
    others = {
        name: value
        for name, value in request.items()
        if name not in _NO_MATTER and not any(value == neutral for neutral in _NEUTRAL.get(name, ()))
    }
    return {"temperature": float(request.get("temperature", 1.0)), "max_tokens": limit, **others}


def references(
    pools: Iterable[Pool],
    by: str,
    *,
    temperature: float | None = None,
    max_tokens: int | None = None,
    limit: int | None = None,
    n: float | None = None,
) -> References:
    """The first `limit` samples of each prompt (all of them, without a limit), by their rewards of the scorer `by`.

    `temperature` and `max_tokens` are those of the rollouts; None takes what the pools say. Raises UsageError for pools
    that were drawn in another way than rollouts are, or in several, or by several models, and for samples without a
    reward. Where the N that is trained towards is larger than M it warns: what lies above all M samples has one rank.
    """
    kept = list(pools)
    if not kept:
        raise UsageError("there are no pools of reference samples: sample some (bon sample) and score them (bon score)")
    made = _made(kept, temperature, max_tokens)
    _refuse_mixed(kept)
    samples = _samples(kept, by, limit)
    fewest = min(map(len, samples.values()))
    notes: tuple[str, ...] = ()
    if n is not None and n > fewest:
        said = (
            f"N is {n:g}, and some prompts have {fewest} reference samples: answers above all of a prompt's samples "
            "have one rank, so nothing tells the best of them apart; draw more samples, or train towards a smaller N"
        )
        warnings.warn(said, stacklevel=2)
        notes = (said,)
    if (said_nothing := _unsaid(kept)) is not None:
        notes = (*notes, said_nothing)
    return References(
        prompts=tuple(pool.prompt for pool in kept),
        samples=samples,
        temperature=made["temperature"],
        max_tokens=int(made["max_tokens"]),
        cost=_cost(kept, limit),
        notes=notes,
    )


def _unsaid(pools: Sequence[Pool]) -> str | None:
    """A note on draws of an endpoint that was not told top_p: it may have had one of its own."""
    for pool in pools:
        if "top_p" not in pool.prompt.request:
            for candidate in pool.candidates:
                if candidate.generator and not candidate.generator.startswith(_OWN):
                    return (
                        f"{candidate.generator} was not told top_p, and is taken to have drawn from the whole "
                        "distribution; an endpoint may have a default of its own: sample with --top-p 1"
                    )
    return None


def _made(pools: Sequence[Pool], temperature: float | None, max_tokens: int | None) -> dict[str, Any]:
    """How all pools were drawn. Raises UsageError where they differ, or rollouts cannot be drawn so."""
    first = fingerprint(pools[0].prompt)
    wanted = {
        "temperature": first["temperature"] if temperature is None else temperature,
        "max_tokens": first["max_tokens"] if max_tokens is None else max_tokens,
    }
    if wanted["max_tokens"] is None:
        raise UsageError(
            f"the samples of {pools[0].prompt.id!r} had no max_tokens, and rollouts need one: sample with --max-tokens"
        )
    for pool in pools:
        found = fingerprint(pool.prompt)
        differ = [name for name in {**found, **wanted} if found.get(name) != wanted.get(name)]
        if differ:
            shown = "; ".join(
                f"{name} is {_shown(found, name)} in the samples, {_shown(wanted, name)} in training" for name in differ
            )
            raise UsageError(
                f"the reference samples of {pool.prompt.id!r} are not drawn as answers are drawn in training: {shown}. "
                "Sample again with what training has (bon sample --temperature T --top-p 1 --max-tokens K), or train "
                "with what they have"
            )
    return wanted


def _shown(made: Mapping[str, Any], name: str) -> str:
    neutral = _NEUTRAL.get(name, ("not there",))[0]
    return repr(made.get(name, neutral))


def _refuse_mixed(pools: Sequence[Pool]) -> None:
    """Raise UsageError for draws of several models, of varied prompts, and for those that call tools."""
    makers = sorted({candidate.generator for pool in pools for candidate in pool.candidates})
    if len(makers) > 1:
        raise UsageError(
            f"the reference samples are of {len(makers)} generators ({', '.join(makers)}): give those of one"
        )
    for pool in pools:
        for candidate in pool.candidates:
            if candidate.variation is not None or candidate.tool_calls:
                what = "answers a variation of the prompt" if candidate.variation is not None else "calls tools"
                raise UsageError(
                    f"sample {candidate.index} of {pool.prompt.id!r} {what}, which rollouts do not: sample again"
                )


def _samples(pools: Sequence[Pool], by: str, limit: int | None) -> dict[str, Floats]:
    found: dict[str, Floats] = {}
    missing: dict[str, int] = {}
    for pool in pools:
        if pool.prompt.id in found or pool.prompt.id in missing:
            raise UsageError(f"two pools are of the prompt {pool.prompt.id!r}: give one pool a prompt")
        if by not in pool.scores:
            names = ", ".join(pool.scores) or "none"
            raise UsageError(
                f"the samples of {pool.prompt.id!r} have no rewards of {by!r} (they have: {names}): "
                "bon score POOLS --scorer SPEC"
            )
        values = pool.values(by)[:limit]
        lacking = sum(value is None for value in values)
        if lacking or not values:
            missing[pool.prompt.id] = lacking
        else:
            found[pool.prompt.id] = np.sort(np.array(values, dtype=np.float64))
    if missing:
        first, count = next(iter(missing.items()))
        what = f"{count} samples without a reward" if count else "no samples"
        raise UsageError(
            f"{len(missing)} of {len(pools)} prompts have reference samples without a reward, or none at all "
            f"({first!r}: {what}): a rank among the others would be another's; score them (bon score POOLS --scorer "
            "SPEC), or take their prompts out of the file"
        )
    return found


def _cost(pools: Sequence[Pool], limit: int | None) -> Cost:
    """What drawing and scoring the samples that are used took.

    A pool says how long all of its draws took together: the seconds are the share of it that the used ones are.
    """
    counts = [len(pool.candidates[:limit]) for pool in pools]
    usages = [candidate.usage for pool in pools for candidate in pool.candidates[:limit]]
    return Cost(
        seconds=sum(pool.spent.seconds * count / max(1, len(pool)) for pool, count in zip(pools, counts, strict=True)),
        tokens=sum(usage.completion_tokens for usage in usages if usage is not None),
        draws=sum(counts),
    )
