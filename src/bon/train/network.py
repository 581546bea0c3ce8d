"""The network that is trained: a backbone and a head that reads it at positions; built here, optimised elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bon.errors import MissingExtra
from bon.models.loading import quiet
from bon.train.starting import Setup, Start

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["compute_twice", "merged", "network", "outputs_at"]


def network(start: Start, setup: Setup, *, seed: int) -> Any:
    """A torch module with the parts `backbone` and `head`: `(ids, mask, rows, at)` -> outputs, shape `(P, outputs)`.

    `ids` and `mask` have shape `(rows, tokens)`; `rows` and `at`, shape `(P,)`, say where it is read. What `setup`
    does not train asks for no gradients; LoRA adapters begin as the seed says, and change nothing before the first
    step. Only for `adapt` other than "head": a head alone is trained on features.
    """
    import torch

    class Network(torch.nn.Module):
        def __init__(self, backbone: Any, head: Any) -> None:
            super().__init__()
            self.backbone, self.head = backbone, head

        def forward(self, ids: Tensor, mask: Tensor, rows: Tensor, at: Tensor) -> Tensor:
            hidden = self.backbone(input_ids=ids, attention_mask=mask, **cached).last_hidden_state
            found: Tensor = self.head(hidden[rows, at].to(next(self.head.parameters()).dtype))
            return found

    cached = {"use_cache": False} if start.backbone.causal else {}
    model = start.backbone.model
    if setup.adapt == "lora":
        model = _with_lora(model, setup.rank, seed)
    else:
        model.requires_grad_(True)
    if setup.checkpointing:
        compute_twice(model)
    return Network(model, start.head.requires_grad_(True))


def outputs_at(model: Any, rows: Sequence[Sequence[int]], ats: Sequence[Sequence[int]]) -> Tensor:
    """What a `network` says at positions of rows of token ids, padded at the right: shape `(P, outputs)`, float32.

    P counts the positions of all rows, one row after the other. The model may be wrapped for several processes.
    """
    import torch

    plain = getattr(model, "module", model)
    device = next(plain.head.parameters()).device
    longest = max(map(len, rows))
    pad = plain.backbone.config.pad_token_id or 0
    ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows], device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=device)
    places = torch.tensor([place for place, some in enumerate(ats) for _ in some], device=device)
    at = torch.tensor([one for some in ats for one in some], device=device)
    found: Tensor = model(ids, mask, places, at).float()
    return found


def compute_twice(model: Any) -> None:
    """Let a transformers model compute its activations twice, in train mode, rather than keep them."""
    options = {"use_reentrant": False}
    if hasattr(model, "activation_checkpointing_enable"):  # the name of newer releases, where the other one warns
        model.activation_checkpointing_enable(activation_checkpointing_kwargs=options)
    else:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=options)


def merged(model: Any) -> Any:
    """The whole model that peft's `model` is, in float32 and on the CPU; `model` is used up.

    In bfloat16 what adapters add is lost where it is smaller than what the weights are rounded by, 1 part in 256: what
    is saved would be another model than was trained. A GPU that held the base in bfloat16 may have no room for this.
    """
    import torch

    return model.to(device="cpu", dtype=torch.float32).merge_and_unload(safe_merge=True)


def _with_lora(model: Any, rank: int, seed: int) -> Any:
    import torch

    try:
        import peft
    except ImportError as error:
        raise MissingExtra("peft", extra="torch", needed_for="LoRA") from error
    config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.05, target_modules="all-linear")
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        return peft.get_peft_model(model, config)
