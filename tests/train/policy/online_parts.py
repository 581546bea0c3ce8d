"""What tests of policies share: tiny models, and trainings on models whose responses can all be written down."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bon.testing.enumerable import Enumerable
from bon.train.policy.objectives import Aim
from bon.train.policy.online_recipe import OnlineRecipe, OnlineTask
from bon.types import Prompt, as_messages

__all__ = ["asked", "folder_bytes", "one_by_one", "probabilities", "recipe", "task"]


def one_by_one(model: Any, prompt: Sequence[int], response: Sequence[int], temperature: float = 1.0) -> Any:
    """Log-probabilities of a response's tokens, from a forward pass over this row alone: shape `(T,)`."""
    import torch

    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*prompt, *response]])).logits[0].float() / temperature
    steps = torch.log_softmax(logits, dim=-1)[len(prompt) - 1 : -1]
    return steps.gather(-1, torch.tensor(response)[:, None]).squeeze(-1)


def probabilities(world: Enumerable, model: Any, prompt: str = "", temperature: float = 1.0) -> Any:
    """Of every string, shape `(S,)`, float64."""
    import torch

    with torch.no_grad():
        return world.log_probs(model, prompt, temperature=temperature).double().exp().numpy()


def asked(*texts: str) -> list[Prompt]:
    """Prompts with their texts as ids."""
    return [Prompt(id=text or "start", messages=as_messages(text)) for text in texts]


def task(world: Enumerable, *texts: str, aim: Aim | None = None, size: int = 50, **more: Any) -> OnlineTask:
    """Rewards of the world's own, and samples that are its strings' rewards drawn evenly."""
    prompts = asked(*(texts or ("",)))
    random = np.random.default_rng(0)
    samples = {prompt.id: np.sort(random.choice(world.rewards, size)) for prompt in prompts}
    return OnlineTask(
        **{
            "prompts": prompts,
            "aim": aim or Aim(kind="eq5", n=4),
            "reward": lambda rows: [[world.reward(answer.text) for answer in some] for _, some in rows],
            "samples": samples,
            **more,
        }
    )


def recipe(world: Enumerable, **changes: Any) -> OnlineRecipe:
    """A short training."""
    plain = {"episodes": 64, "rollouts": 16, "draws": 4, "lr": 2e-3, "max_tokens": world.length, "save_seconds": 1e9}
    return OnlineRecipe(**{**plain, **changes})


def folder_bytes(folder: Path) -> bytes:
    """The weights of a folder."""
    return (folder / "model.safetensors").read_bytes()
