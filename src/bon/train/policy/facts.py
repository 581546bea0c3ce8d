"""What an online training is: its prompts as tokens, its identity, its report; it computes nothing."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from bon.errors import UsageError
from bon.generate.planning import encoded_prompt
from bon.store.plain import canonical
from bon.train.policy.identity import REFERENCE_FILES, recipe_used, reference_files, setup_used
from bon.train.policy.model import Policy, PolicySetup
from bon.train.policy.online_recipe import OnlineRecipe, OnlineTask

__all__ = ["encoded", "identity_of", "method_of", "require_samples", "settings_of"]

_TOO_LONG = "prompts that leave no room for an answer in the context"


def encoded(policy: Policy, task: OnlineTask, recipe: OnlineRecipe) -> tuple[OnlineTask, list[tuple[int, ...]]]:
    """The prompts as `hf:` gives them to a model, and the task without those that leave too little room for an answer.

    Raises UsageError where no prompt is left.
    """
    kept, ids = [], []
    for prompt in task.prompts:
        _, tokens = encoded_prompt(policy.tokenizer, prompt.messages, prompt.request)
        if policy.context is None or len(tokens) + recipe.max_tokens <= policy.context:
            kept.append(prompt)
            ids.append(tuple(tokens))
    if not kept:
        raise UsageError(
            f"none of {len(task.prompts)} prompts leaves room for {recipe.max_tokens} tokens in the {policy.context} "
            f"that {policy.setup.reference!r} reads: give shorter prompts, or a smaller max_tokens"
        )
    if len(kept) == len(task.prompts):
        return task, ids
    left_out = {**task.left_out, _TOO_LONG: len(task.prompts) - len(kept)}
    return replace(task, prompts=kept, left_out=left_out), ids


def require_samples(task: OnlineTask) -> None:
    """Raise UsageError for a task without prompts, or without the samples that its aim ranks against."""
    if not task.prompts:
        raise UsageError("there are no prompts to train on")
    known = {prompt.id for prompt in task.prompts}
    if len(known) < len(task.prompts):
        raise UsageError("two prompts have one id: give each an id of its own")
    without = [name for name in known if name not in task.samples]
    if without and (task.aim.ranked or task.samples):
        raise UsageError(
            f"{len(without)} of {len(known)} prompts have no rewards of reference samples (the first is "
            f"{min(without)!r}): sample and score them, or leave them out"
        )


def settings_of(task: OnlineTask, setup: PolicySetup, recipe: OnlineRecipe) -> dict[str, Any]:
    """All that a training is made with, besides data."""
    return {"aim": asdict(task.aim), "setup": setup_used(setup), "recipe": recipe_used(recipe)}


def identity_of(task: OnlineTask, setup: PolicySetup, recipe: OnlineRecipe) -> dict[str, Any]:
    """What makes two trainings the same."""
    asked, ranked = hashlib.sha256(), hashlib.sha256()
    for prompt in task.prompts:
        asked.update(canonical({"id": prompt.id, "messages": prompt.messages, "request": prompt.request}))
        ranked.update(np.asarray(task.samples.get(prompt.id, ()), dtype=np.float64).tobytes() + b"\n")
    return {
        **settings_of(task, setup, recipe),
        "prompts": asked.hexdigest(),
        "samples": ranked.hexdigest(),
        REFERENCE_FILES: reference_files(setup.reference),
        **task.identity,
    }


def method_of(task: OnlineTask) -> str:
    """The name of a method: `vbon-eq5`, `vbon-l`, `vbon-l1`, or `ppo` for a reward, whatever the algorithm.

    What the released code does is a method of its own: `vbon-eq5-authors` or `vbon-l-authors`; `L1` means L there.
    """
    if task.aim.kind == "reward":
        return "ppo"
    if task.aim.mode == "authors":
        return "vbon-eq5-authors" if task.aim.kind == "eq5" else "vbon-l-authors"
    return f"vbon-{task.aim.kind.lower()}"
