"""What one step's answers teach in all its passes: the old probabilities stay the old ones, and cuts change nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from online_parts import recipe, task

from bon.testing.enumerable import Enumerable, save_enumerable
from bon.train.place import Place
from bon.train.policy.experience import Answers, Experience, experience, rewards_of, score
from bon.train.policy.facts import encoded
from bon.train.policy.logprobs import collate, token_log_probs
from bon.train.policy.model import PolicySetup, load_policy
from bon.train.policy.online import _Run
from bon.train.policy.online_recipe import OnlineRecipe

torch = pytest.importorskip("torch")

CLIP, VALUE_CLIP, VALUE_COEF = 0.1, 0.05, 0.3


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Enumerable:
    return save_enumerable(tmp_path_factory.mktemp("passes") / "world", letters=2, length=3)


@dataclass(frozen=True, kw_only=True)
class Update:
    """What the optimiser was given, and the weights that it was to change."""

    gradient: Any
    weights: Any


def run_of(world: Enumerable, how: OnlineRecipe, folder: Path) -> _Run:
    """A training on prompts of different lengths, whose policy has already moved away from its reference."""
    policy = load_policy(PolicySetup(reference=str(world.folder), device="cpu"), seed=how.seed)
    chosen, ids = encoded(policy, task(world, "", "a", "bb", "aba"), how)
    torch.manual_seed(0)
    run = _Run(chosen, ids, policy, how, place=Place("cpu"), folder=folder, identity={})
    with torch.no_grad():
        for weight in run.learner.trained.values():
            weight.add_(0.02 * torch.randn_like(weight))
    return run


def flat(tensors: Any) -> Any:
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def stepped(run: _Run) -> tuple[list[Update], dict[str, float]]:
    """One step of the loop: its updates, and its figures."""
    updates: list[Update] = []
    weights = run.learner.trained.values()

    def seen(*_: Any) -> None:
        updates.append(Update(gradient=flat(weight.grad for weight in weights), weights=flat(weights).clone()))

    handle = run.learner.optimizer.register_step_pre_hook(seen)
    figures = run._step()
    handle.remove()
    return updates, figures


def clipped_loss(run: _Run, answers: Answers, found: Experience, old: Any) -> Any:
    """-min(r A, clip(r) A), r = pi / pi_old: of answers for RLOO, of tokens for PPO, with its values' errors."""
    new, mask = token_log_probs(
        run.policy.model, answers.prompts, answers.responses, temperature=run.recipe.temperature
    )
    if found.targets is None:
        ratio, gained = (new.sum(1) - old.sum(1)).exp(), found.advantages
        return -torch.minimum(ratio * gained, ratio.clamp(1 - CLIP, 1 + CLIP) * gained).mean()
    ratio, gained = (new - old).exp(), found.advantages
    surrogate = torch.minimum(ratio * gained, ratio.clamp(1 - CLIP, 1 + CLIP) * gained)
    _, values = run.net(**collate(run.policy.model, answers.prompts, answers.responses).inputs)
    values, before = values[:, :-1], found.scored.values
    near = before + (values - before).clamp(-VALUE_CLIP, VALUE_CLIP)
    errors = 0.5 * torch.maximum((values - found.targets) ** 2, (near - found.targets) ** 2)
    return ((VALUE_COEF * errors - surrogate) * mask).sum() / mask.sum()


@pytest.mark.parametrize("algorithm", ["rloo", "ppo"])
def test_later_passes_follow_the_clipped_gradient_away_from_the_policy_that_drew(
    world: Enumerable, tmp_path: Path, algorithm: Any
) -> None:
    """Every update of a step, against autograd of the loss written out, at the weights the loop had come to."""
    own = {"clip": CLIP, "value_clip": VALUE_CLIP, "value_coef": VALUE_COEF, "max_grad_norm": None, "whiten": False}
    how = recipe(world, algorithm=algorithm, draws=2, epochs=3, lr=5e-3, temperature=0.7, **own)
    run = run_of(world, how, tmp_path)
    answers, _ = run._drawn()  # the step draws the same ones
    with torch.no_grad():
        old, _ = token_log_probs(run.policy.model, answers.prompts, answers.responses, temperature=0.7)
    scored = score(run.net, run.policy, answers, [[*range(8)], [*range(8, 16)]], temperature=0.7)
    found = experience(run.task, how, answers, scored, rewards_of(run.task, answers))
    updates, figures = stepped(run)
    assert len(updates) == 3
    assert figures["clipped"] > 0  # some ratio has left 1 by more than the clip
    weights = list(run.learner.trained.values())
    for update in updates:
        torch.nn.utils.vector_to_parameters(update.weights, weights)
        expected = flat(torch.autograd.grad(clipped_loss(run, answers, found, old), weights))
        assert float((update.gradient - expected).norm() / expected.norm()) < 1e-3
    assert float((updates[2].gradient - updates[0].gradient).norm() / updates[0].gradient.norm()) > 0.1


@pytest.mark.parametrize("algorithm", ["rloo", "ppo"])
def test_nothing_is_clipped_in_the_first_pass_and_much_in_later_ones_at_a_large_rate(
    world: Enumerable, tmp_path: Path, algorithm: Any
) -> None:
    def clipped(epochs: int) -> float:
        how = recipe(world, algorithm=algorithm, draws=2, epochs=epochs, lr=0.02)
        return stepped(run_of(world, how, tmp_path))[1]["clipped"]

    assert clipped(1) == 0
    assert clipped(4) > 0.05


@pytest.mark.parametrize("algorithm", ["rloo", "ppo"])
def test_the_gradient_is_one_however_answers_are_cut_into_passes(
    world: Enumerable, tmp_path: Path, algorithm: Any
) -> None:
    """None, one cut that holds all answers, longest first, and many small cuts; prompts are of different lengths."""

    def updates(tokens: int | None) -> list[Update]:
        how = recipe(world, algorithm=algorithm, draws=2, epochs=2, lr=1e-3, tokens=tokens, whiten=False)
        return stepped(run_of(world, how, tmp_path))[0]

    plain = updates(None)
    for tokens in (20, 40, 100_000):
        for one, other in zip(updates(tokens), plain, strict=True):
            assert float((one.gradient - other.gradient).norm() / other.gradient.norm()) < 1e-3, tokens
