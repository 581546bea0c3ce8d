"""How a policy learns from one step's answers: minibatches, passes, clipped losses, updates; it draws nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bon.errors import ModelError
from bon.train.order import learning_rate, passes, seed_of
from bon.train.place import Place
from bon.train.policy.clipped import policy_losses, value_losses
from bon.train.policy.experience import Answers, Experience
from bon.train.policy.logprobs import collate, log_probs_of
from bon.train.policy.model import Policy
from bon.train.policy.online_recipe import OnlineRecipe
from bon.train.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Learner", "cuts_of", "minibatches"]

_DRIFT = {"float32": 1e-3, "bfloat16": 0.1}
"""Nats by which a log-probability may differ when it is asked for twice: a kernel of another rounding, at the most."""


def minibatches(count: int, recipe: OnlineRecipe, *, step: int, epoch: int, place: Place) -> list[list[int]]:
    """The places of this process's answers that each update of an epoch learns from, as the seed shuffles them."""
    size = -(-recipe.minibatch // place.processes) if recipe.minibatch else count
    if size >= count:
        return [list(range(count))]
    seed = seed_of("minibatches", recipe.seed, step, epoch, place.process)
    order = [int(place) for place in np.random.default_rng(seed).permutation(count)]
    return [order[start : start + size] for start in range(0, count, size)]


def cuts_of(answers: Answers, rows: Sequence[int], recipe: OnlineRecipe) -> list[list[int]]:
    """Places of answers, cut into passes of at most `recipe.tokens` tokens, padding included."""
    lengths = [len(answers.prompts[row]) + recipe.max_tokens for row in rows]
    return [[rows[place] for place in cut] for cut in passes(lengths, recipe.tokens)]


@dataclass(slots=True, kw_only=True)
class Learner:
    """Weights in training, and what updates them."""

    policy: Policy
    wrapped: Any
    """`valued.network`'s module, or a wrapper that averages its gradients over processes."""
    trained: Mapping[str, Any] = field(repr=False)
    """The weights that ask for gradients, by name."""
    recipe: OnlineRecipe
    place: Place
    optimizer: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        import torch

        recipe = self.recipe
        self.optimizer = torch.optim.AdamW(
            self.trained.values(), lr=recipe.lr, eps=recipe.adam_eps, weight_decay=recipe.weight_decay
        )

    def learn(self, found: Experience, *, step: int) -> dict[str, float]:
        """All updates of a step: its mean figures. Raises ModelError, before the update, for what is not finite."""
        import torch

        recipe, place, count = self.recipe, self.place, len(found.answers.responses)
        rate = learning_rate(step, recipe.steps, Recipe(lr=recipe.lr, schedule=recipe.schedule, warmup=recipe.warmup))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        sums: dict[str, float] = {}
        norms: list[float] = []
        drift = 0.0
        for epoch in range(recipe.passes):
            for rows in minibatches(count, recipe, step=step, epoch=epoch, place=place):
                self.optimizer.zero_grad(set_to_none=True)
                figures = self._gradient(found, rows, first=not norms)
                if not norms:
                    drift = figures["drift"]
                    self._require_same(drift, step)
                clip = math.inf if recipe.max_grad_norm is None else recipe.max_grad_norm
                norms.append(float(torch.nn.utils.clip_grad_norm_(self.trained.values(), clip)))
                if not math.isfinite(norms[-1]):
                    raise self._diverged(step, norms[-1], rate)
                self.optimizer.step()
                for name, value in figures.items():
                    sums[name] = sums.get(name, 0.0) + value
        mean = {name: value / len(norms) for name, value in sums.items() if name != "drift"}
        return {**mean, "drift": drift, "grad_norm": math.fsum(norms) / len(norms), "lr": rate}

    def _gradient(self, found: Experience, rows: Sequence[int], *, first: bool) -> dict[str, float]:
        """The gradient of the mean loss of a minibatch, into the weights; mean figures of it, over all processes."""
        place, sequence = self.place, found.targets is None
        counted = found.weights[list(rows)]
        own = counted.sum() if sequence else (found.scored.mask[list(rows)] * counted[:, None]).sum()
        total = max(1.0, place.total({"units": float(own)})["units"])
        cuts = cuts_of(found.answers, rows, self.recipe)
        sums = {"policy_loss": 0.0, "clipped": 0.0, **({} if sequence else {"value_loss": 0.0})}
        drift = 0.0
        for number, cut in enumerate(cuts):
            with place.alone(self.wrapped, last=number == len(cuts) - 1):
                new, values, mask = self._again(found, cut, live=first)
                loss, parts = self._losses(found, cut, new, values, mask)
                (loss * (place.processes / total)).backward()  # type: ignore[no-untyped-call]
            if first:
                old = found.scored.log_probs[cut][:, : mask.shape[1]].to(new.device)
                drift = max(drift, float((new.detach() - old).abs().max()))
            for name, value in parts.items():
                sums[name] += float(value.detach())
        means = {name: value / total for name, value in place.total(sums).items()}
        return {**means, "drift": drift}

    def _again(self, found: Experience, cut: Sequence[int], *, live: bool) -> tuple[Tensor, Tensor | None, Tensor]:
        """Log-probabilities and values of answers with their graph, shape `(rows, T)`, and the mask."""
        if live and found.scored.live is not None:
            new, values = found.scored.live
            return new, values, found.scored.mask[list(cut)].to(new.device)  # they are in the order of the cut
        answers, policy = found.answers, self.policy
        batch = collate(policy.model, [answers.prompts[row] for row in cut], [answers.responses[row] for row in cut])
        with policy.computing():
            logits, values = self.wrapped(**batch.inputs)
            new = log_probs_of(logits[:, :-1], batch, temperature=self.recipe.temperature)
        return new, None if values is None else values[:, :-1], batch.mask

    def _losses(
        self, found: Experience, cut: Sequence[int], new: Tensor, values: Tensor | None, mask: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The summed loss of some answers, and what it is made of."""
        recipe, device, rows, size = self.recipe, new.device, list(cut), mask.shape[1]
        weights = found.weights[rows].to(device)
        old = found.scored.log_probs[rows, :size].to(device)
        if values is None or found.targets is None or found.scored.values is None:
            advantages = found.advantages[rows].to(device)
            losses, clipped = policy_losses(new.sum(1), old.sum(1), advantages, clip=recipe.clip)
            loss = (losses * weights).sum()
            return loss, {"policy_loss": loss, "clipped": (clipped * weights).sum()}
        counted = mask * weights[:, None]
        advantages = found.advantages[rows, :size].to(device)
        losses, clipped = policy_losses(new, old, advantages, clip=recipe.clip)
        before, targets = (part[rows, :size].to(device) for part in (found.scored.values, found.targets))
        errors = (value_losses(values, before, targets, clip=recipe.value_clip) * counted).sum()
        loss = (losses * counted).sum()
        parts = {"policy_loss": loss, "value_loss": errors, "clipped": (clipped * counted).sum()}
        return loss + recipe.value_coef * errors, parts

    def _require_same(self, drift: float, step: int) -> None:
        """Raise ModelError where the first ratio of new to old probabilities is not 1."""
        if not drift <= _DRIFT[self.policy.setup.precision]:
            raise ModelError(
                f"at step {step + 1} the policy gives a token another log-probability, by {drift:.3g} nats, when it is "
                "asked a second time before it has learned anything: something in it is random, or depends on what "
                "else is in the batch; try precision='float32', or another model"
            )

    def _diverged(self, step: int, norm: float, rate: float) -> ModelError:
        return ModelError(
            f"step {step + 1} of {self.recipe.steps} has a gradient of norm {norm} at a learning rate of {rate:.3g}: "
            f"nothing can be learned from there. Train anew, in another folder, with a smaller lr "
            f"({self.recipe.lr / 10:.1g}) or in float32"
        )
