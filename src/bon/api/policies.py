"""Training policies on their own draws: `bon.train_vbon`, `bon.train_ppo`; specs and files become what it takes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bon.api.prompts import as_prompt
from bon.api.rewards import Rewards
from bon.api.shared import shared_builder
from bon.api.timed import read_timed
from bon.errors import UsageError
from bon.ledger import Ledger
from bon.models.loading import release
from bon.protocols import Scorer
from bon.registry import Builder
from bon.score import ScorerLike
from bon.store.prompts import read_prompts
from bon.train.policy.evidence import require_rewards
from bon.train.policy.measures import loaded
from bon.train.policy.model import Policy, PolicySetup
from bon.train.policy.objectives import AUTHORS_SAMPLES, Aim
from bon.train.policy.online import train_online
from bon.train.policy.online_recipe import OnlineRecipe, OnlineTask
from bon.train.policy.origin import require_log_probs, taken_for
from bon.train.policy.outcome import PolicyReport
from bon.train.policy.pools import fingerprint, references
from bon.train.recipe import Step
from bon.types import Pool, Prompt

__all__ = ["PPO", "Material", "Watching", "material", "train_on", "train_ppo", "train_vbon"]

Watching = Callable[[Step], None]
"""Told the figures of each step."""

PPO = OnlineRecipe(algorithm="ppo")
"""How `train_ppo` trains where nothing else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What policies are trained on: one reward, and the prompts and pools that all trainings of a comparison share."""

    reward: Rewards = field(repr=False)
    by: str
    """The scorer of the pools whose values are these rewards."""
    identity: Mapping[str, Any]
    """Who rewards."""
    prompts: tuple[Prompt, ...] = field(default=(), repr=False)
    """Where there are no pools."""
    pools: tuple[Pool, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()
    """What was checked of the pools, and what could not be."""

    def decoding(self) -> dict[str, Any]:
        """The temperature and the length with which the pools were drawn, for rollouts that are to be drawn alike."""
        if not self.pools:
            return {}
        made = fingerprint(self.pools[0].prompt)
        return {name: made[name] for name in ("temperature", "max_tokens") if made[name] is not None}


def train_vbon(
    pools: str | Path | Iterable[Pool],
    *,
    scorer: str | ScorerLike,
    out: str | Path,
    n: float | None = None,
    aim: Aim | None = None,
    by: str | None = None,
    setup: PolicySetup | None = None,
    recipe: OnlineRecipe | None = None,
    progress: Watching | None = None,
) -> PolicyReport:
    """Train a model towards best-of-n of itself (Amini et al. 2025); `out` then loads as `hf:out`. It blocks.

    `pools` are draws of the reference (`setup.reference`), scored by `scorer`, which estimate F; `by` is what their
    scores are called, where that is not the scorer's name. `aim` is the objective with all that can be chosen of it,
    and `n` short for `Aim(n=n)`. Without a `recipe` rollouts are drawn as the pools were.
    The same call goes on where one was stopped, and gives its report again once it is done.

    Raises UsageError for pools that are not drawn as rollouts are, of another model or scored by another scorer, with
    samples without a reward, and as `bon.train.policy.online.train_online` does; CapReached where the ledger in whose
    course it runs has no room.
    """
    if (aim is None) == (n is None):
        raise UsageError(
            "say what to train towards: n=16, or an aim (bon.train.policy.objectives.Aim), and one of them"
        )
    builder = shared_builder()
    made = material(scorer, builder=builder, setup=setup or PolicySetup(), pools=pools, by=by)
    return train_on(
        made,
        aim or Aim(n=n),
        out=Path(out),
        setup=setup,
        recipe=recipe or OnlineRecipe(**made.decoding()),
        progress=progress,
    )


def train_ppo(
    prompts: str | Path | Iterable[str | Prompt] | None = None,
    *,
    scorer: str | ScorerLike,
    out: str | Path,
    beta: float = 0.05,
    pools: str | Path | Iterable[Pool] | None = None,
    by: str | None = None,
    setup: PolicySetup | None = None,
    recipe: OnlineRecipe | None = None,
    progress: Watching | None = None,
) -> PolicyReport:
    """Train a model towards a reward less beta times the KL from itself, by PPO; `out` loads as `hf:out`. It blocks.

    It needs `prompts` only; or, instead of them, `pools` of the reference, with which the share of its samples that is
    beaten is shown as it grows, and rollouts are drawn as these were. The rest is as for `train_vbon`.
    """
    builder = shared_builder()
    made = material(scorer, builder=builder, setup=setup or PolicySetup(), pools=pools, prompts=prompts, by=by)
    return train_on(
        made,
        Aim(kind="reward", beta=beta),
        out=Path(out),
        setup=setup,
        recipe=recipe or replace(PPO, **made.decoding()),
        progress=progress,
    )


def material(
    scorer: str | ScorerLike,
    *,
    builder: Builder,
    setup: PolicySetup,
    pools: str | Path | Iterable[Pool] | None = None,
    prompts: str | Path | Iterable[str | Prompt] | None = None,
    by: str | None = None,
    ledger: Ledger | None = None,
) -> Material:
    """What trainings are made of, read and checked once: a few samples are scored again, and held to the reference.

    Raises UsageError where neither or both of pools and prompts are given, and as `train_vbon` does.
    """
    if (pools is None) == (prompts is None):
        raise UsageError("give pools of the reference, or prompts, and one of them")
    built = builder.scorer(scorer)
    reward = Rewards(built, ledger=ledger)
    made = Material(reward=reward, by=by or reward.name, identity=_identity(built))
    if prompts is not None:
        read = read_prompts(prompts) if isinstance(prompts, str | Path) else map(as_prompt, prompts)
        return replace(made, prompts=tuple(read))
    assert pools is not None  # else there are prompts  # noqa: S101
    kept = tuple(read_timed(pools) if isinstance(pools, str | Path) else pools)
    _require_scores(kept, made.by, reward.name)
    drawn_by = {candidate.generator for pool in kept for candidate in pool.candidates}
    notes = (
        taken_for(drawn_by, setup.reference),
        require_rewards(kept, made.by, reward),
        require_log_probs(_reference(setup), kept),
    )
    release()
    return replace(made, pools=kept, notes=tuple(note for note in notes if note is not None))


def train_on(
    made: Material,
    aim: Aim,
    *,
    out: Path,
    setup: PolicySetup | None = None,
    recipe: OnlineRecipe,
    samples: int | None = None,
    progress: Watching | None = None,
) -> PolicyReport:
    """One training on material that others may share. Raises as `train_vbon` does."""
    task = OnlineTask(prompts=made.prompts, aim=aim, reward=made.reward, identity=made.identity, notes=made.notes)
    if made.pools:
        limit = min(samples or AUTHORS_SAMPLES, AUTHORS_SAMPLES) if aim.mode == "authors" else samples
        known = references(
            made.pools,
            made.by,
            temperature=recipe.temperature,
            max_tokens=recipe.max_tokens,
            limit=limit,
            n=aim.draws if aim.kind != "reward" else None,
        )
        task = replace(
            task,
            prompts=known.prompts,
            samples=known.samples,
            preprocessing=known.cost,
            notes=(*made.notes, *known.notes),
        )
    return train_online(task, out, setup=setup or PolicySetup(), recipe=recipe, progress=progress)


def _require_scores(pools: Sequence[Pool], by: str, name: str) -> None:
    """Raise UsageError for pools that lack the scores that samples are ranked by."""
    if not pools:
        raise UsageError("there are no pools of reference samples: sample some (bon sample) and score them (bon score)")
    lacking = next((pool for pool in pools if by not in pool.scores), None)
    if lacking is not None:
        names = ", ".join(lacking.scores) or "none"
        raise UsageError(
            f"the samples of {lacking.prompt.id!r} have no scores of {by!r} (they have: {names}): score them with the "
            f"scorer that is trained towards (bon score POOLS --scorer SPEC), or say which of these is {name!r} (by=)"
        )


def _reference(setup: PolicySetup) -> Policy:
    """The reference alone, to be asked and not to be trained."""
    found = loaded(setup.reference, revision=setup.revision, device=setup.device)
    return Policy(
        setup=setup,
        model=found.model,
        copy=found.model,
        tokenizer=found.tokenizer,
        eos=found.eos,
        context=found.context,
        merge=False,
        licence=None,
    )


def _identity(scorer: Scorer) -> dict[str, Any]:
    """What tells rewards from those of another scorer."""
    own = getattr(scorer, "identity", None)
    told = json.dumps(own, sort_keys=True, default=str)
    return {
        "scorer": getattr(scorer, "spec", "") or getattr(scorer, "name", ""),
        "scorer_made": None if own is None else hashlib.sha256(told.encode()).hexdigest()[:16],
    }
