"""The one policy-gradient loop, RLOO and PPO: a policy draws, is rewarded, learns; it resumes exactly.

Everything random follows from the seed and the step, and a checkpoint holds weights, optimiser and figures: a training
that was stopped anywhere and run again ends with the same bits as one that was not, on the same machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from bon.errors import ScoreError, UsageError
from bon.store.appending import append
from bon.train import checkpoints
from bon.train.files import owned
from bon.train.loop import METRICS
from bon.train.order import rows_from, seed_of
from bon.train.place import Place, libraries
from bon.train.policy.experience import Answers, experience, means, of_prompts, rewards_of, score
from bon.train.policy.facts import encoded, identity_of, method_of, require_samples, settings_of
from bon.train.policy.learned import write_learned
from bon.train.policy.learning import Learner, cuts_of, minibatches
from bon.train.policy.model import Policy, PolicySetup, load_policy
from bon.train.policy.online_recipe import OnlineRecipe, OnlineTask
from bon.train.policy.outcome import Cost, PolicyReport
from bon.train.policy.report import known_policy, leave_policy
from bon.train.policy.rollouts import Decoding, Rollout, roll_out
from bon.train.policy.valued import network
from bon.train.recipe import Step
from bon.train.resuming import cut_after, moments, refill, require_same, restore
from bon.train.saving import TRAINING

__all__ = ["train_online"]

_MISSING = "answers without a reward"
_SECONDS = "seconds_"


def train_online(
    task: OnlineTask,
    out: Path,
    *,
    setup: PolicySetup,
    recipe: OnlineRecipe,
    progress: Callable[[Step], None] | None = None,
) -> PolicyReport:
    """Train a policy on its own draws, towards the aim of `task`; `hf:OUT` then draws from it.

    `out/training` keeps checkpoints, `metrics.jsonl` (a line a step) and `report.json`. Where it holds a checkpoint of
    the same training it is continued; where the training is done, its report is given. `progress` is told the figures
    of each step: means over its answers of `reward`, `return` (and its `return_sd`), `kl` (to the reference, over
    the whole vocabulary at each token of the answers: less noisy than the log ratio that the return holds),
    `win` (the share of reference samples that are beaten), `entropy` (a token), `length` (tokens), `ended` (share that
    came to its own end), `policy_loss`, `value_loss`, `clipped` (share of ratios), `drift` (0: what the first ratio is
    off from 1, in nats), `grad_norm`, `lr`, `missing` (answers without a reward), `tokens`, `seconds_rollout`,
    `seconds_reward` and `seconds_optimise`.

    Raises UsageError where the folder is of another training, or prompts lack what the aim needs; ScoreError where no
    answer of a step has a reward; ModelError where something is not finite, or memory runs out; StoreError where the
    disk refuses; MissingExtra without torch.
    """
    torch = libraries()
    require_samples(task)
    identity = identity_of(task, setup, recipe)
    known = known_policy(out, identity)
    if known is not None:
        return known
    place = Place(setup.device)
    if recipe.rollouts // recipe.draws % place.processes:
        raise UsageError(
            f"{recipe.rollouts // recipe.draws} prompts a step cannot be shared among {place.processes} processes: "
            "give a multiple of rollouts / draws"
        )
    with owned(out / TRAINING) if place.first else nullcontext(), place.own_random():
        policy = load_policy(replace(setup, device=str(place.device)), seed=recipe.seed)
        task, ids = encoded(policy, task, recipe)
        torch.manual_seed(recipe.seed)
        run = _Run(task, ids, policy, recipe, place=place, folder=out / TRAINING, identity=identity)
        run.to_end(progress)
        report = run.report(out, setup)
        if place.first:
            write_learned(out, task.prompts)
            leave_policy(out, policy, report, identity=identity)
        place.wait()
    return report


@dataclass(slots=True, kw_only=True)
class _State:
    """How far a training has come; with the weights and the optimiser it is all there is to know."""

    step: int = 0
    first: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    inference: Cost = field(default_factory=Cost)
    optimisation: Cost = field(default_factory=Cost)
    missing: int = 0


class _Run:
    """One training, from where it stands to its end."""

    def __init__(
        self,
        task: OnlineTask,
        ids: Sequence[tuple[int, ...]],
        policy: Policy,
        recipe: OnlineRecipe,
        *,
        place: Place,
        folder: Path,
        identity: Mapping[str, Any],
    ) -> None:
        self.task, self.ids, self.policy, self.recipe = task, ids, policy, recipe
        self.place, self.folder = place, folder
        net = network(policy, value=recipe.algorithm == "ppo")
        trained = {name: weight for name, weight in net.named_parameters() if weight.requires_grad}
        shapes = {name: list(weight.shape) for name, weight in trained.items()}
        self.identity = {**identity, "weights": shapes, "processes": place.processes}
        self.net = net
        self.learner = Learner(policy=policy, wrapped=place.prepare(net), trained=trained, recipe=recipe, place=place)
        self.decoding = Decoding(temperature=recipe.temperature, max_tokens=recipe.max_tokens, eos=policy.eos)
        self.state = _State()
        self.begun = self.saved = time.monotonic()

    def to_end(self, progress: Callable[[Step], None] | None) -> None:
        self._resume()
        steps, state = self.recipe.steps, self.state
        while state.step < steps:
            with self.place.enough_memory():
                figures = self._step()
            if self.place.first:
                append(self.folder / METRICS, msgspec.json.encode({"step": state.step, **figures}))
            overdue = time.monotonic() - self.saved >= self.recipe.save_seconds
            if self.place.agreed(overdue) or state.step == steps:
                self._save()
            if progress is not None:
                each = self.recipe.rollouts // self.recipe.draws
                seconds = time.monotonic() - self.begun
                epoch = state.step * each / len(self.ids)
                progress(Step(step=state.step, steps=steps, epoch=epoch, figures=figures, seconds=seconds))

    def report(self, out: Path, setup: PolicySetup) -> PolicyReport:
        task, state, recipe = self.task, self.state, self.recipe
        return PolicyReport(
            out=str(out),
            method=method_of(task),
            reference=setup.reference,
            revision=setup.revision,
            adapt=setup.adapt,
            settings=settings_of(task, setup, recipe),
            seed=recipe.seed,
            steps=state.step,
            episodes=state.step * recipe.rollouts,
            prompts=len(self.ids),
            first=state.first,
            last=state.last,
            cost={
                "inference": state.inference,
                "optimisation": state.optimisation,
                "preprocessing": task.preprocessing,
            },
            left_out={**task.left_out, **({_MISSING: state.missing} if state.missing else {})},
            notes=task.notes,
        )

    def _step(self) -> dict[str, float]:
        """Draw, ask for rewards, learn; how it went, over all answers of the step."""
        state, recipe, place = self.state, self.recipe, self.place
        began = time.monotonic()
        answers, rollouts = self._drawn()
        drew = time.monotonic()
        rewards = rewards_of(self.task, answers)
        rewarded = time.monotonic()
        if self.policy.setup.checkpointing:
            self.net.train()  # the mode in which activations are computed twice; there is no dropout in any
        rows = minibatches(len(rollouts), recipe, step=state.step, epoch=0, place=place)
        cuts = [cut for some in rows for cut in cuts_of(answers, some, recipe)]
        scored = score(self.learner.wrapped, self.policy, answers, cuts, temperature=recipe.temperature)
        counted = None
        if self.task.aim.mode == "authors":
            counted = of_prompts(self.policy, answers, temperature=recipe.temperature)
        found = experience(self.task, recipe, answers, scored, rewards, counted)
        sums = place.total({**found.sums, "ended": float(sum(rollout.ended for rollout in rollouts))})
        if not sums["answers"]:
            raise ScoreError(
                f"none of the {recipe.rollouts} answers of step {state.step + 1} has a reward: nothing can be learned; "
                "see that the scorer works, and run the same command again, which goes on from the last checkpoint"
            )
        learned = self.learner.learn(found, step=state.step)
        if self.policy.setup.checkpointing:
            self.net.eval()
        figures = {
            **means(sums, recipe.rollouts),
            **learned,
            "missing": sums["missing"],
            "tokens": sums["tokens"],
            f"{_SECONDS}rollout": drew - began,
            f"{_SECONDS}reward": rewarded - drew,
            f"{_SECONDS}optimise": time.monotonic() - rewarded,
        }
        self._count(figures)
        return figures

    def _drawn(self) -> tuple[Answers, list[Rollout]]:
        """This process's answers of a step."""
        import torch

        recipe, place, step = self.recipe, self.place, self.state.step
        each = recipe.rollouts // recipe.draws
        asked = rows_from(step * each, each, len(self.ids), seed=recipe.seed)[place.process :: place.processes]
        generator = torch.Generator().manual_seed(seed_of("rollouts", recipe.seed, step, place.process))
        with self.policy.computing():
            rollouts = roll_out(
                self.policy.model,
                self.policy.tokenizer,
                [self.ids[row] for row in asked],
                self.decoding,
                generator,
                draws=recipe.draws,
                tokens=recipe.tokens,
            )
        end = (min(self.policy.eos),) if self.task.aim.mode == "authors" and self.policy.eos else ()
        return Answers(
            places=[asked[rollout.prompt] for rollout in rollouts],
            candidates=[rollout.candidate(row % recipe.draws) for row, rollout in enumerate(rollouts)],
            prompts=[rollout.prompt_ids for rollout in rollouts],
            responses=[rollout.ids if rollout.ended else (*rollout.ids, *end) for rollout in rollouts],
        ), rollouts

    def _count(self, figures: Mapping[str, float]) -> None:
        """What a step took and came to, into the state."""
        state, recipe = self.state, self.recipe
        tokens, draws = int(figures["tokens"]), recipe.rollouts
        spent = figures[f"{_SECONDS}reward"] + figures[f"{_SECONDS}optimise"]
        state.inference += Cost(seconds=figures[f"{_SECONDS}rollout"], tokens=tokens, draws=draws)
        state.optimisation += Cost(seconds=spent, tokens=tokens * recipe.passes, draws=draws * recipe.passes)
        state.missing += int(figures["missing"])
        state.last = {name: value for name, value in figures.items() if not name.startswith(_SECONDS)}
        state.first = state.first or state.last
        state.step += 1

    def _save(self) -> None:
        """A checkpoint of how it stands."""
        self.saved = time.monotonic()
        if self.place.first:
            trained = self.learner.trained
            checkpoints.save(
                self.folder,
                self.state.step,
                {"training": asdict(self.state), "identity": self.identity},
                {checkpoints.WEIGHTS: trained, checkpoints.OPTIMIZER: moments(self.learner.optimizer, trained)},
                best=None,
            )
        self.place.wait()

    def _resume(self) -> None:
        """Go on from the folder's checkpoint, where it has one."""
        kept = checkpoints.latest(self.folder)
        if kept is not None:
            require_same(kept.state["identity"], self.identity, self.folder)
            self.state = msgspec.convert(kept.state["training"], _State)
            refill(self.learner.trained, kept.tensors(checkpoints.WEIGHTS))
            restore(self.learner.optimizer, self.learner.trained, kept.tensors(checkpoints.OPTIMIZER))
        if self.place.first and (self.folder / METRICS).exists():
            cut_after(self.folder / METRICS, self.state.step)
        self.place.wait()
