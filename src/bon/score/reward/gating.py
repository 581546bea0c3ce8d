"""The gate of multi-objective reward models: an MLP on the state of the prompt says how much each objective counts.

Shared by ArmoRM (Wang et al. 2024, "Interpretable Preferences via Multi-Objective Reward Modeling and
Mixture-of-Experts") and QRM (Dorka 2024, "Quantile Regression for Distributional Reward Models in RLHF").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bon.errors import ModelError, ScoreError
from bon.score.reward.layers import fitted, linear

if TYPE_CHECKING:
    import torch

__all__ = ["HELPSTEER", "OBJECTIVES", "Gate", "gate_of", "gate_position", "objectives_of"]

_ANSWER_BEGINS = (
    "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    "<end_of_turn>\n<start_of_turn>model\n",
)
"""What stands between the last prompt and its answer in the chats of Llama 3 and of Gemma 2."""
_BATCH_NORM_EPS = 1e-5  # of torch.nn.BatchNorm1d

OBJECTIVES = (
    "helpsteer-helpfulness", "helpsteer-correctness", "helpsteer-coherence", "helpsteer-complexity",
    "helpsteer-verbosity", "ultrafeedback-overall_score", "ultrafeedback-instruction_following",
    "ultrafeedback-truthfulness", "ultrafeedback-honesty", "ultrafeedback-helpfulness", "beavertails-is_safe",
    "prometheus-score", "argilla-overall_quality", "argilla-judge_lm", "code-complexity", "code-style",
    "code-explanation", "code-instruction-following", "code-readability",
)  # fmt: skip
"""RLHFlow/RLHF-Reward-Modeling fc39179f, armo-rm/stage-2_train.py: the order of the 19 outputs."""


HELPSTEER = OBJECTIVES[:5]
"""The attributes of HelpSteer and HelpSteer2, which models with five objectives have (cards of QRM v2 and of URM)."""


def objectives_of(count: int) -> tuple[str, ...]:
    """The names of so many objectives: ArmoRM's or HelpSteer's where there are as many, else numbers."""
    known = {len(names): names for names in (OBJECTIVES, HELPSTEER)}
    return known.get(count) or tuple(f"objective-{i}" for i in range(count))


def gate_position(tokenizer: Any, ids: Sequence[int]) -> int:
    """Where the gate reads the prompt: at the token that ends it, before the header of the last answer.

    Raises ScoreError where the chat has no such header: another chat template than Llama 3's or Gemma 2's.
    """
    for text in _ANSWER_BEGINS:
        pattern = tuple(tokenizer.encode(text, add_special_tokens=False))
        for position in range(len(ids) - len(pattern), -1, -1):
            if tuple(ids[position : position + len(pattern)]) == pattern:
                return position
    raise ScoreError(
        "the chat has no header of an answer as Llama 3 and Gemma 2 write it, by which the model's gate finds the "
        "prompt: use the model's own chat template"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """An MLP with ReLU between its layers, and a batch normalisation after each ReLU where it has any."""

    head: Mapping[str, torch.Tensor]
    layers: tuple[str, ...]
    norms: tuple[str, ...]
    """One after each layer but the last; none in ArmoRM."""
    temperature: float

    def __call__(self, prompt: torch.Tensor) -> torch.Tensor:
        """What each objective counts, shape `(objectives,)`, from the state of the prompt, shape `(H,)`.

        It is `softmax(x / temperature) * logit_scale`, x the last layer's outputs.
        """
        import torch

        states = prompt
        for place, layer in enumerate(self.layers[:-1]):
            states = torch.relu(linear(self.head, layer, states))
            states = self._normed(self.norms[place], states) if self.norms else states
        logits = linear(self.head, self.layers[-1], states)
        return torch.softmax(logits / self.temperature, dim=-1) * self.head["gating.logit_scale"][0]

    def _normed(self, norm: str, states: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        mean, variance, weight, bias = (
            self.head[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(states[None], mean, variance, weight, bias, eps=_BATCH_NORM_EPS)[0]


def gate_of(head: Mapping[str, torch.Tensor], *, size: int, count: int, temperature: float) -> Gate:
    """The gate among a head's tensors (`gating.layers.N`, `gating.logit_scale`), for `count` objectives.

    Layers are numbered with what lies between them: one after the other in ArmoRM, with ReLU, batch normalisation and
    perhaps dropout in QRM. Raises ModelError where one is missing, or they do not fit each other.
    """
    numbers = {int(name.split(".")[2]) for name in head if name.startswith("gating.layers.")}
    norms = {number for number in numbers if f"gating.layers.{number}.running_mean" in head}
    layers = tuple(f"gating.layers.{number}" for number in sorted(numbers - norms))
    gate = Gate(
        head=head,
        layers=layers,
        norms=tuple(f"gating.layers.{number}" for number in sorted(norms)),
        temperature=temperature,
    )
    fitted(head, layers, size=size)
    whole = sorted(numbers) == list(range(len(numbers))) if not norms else len(norms) == len(layers) - 1
    if not layers or not whole or "gating.logit_scale" not in head or head[f"{layers[-1]}.weight"].shape[0] != count:
        raise ModelError(
            f"the checkpoint's gate is not whole, or is not one of {count} objectives: it has {sorted(numbers)} of "
            "gating.layers; fetch the model again"
        )
    return gate
