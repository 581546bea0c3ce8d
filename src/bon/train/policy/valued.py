"""The network of policy-gradient training: a policy, and for PPO a value head on what its output matrix reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bon.errors import ModelError
from bon.train.policy.model import Policy

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["network"]


def network(policy: Policy, *, value: bool) -> Any:
    """A torch module with the parts `policy` and `head`: a model's inputs -> `(logits, values)`.

    It is called with what `logprobs.collate` gives. Logits have shape `(B, K, V)`; values, float32 of shape `(B, K)`,
    are those of the same positions, or None without `value`. The head is linear and begins as 0, so that the first
    advantages are the returns. Raises ModelError where the model has no output matrix.
    """
    import torch

    plain = policy.model.get_base_model() if hasattr(policy.model, "get_base_model") else policy.model
    top = plain.get_output_embeddings()
    if value and top is None:
        raise ModelError(f"{type(plain).__name__} has no output matrix to read values before: take algorithm='rloo'")

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.policy = policy.model
            self.head: Any = None
            if value:
                self.head = torch.nn.Linear(top.weight.shape[1], 1, device=top.weight.device, dtype=torch.float32)
                torch.nn.init.zeros_(self.head.weight)
                torch.nn.init.zeros_(self.head.bias)

        def forward(self, **inputs: Any) -> tuple[Tensor, Tensor | None]:
            if self.head is None:
                return self.policy(**inputs).logits, None
            read: list[Tensor] = []
            hook = top.register_forward_pre_hook(lambda _, given: read.append(given[0]))
            try:
                logits = self.policy(**inputs).logits
            finally:
                hook.remove()
            with torch.autocast(logits.device.type, enabled=False):
                values: Tensor = self.head(read[0].float()).squeeze(-1)
            return logits, values

    return Network()
