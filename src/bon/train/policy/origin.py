"""Whether samples are the reference's own: the generator that they name, and the log-probabilities that they carry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from bon.errors import UsageError
from bon.generate.planning import encoded_prompt
from bon.train.policy.evidence import evenly
from bon.train.policy.examples import Speaker
from bon.train.policy.logprobs import token_log_probs
from bon.train.policy.model import Policy
from bon.types import Candidate, Logprobs, Pool

__all__ = ["require_log_probs", "taken_for"]

_NATS = 0.05
"""Nats a token, on average over an answer, that log-probabilities may differ by: half precision on the other side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """A draw whose tokens and log-probabilities are known."""

    pool: Pool
    candidate: Candidate
    said: Logprobs
    ids: tuple[int, ...]

    @property
    def kept(self) -> bool:
        """Whether the tokens are those that were drawn; else they are as many, read from the text."""
        return self.candidate.token_ids is not None


def taken_for(generators: Iterable[str], reference: str) -> str | None:
    """A note on samples that other names drew than the reference's; None where there are none."""
    others = sorted(set(generators) - {"", reference, f"hf:{reference}"})
    if not others:
        return None
    return f"The pools were drawn by {', '.join(others)}, which is taken to be the same model as {reference}."


def require_log_probs(policy: Policy, pools: Sequence[Pool], *, few: int = 4) -> str:
    """Hold the log-probabilities that samples carry (at temperature 1) against the reference's own; a note on it.

    Raises UsageError where they differ by more than half precision does: the samples are of another model, or were
    given to it by another chat template. Where the tokens are not kept, one that agrees is enough: a text may be read
    as other tokens than were drawn, as many of them. Where none can be held against it the note says so.
    """
    known = _known(policy, pools, few)
    if not known:
        carried = any(candidate.logprobs is not None for pool in pools for candidate in pool.candidates)
        why = (
            "which tokens their log-probabilities are of is not known (return_token_ids=true keeps them)"
            if carried
            else "they carry no log-probabilities"
        )
        return f"whether the samples are of the reference was not checked: {why}"
    gaps = [_gap(policy, sample) for sample in known]
    certain = [place for place, sample in enumerate(known) if sample.kept] or [int(np.argmin(gaps))]
    worst = max(certain, key=lambda place: gaps[place])
    if not gaps[worst] <= _NATS:
        sample = known[worst]
        raise UsageError(
            f"sample {sample.candidate.index} of {sample.pool.prompt.id!r} carries log-probabilities {gaps[worst]:.3g} "
            f"nats a token away from those of {policy.setup.reference!r}: it is of another model, another revision of "
            "it, or another chat template; sample again from the reference that is trained"
        )
    same = [gap for gap in gaps if gap <= _NATS]
    return f"the log-probabilities of {len(same)} samples are the reference's, within {max(same):.2g} nats a token"


def _known(policy: Policy, pools: Sequence[Pool], few: int) -> list[_Sample]:
    """At most `few` samples of pools that lie evenly over all of them, or, where these have too few, of any."""
    speaker = Speaker(tokenizer=policy.tokenizer, eos=policy.eos, limit=policy.context)
    some = evenly(pools, few)
    found = [*islice(_checkable(speaker, some), few)]
    return found if len(found) == few else [*islice(_checkable(speaker, pools), few)]


def _checkable(speaker: Speaker, pools: Iterable[Pool]) -> Iterator[_Sample]:
    """The first sample of each pool that can be checked."""
    for pool in pools:
        for candidate in pool.candidates:
            said = candidate.logprobs
            ids = speaker.response(candidate) if said is not None else ""
            if said is not None and not isinstance(ids, str) and len(ids) == len(said.tokens):
                yield _Sample(pool=pool, candidate=candidate, said=said, ids=ids)
                break


def _gap(policy: Policy, sample: _Sample) -> float:
    """Nats a token between what a sample carries and what the reference says of it."""
    import torch

    prompt = encoded_prompt(policy.tokenizer, sample.pool.prompt.messages, sample.pool.prompt.request)[1]
    with torch.no_grad(), policy.computing(), policy.referring() as reference:
        ours, _ = token_log_probs(reference, [prompt], [sample.ids])
    return float(np.abs(ours[0].cpu().double().numpy() - np.array(sample.said.tokens)).mean())
