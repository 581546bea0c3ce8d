"""Pools of the enumerable model, drawn from its exact law, and what a model trained on them is worth, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bon.models.transformers import load_language_model
from bon.stats.law import log_law
from bon.testing.enumerable import Enumerable
from bon.types import Candidate, Pool, Prompt, Score

__all__ = ["Laws", "divergence", "drawn", "law_of", "laws"]

Floats = npt.NDArray[np.float64]

_END = "</s>"


def law_of(model: Enumerable, folder: Path, *, prompt: str = "") -> Floats:
    """The probability of each response under the model of a folder: shape `(S,)`."""
    import torch

    lm = load_language_model(folder, device="cpu")
    with torch.no_grad():
        return np.exp(model.log_probs(lm.model, prompt).double().numpy())


@dataclass(frozen=True, kw_only=True)
class Laws:
    """The reference's and that of best-of-n, each of shape `(S,)`."""

    reference: Floats
    best: Floats


def laws(model: Enumerable, n: int) -> Laws:
    p = law_of(model, model.folder)
    below = np.array([p[model.rewards < reward].sum() for reward in model.rewards])
    return Laws(reference=p, best=np.exp(log_law(np.log(p), below, below + p, n)))


def divergence(one: Floats, other: Floats) -> float:
    return float((one * np.log(one / other)).sum())


def drawn(
    model: Enumerable,
    count: int,
    *,
    prompts: tuple[str, ...] = ("",),
    seed: int = 0,
    **request: Any,
) -> list[Pool]:
    """A scored pool of `count` draws of each prompt, with their tokens."""
    rng = np.random.default_rng(seed)
    pools = []
    for number, prompt in enumerate(prompts):
        p = law_of(model, model.folder, prompt=prompt)
        texts = [model.strings[place] for place in rng.choice(len(p), size=count, p=p / p.sum())]
        candidates = [
            Candidate(
                index=place,
                text=text,
                finish_reason="length" if len(text) == model.length else "stop",
                token_ids=tuple(map([*model.letters, _END].index, [*text, *[_END] * (len(text) < model.length)])),
            )
            for place, text in enumerate(texts)
        ]
        asked = {"temperature": 1.0, "max_tokens": model.length, **request}
        messages = ({"role": "user", "content": prompt},)
        pools.append(
            Pool(
                prompt=Prompt(id=f"p{number}", messages=messages, request=asked),
                candidates=tuple(candidates),
                scores={"reward": tuple(Score(value=model.reward(text)) for text in texts)},
            )
        )
    return pools
