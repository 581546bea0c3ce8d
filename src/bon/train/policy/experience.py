"""What one step of policy-gradient training learns from: answers with rewards, log-probabilities, advantages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bon.errors import UsageError
from bon.stats.ranks import alike, win_share
from bon.stats.subsets import Floats
from bon.train.policy.advantages import gae, rloo, whiten
from bon.train.policy.logprobs import collate, log_probs_of, sequence_log_probs, spreads
from bon.train.policy.model import Policy
from bon.train.policy.online_recipe import OnlineRecipe, OnlineTask
from bon.types import Candidate

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Answers", "Experience", "Scored", "experience", "means", "of_prompts", "rewards_of", "score"]


_NONE: Floats = np.empty(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What policy, value head and reference say of B answers of at most T tokens; on the CPU, and without gradients."""

    log_probs: Tensor = field(repr=False)
    """Shape `(B, T)`: log pi_theta of each token, 0 outside of the mask."""
    reference: Tensor = field(repr=False)
    """Shape `(B, T)`: log pi_ref."""
    mask: Tensor = field(repr=False)
    values: Tensor | None = field(repr=False)
    """Shape `(B, T)`: of the state before each token."""
    entropies: Tensor = field(repr=False)
    """Shape `(B, T)`: of the policy's next-token distributions."""
    divergences: Tensor = field(repr=False)
    """Shape `(B, T)`: their KL to the reference's, over the whole vocabulary."""
    live: tuple[Tensor, Tensor | None] | None = field(repr=False)
    """Log-probabilities and values with their graph, where all answers went through the policy in one pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """B answers, before anything is known of them but what they are."""

    places: Sequence[int]
    """Shape `(B,)`: which of the task's prompts each is to."""
    candidates: Sequence[Candidate] = field(repr=False)
    """What they are to who rewards them."""
    prompts: Sequence[Sequence[int]] = field(repr=False)
    """The token ids of the prompts."""
    responses: Sequence[Sequence[int]] = field(repr=False)
    """The token ids of the answers, as they were drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experience:
    """B answers to learn from; its tensors are on the CPU."""

    answers: Answers
    scored: Scored
    weights: Tensor = field(repr=False)
    """Shape `(B,)`: 1, or 0 for an answer without a reward, which counts nowhere."""
    advantages: Tensor = field(repr=False)
    """Shape `(B,)` for RLOO, `(B, T)` for PPO."""
    targets: Tensor | None = field(repr=False)
    """Shape `(B, T)`: what the value head should have said."""
    sums: Mapping[str, float]
    """Sums over answers, `answers` of them and `tokens` of their tokens."""


def rewards_of(task: OnlineTask, answers: Answers) -> list[float | None]:
    """A reward an answer, shape `(B,)`, asked for in one call; None where there is none.

    Raises UsageError where the reward does not give one finite number, or None, an answer.
    """
    by_prompt: dict[int, list[int]] = {}
    for row, place in enumerate(answers.places):
        by_prompt.setdefault(place, []).append(row)
    asked = [(task.prompts[place], [answers.candidates[row] for row in rows]) for place, rows in by_prompt.items()]
    answered = list(task.reward(asked))
    if [len(values) for values in answered] != [len(rows) for rows in by_prompt.values()]:
        raise UsageError("the reward gives other numbers of values than it was given answers: one an answer is wanted")
    found: list[float | None] = [None] * len(answers.places)
    for (prompt, _), rows, values in zip(asked, by_prompt.values(), answered, strict=True):
        for row, value in zip(rows, values, strict=True):
            if value is not None and not math.isfinite(value):
                raise UsageError(
                    f"the reward of an answer to {prompt.id!r} is {value!r}: give a finite number, or None where there "
                    "is none"
                )
            found[row] = None if value is None else float(value)
    return found


def score(net: Any, policy: Policy, answers: Answers, cuts: Sequence[Sequence[int]], *, temperature: float) -> Scored:
    """Log-probabilities of the answers' tokens under policy and reference, one pass of each over every cut of places.

    `net` is `valued.network`'s, or that network in a wrapper. The cuts are those that are learned from first, so that
    the first ratio of new to old probability is 1 to the last bit.
    """
    import torch

    count, width = len(answers.responses), max(map(len, answers.responses))
    device = next(policy.model.parameters()).device
    table = torch.zeros((5, count, width), device=device)
    mask = torch.zeros((count, width), dtype=torch.bool, device=device)
    live: tuple[Tensor, Tensor | None] | None = None
    valued = False
    for cut in cuts:
        batch = collate(policy.model, [answers.prompts[row] for row in cut], [answers.responses[row] for row in cut])
        with torch.set_grad_enabled(len(cuts) == 1), policy.computing():
            logits, values = net(**batch.inputs)
            ours = log_probs_of(logits[:, :-1], batch, temperature=temperature)
        live = (ours, None if values is None else values[:, :-1]) if len(cuts) == 1 else None
        rows, size = torch.tensor(cut, device=device), batch.mask.shape[1]
        with torch.no_grad():
            with policy.computing(), policy.referring() as reference:
                others = reference(**batch.inputs).logits[:, :-1]
                theirs = log_probs_of(others, batch, temperature=temperature)
            parts = [ours, theirs, *spreads(logits[:, :-1], others, batch.mask, temperature=temperature)]
            if values is not None:
                valued = True
                parts.append(values[:, :-1].where(batch.mask, 0.0))
            mask[rows, :size] = batch.mask
            for place, part in enumerate(parts):
                table[place, rows, :size] = part.detach().float()
    table, mask = table.cpu(), mask.cpu()
    return Scored(
        log_probs=table[0],
        reference=table[1],
        mask=mask,
        entropies=table[2],
        divergences=table[3],
        values=table[4] if valued else None,
        live=live,
    )


def experience(
    task: OnlineTask,
    recipe: OnlineRecipe,
    answers: Answers,
    scored: Scored,
    rewards: Sequence[float | None],
    prompts: tuple[Tensor, Tensor] | None = None,
) -> Experience:
    """Returns and advantages of answers.

    The return of an answer is R = aim.reward - aim.kl (log pi_theta - log pi_ref), all of it numbers: no gradient flows
    through a reward. PPO is given the second part token by token, and the first at the last token. `prompts` are log
    pi_theta and log pi_ref of the prompts' own tokens, shape `(B,)` each, which the authors' code counts as well.
    """
    import torch

    reference = scored.reference.double()
    k1 = scored.log_probs.double() - reference
    log_ref, more = reference.sum(1), torch.zeros(len(rewards), dtype=torch.float64)
    if prompts is not None:
        log_ref, more = log_ref + prompts[1], prompts[0] - prompts[1]
    known = [row for row, reward in enumerate(rewards) if reward is not None]
    weights = torch.zeros(len(rewards), dtype=torch.float64)
    weights[known] = 1.0
    gained = torch.zeros_like(weights)
    samples = [task.samples.get(task.prompts[answers.places[row]].id, _NONE) for row in known]
    values = np.array([rewards[row] for row in known], dtype=np.float64)
    if known:
        gained[known] = torch.from_numpy(task.aim.reward(values, samples, log_ref.numpy()[known]))
    gained = gained - task.aim.kl * more * weights
    returns = gained - task.aim.kl * k1.sum(1) * weights
    advantages, targets = _advantages(task, recipe, answers, scored, (gained, returns, k1, weights))
    return Experience(
        answers=answers,
        scored=scored,
        weights=weights.float(),
        advantages=advantages.float(),
        targets=targets,
        sums={
            "answers": float(weights.sum()),
            "missing": float(len(rewards) - len(known)),
            "tokens": float(scored.mask.sum()),
            "reward": float(values.sum()),
            "return": float(returns.sum()),
            "return_square": float((returns**2).sum()),
            "kl": float((scored.divergences.double().sum(1) * weights).sum()),
            "entropy": float(scored.entropies.double().sum()),
            **({"win": _wins(values, samples)} if task.samples else {}),
        },
    )


def _advantages(
    task: OnlineTask, recipe: OnlineRecipe, answers: Answers, scored: Scored, parts: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor | None]:
    """Advantages, and what values should have been where there are values."""
    import torch

    gained, returns, k1, weights = parts
    if scored.values is None:
        alone = recipe.draws == 1  # then the others of the step are what an answer is compared with
        groups = torch.tensor([0 if alone else place for place in answers.places])
        advantages = rloo(returns, groups, weights)
        return (whiten(advantages, weights > 0) if recipe.whitens else advantages), None
    mask = scored.mask & (weights > 0)[:, None]
    rewards = (-task.aim.kl * k1).where(mask, 0.0)
    last = scored.mask.sum(1) - 1
    rewards[torch.arange(len(last)), last] += gained
    values = scored.values.double()
    advantages = gae(rewards, values, mask, gamma=recipe.gamma, lam=recipe.lam)
    targets = (advantages + values).where(mask, 0.0).float()
    return (whiten(advantages, mask) if recipe.whitens else advantages), targets


def _wins(rewards: Floats, samples: Sequence[Floats]) -> float:
    """The sum of the shares of reference samples that are beaten."""
    return math.fsum(float(win_share(samples[rows[0]], rewards[rows]).sum()) for rows in alike(samples))


def of_prompts(policy: Policy, answers: Answers, *, temperature: float) -> tuple[Tensor, Tensor]:
    """Log pi_theta and log pi_ref of the prompts' own tokens but the first, of each answer: shape `(B,)`, float64.

    They are constants of a prompt: only the authors' released code counts them with the answers'.
    """
    import torch

    asked = dict(zip(answers.places, answers.prompts, strict=True))
    heads, tails = [prompt[:1] for prompt in asked.values()], [prompt[1:] for prompt in asked.values()]
    with torch.no_grad(), policy.computing():
        ours = sequence_log_probs(policy.model, heads, tails, temperature=temperature)
        with policy.referring() as reference:
            theirs = sequence_log_probs(reference, heads, tails, temperature=temperature)
    rows = {place: row for row, place in enumerate(asked)}
    at = [rows[place] for place in answers.places]
    return ours.cpu().double()[at], theirs.cpu().double()[at]


def means(sums: Mapping[str, float], rollouts: int) -> dict[str, float]:
    """Figures of a step from sums over its answers; those of rewards are over answers that have one."""
    count = sums["answers"]
    mean = sums["return"] / count
    return {
        "reward": sums["reward"] / count,
        "return": mean,
        "return_sd": math.sqrt(max(0.0, sums["return_square"] / count - mean**2)),
        "kl": sums["kl"] / count,
        **({"win": sums["win"] / count} if "win" in sums else {}),
        "entropy": sums["entropy"] / sums["tokens"],
        "length": sums["tokens"] / rollouts,
        "ended": sums["ended"] / rollouts,
    }
