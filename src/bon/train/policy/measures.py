"""What a policy says of test prompts, and how far it is from its reference there: draws, and KL over the vocabulary."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

from bon.errors import UsageError
from bon.generate.planning import encoded_prompt
from bon.models.transformers import LanguageModel, load_language_model
from bon.train.order import passes, seed_of
from bon.train.policy.logprobs import full_kl
from bon.train.policy.rollouts import Decoding, Rollout, roll_out
from bon.types import Candidate, Prompt

__all__ = ["Answer", "Answers", "Measuring", "loaded", "measured_draws"]

_TURN = 32
"""Prompts drawn side by side; fixed, since the draws of a turn share their random numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measuring:
    """How test prompts are answered."""

    temperature: float = 1.0
    """Divides the logits in drawing and in every log-probability, of the policy and of the reference."""
    max_tokens: int
    draws: int
    """Answers a prompt."""
    seed: int = 0
    tokens: int = 32_768
    """Tokens a pass, padding included: what bounds the memory; it changes nothing but rounding."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """What passes are computed in: KL in bfloat16 is noise where policies are near their reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One draw, and what the models said of it."""

    candidate: Candidate
    """As scorers are given it."""
    log_prob: float
    """Of the whole answer under the model that drew it, in nats, as it was drawn: temperature included."""
    kl: float | None = None
    """The sum over its tokens of KL(policy || reference) over the whole vocabulary, in nats, at the temperature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The draws for one prompt."""

    prompt: Prompt
    draws: tuple[Answer, ...]
    seconds: float = field(default=0.0, compare=False)
    """Of drawing them, without reading what the reference says of them."""


def loaded(source: str, *, revision: str | None = None, device: str | None = None) -> LanguageModel:
    """A model to measure: a folder that bon trained, or the reference as a training names it. Raises ModelError."""
    from bon.models.from_gguf import resolved

    return load_language_model(resolved(source), dtype="float32", device=device, revision=revision)


def measured_draws(
    prompts: Sequence[Prompt],
    policy: LanguageModel,
    measuring: Measuring,
    *,
    reference: LanguageModel | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Answers]:
    """Answers of a policy to each prompt, in the order of the prompts, some prompts at a time.

    With a `reference` each answer has its KL; where `policy` is the reference itself leave that out. The same seed,
    prompts and settings give the same draws, up to float rounding. A policy's share no random numbers with those of the
    reference, which they are held against; all policies have the same numbers. Raises UsageError for a prompt that
    leaves no room for an answer.
    """
    import torch

    if reference is not None and reference.tokenizer.get_vocab() != policy.tokenizer.get_vocab():
        raise UsageError(
            f"{policy.name!r} and {reference.name!r} have different tokens: a policy is measured against the model "
            "that it was trained from"
        )
    encoded = [_encoded(prompt, policy, measuring) for prompt in prompts]
    decoding = Decoding(temperature=measuring.temperature, max_tokens=measuring.max_tokens, eos=policy.eos)
    numbers = "samples" if reference is None else "answers"
    for turn, begin in enumerate(range(0, len(prompts), _TURN)):
        part = encoded[begin : begin + _TURN]
        generator = torch.Generator().manual_seed(seed_of(numbers, measuring.seed, turn))
        begun = time.monotonic()
        with _computing(policy, measuring):
            drawn = roll_out(
                policy.model,
                policy.tokenizer,
                part,
                decoding,
                generator,
                draws=measuring.draws,
                tokens=measuring.tokens,
            )
        spent = (time.monotonic() - begun) / len(part)
        kls = _kls(drawn, policy, reference, measuring)
        for place in range(len(part)):
            own = [row for row, each in enumerate(drawn) if each.prompt == place]
            answers = tuple(
                Answer(
                    candidate=drawn[row].candidate(index),
                    log_prob=sum(drawn[row].log_probs),
                    kl=None if kls is None else kls[row],
                )
                for index, row in enumerate(own)
            )
            yield Answers(prompt=prompts[begin + place], draws=answers, seconds=spent)
        if progress is not None:
            progress(min(begin + _TURN, len(prompts)), len(prompts))


def _encoded(prompt: Prompt, policy: LanguageModel, measuring: Measuring) -> list[int]:
    _, ids = encoded_prompt(policy.tokenizer, prompt.messages, prompt.request)
    if policy.context is not None and len(ids) + measuring.max_tokens > policy.context:
        raise UsageError(
            f"prompt {prompt.id!r} has {len(ids)} tokens, and with {measuring.max_tokens} of an answer that is more "
            f"than the {policy.context} that {policy.name!r} reads: shorten it, or give a smaller max_tokens"
        )
    return ids


def _kls(
    drawn: Sequence[Rollout], policy: LanguageModel, reference: LanguageModel | None, measuring: Measuring
) -> list[float] | None:
    """The KL of each answer, in nats; None without a reference."""
    import torch

    if reference is None:
        return None
    found = [0.0] * len(drawn)
    for cut in passes([len(each.prompt_ids) + len(each.ids) for each in drawn], measuring.tokens):
        with torch.no_grad(), _computing(policy, measuring):
            values = full_kl(
                policy.model,
                reference.model,
                [drawn[row].prompt_ids for row in cut],
                [drawn[row].ids for row in cut],
                temperature=measuring.temperature,
            )
        for row, value in zip(cut, values.tolist(), strict=True):
            found[row] = value
    return found


def _computing(policy: LanguageModel, measuring: Measuring) -> AbstractContextManager[Any]:
    import torch

    if measuring.precision == "float32":
        return nullcontext()
    return torch.autocast(policy.model.device.type, dtype=torch.bfloat16)
