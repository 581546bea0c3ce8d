"""Whether pools are what they are taken for: rewards asked for again, log-probabilities held against the reference."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from bon.errors import UsageError
from bon.generate.planning import encoded_prompt
from bon.train.policy.examples import Speaker
from bon.train.policy.logprobs import token_log_probs
from bon.train.policy.model import Policy
from bon.train.policy.online_recipe import Reward
from bon.types import Candidate, Pool

__all__ = ["require_log_probs", "require_rewards"]

T = TypeVar("T")

_REWARDS = 0.02
"""Standard deviations of the samples' rewards that a reward may differ by when it is asked for again: rounding."""
_NATS = 0.05
"""Nats a token, on average over an answer, that log-probabilities may differ by: half precision on the other side."""


def require_rewards(pools: Sequence[Pool], by: str, reward: Reward, *, few: int = 4) -> str:
    """Ask for the rewards of `few` samples again, ended and cut off ones; a note that says how far they agree.

    Raises UsageError where one differs by more than rounding: the pools were scored by another model, in another
    precision, or by what rollouts do not have.
    """
    values = np.array([value for pool in pools for value in pool.values(by) if value is not None])
    spread = float(values.std()) or 1.0
    chosen = _both_ends(pools, by, few)
    again = reward([(pool.prompt, [_as_rolled(candidate)]) for pool, candidate, _ in chosen])
    worst = 0.0
    for (pool, candidate, was), (now,) in zip(chosen, again, strict=True):
        gap = math.inf if now is None else abs(now - was) / spread
        if gap > _REWARDS:
            cut = "" if candidate.complete else ", which was cut off,"
            raise UsageError(
                f"the scorer gives sample {candidate.index} of {pool.prompt.id!r}{cut} a reward of {now!r} where the "
                f"pools say {was!r}: they were scored by another scorer, in another precision, or by something that "
                "draws in training do not have (an extracted answer, log-probabilities, token ids); score them again "
                "with the one that is trained towards (bon score POOLS --scorer SPEC), or sample them without that"
            )
        worst = max(worst, gap)
    cut_off = sum(not candidate.complete for _, candidate, _ in chosen)
    return (
        f"{len(chosen)} samples were scored again, {cut_off} of them cut off: they differ by {worst:.2g} standard "
        "deviations at the most"
    )


def require_log_probs(policy: Policy, pools: Sequence[Pool], *, few: int = 4) -> str:
    """Hold the log-probabilities that samples carry (at temperature 1) against the reference's own; a note on it.

    Raises UsageError where they differ by more than half precision does: the samples are of another model, or were
    given to it by another chat template. Where none can be held against it the note says so.
    """
    import torch

    speaker = Speaker(tokenizer=policy.tokenizer, eos=policy.eos, limit=policy.context)
    known = [
        (pool, candidate, ids)
        for pool, candidate in _spread(pools, max(few, len(pools)))
        if candidate.logprobs is not None and (ids := _tokens(speaker, candidate)) is not None
    ][:few]
    if not known:
        return "whether the samples are of the reference was not checked: they carry no log-probabilities of its tokens"
    worst = 0.0
    for pool, candidate, ids in known:
        prompt = encoded_prompt(policy.tokenizer, pool.prompt.messages, pool.prompt.request)[1]
        with torch.no_grad(), policy.computing(), policy.referring() as reference:
            ours, _ = token_log_probs(reference, [prompt], [ids])
        said = candidate.logprobs.tokens if candidate.logprobs is not None else ()
        gap = float(np.abs(ours[0].cpu().double().numpy() - np.array(said)).mean())
        if not gap <= _NATS:
            raise UsageError(
                f"sample {candidate.index} of {pool.prompt.id!r} carries log-probabilities {gap:.3g} nats a token away "
                f"from those of {policy.setup.reference!r}: it is of another model, another revision of it, or another "
                "chat template; sample again from the reference that is trained"
            )
        worst = max(worst, gap)
    return f"the log-probabilities of {len(known)} samples are the reference's, within {worst:.2g} nats a token"


def _both_ends(pools: Sequence[Pool], by: str, count: int) -> list[tuple[Pool, Candidate, float]]:
    """Samples with their rewards: half of `count` ended, half were cut off; where one kind lacks, more of the other."""
    ended, cut = ([*_firsts(pools, by, complete=complete)] for complete in (True, False))
    of_cut = min(len(cut), max(count // 2, count - len(ended)))
    return [*_evenly(ended, count - of_cut), *_evenly(cut, of_cut)]


def _firsts(pools: Sequence[Pool], by: str, *, complete: bool) -> Iterator[tuple[Pool, Candidate, float]]:
    """The first sample of each pool that has a reward, among those that ended or those that did not."""
    for pool in pools:
        for candidate, value in zip(pool.candidates, pool.values(by), strict=True):
            if value is not None and candidate.complete == complete:
                yield pool, candidate, value
                break


def _as_rolled(candidate: Candidate) -> Candidate:
    """A sample with what a rollout has (`Rollout.candidate`), and with nothing else that a scorer could go by."""
    return Candidate(
        index=candidate.index,
        text=candidate.text,
        reasoning=candidate.reasoning,
        finish_reason=candidate.finish_reason,
        usage=candidate.usage,
    )


def _spread(pools: Sequence[Pool], count: int) -> list[tuple[Pool, Candidate]]:
    """A sample each of pools that lie evenly over all of them."""
    return _evenly([(pool, pool.candidates[0]) for pool in pools if pool.candidates], count)


def _evenly(some: Sequence[T], count: int) -> list[T]:
    """At most `count` of these, which lie evenly over all of them."""
    places = sorted({round(place) for place in np.linspace(0, len(some) - 1, min(count, len(some)))}) if some else []
    return [some[place] for place in places]


def _tokens(speaker: Speaker, candidate: Candidate) -> Sequence[int] | None:
    """The tokens of a sample, where they are as many as its log-probabilities."""
    ids = speaker.response(candidate)
    said: Any = candidate.logprobs
    return ids if not isinstance(ids, str) and said is not None and len(ids) == len(said.tokens) else None
