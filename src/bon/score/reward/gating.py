"""The gate of multi-objective reward models on Llama 3: an MLP on the prompt says how much each objective counts.

Shared by ArmoRM (Wang et al. 2024, "Interpretable Preferences via Multi-Objective Reward Modeling and
Mixture-of-Experts") and QRM (Dorka 2024, "Quantile Regression for Distributional Reward Models in RLHF").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bon.errors import ScoreError
from bon.score.reward.layers import linear

if TYPE_CHECKING:
    import torch

__all__ = ["OBJECTIVES", "gate", "gate_position", "objectives_of"]

_ANSWER_BEGINS = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
_BATCH_NORM_EPS = 1e-5  # of torch.nn.BatchNorm1d

OBJECTIVES = (
    "helpsteer-helpfulness", "helpsteer-correctness", "helpsteer-coherence", "helpsteer-complexity",
    "helpsteer-verbosity", "ultrafeedback-overall_score", "ultrafeedback-instruction_following",
    "ultrafeedback-truthfulness", "ultrafeedback-honesty", "ultrafeedback-helpfulness", "beavertails-is_safe",
    "prometheus-score", "argilla-overall_quality", "argilla-judge_lm", "code-complexity", "code-style",
    "code-explanation", "code-instruction-following", "code-readability",
)  # fmt: skip
"""RLHFlow/RLHF-Reward-Modeling fc39179f, armo-rm/stage-2_train.py: the order of the 19 outputs."""


def objectives_of(count: int) -> tuple[str, ...]:
    """The names of so many objectives: ArmoRM's where there are as many, else numbers."""
    return OBJECTIVES if count == len(OBJECTIVES) else tuple(f"objective-{i}" for i in range(count))


def gate_position(tokenizer: Any, ids: Sequence[int]) -> int:
    """Where the gate reads the prompt: at the token that ends it, before the header of the last answer.

    Raises ScoreError where the chat has no such header: another chat template than Llama 3's.
    """
    pattern = tuple(tokenizer.encode(_ANSWER_BEGINS, add_special_tokens=False))
    for position in range(len(ids) - len(pattern), -1, -1):
        if tuple(ids[position : position + len(pattern)]) == pattern:
            return position
    raise ScoreError("the chat has no header of an answer as Llama 3 writes it, which the model's gate needs")


def gate(
    head: Mapping[str, torch.Tensor], prompt: torch.Tensor, *, temperature: float, normalised: bool
) -> torch.Tensor:
    """What each objective counts, shape `(objectives,)`, from the state of the prompt, shape `(H,)`.

    Linear layers with ReLU between them, then `softmax(x / temperature) * logit_scale`. Where `normalised` (QRM), a
    batch normalisation follows each ReLU, and the layers have no biases but the last; they are numbered by threes.
    """
    import torch
    from torch.nn import functional

    weights = sorted(
        int(name.split(".")[2]) for name, weight in head.items() if name.endswith(".weight") and weight.dim() > 1
    )
    states = prompt
    for number in weights[:-1]:
        states = torch.relu(linear(head, f"gating.layers.{number}", states))
        if normalised:
            norm = f"gating.layers.{number + 2}"
            mean, variance = head[f"{norm}.running_mean"], head[f"{norm}.running_var"]
            states = functional.batch_norm(
                states[None], mean, variance, head[f"{norm}.weight"], head[f"{norm}.bias"], eps=_BATCH_NORM_EPS
            )[0]
    logits = linear(head, f"gating.layers.{weights[-1]}", states)
    return torch.softmax(logits / temperature, dim=-1) * head["gating.logit_scale"][0]
