"""InternLM2-Reward: a Llama under other names, its query, key and value in one matrix, scored at a token of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bon.errors import ModelError
from bon.score.reward.encoding import answered
from bon.score.reward.family import Checkpoint, Family, Judge, Options, Verdict
from bon.score.reward.layers import fitted, linear, part_of, taken
from bon.score.reward.limits import limit_of, tokenizer_of
from bon.types import Message

if TYPE_CHECKING:
    import torch

    from bon.models.reading import Row

__all__ = ["INTERNLM2", "as_llama"]

_RENAMED = {
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w3": "mlp.up_proj",
    "feed_forward.w2": "mlp.down_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_LAYER = re.compile(r"(layers\.\d+)\.(.+)\.(weight|bias)")


def as_llama(
    weights: Mapping[str, torch.Tensor], *, heads: int, groups: int, skip: frozenset[str] = frozenset()
) -> dict[str, torch.Tensor]:
    """InternLM2's tensors under the names of a Llama backbone; those in `skip` are left out.

    `wqkv` has, for each of the `groups` of key and value heads, the queries that share it, then its key and its value:
    shape `(groups, heads / groups + 2, head_dim, H)`, flattened to two dimensions.
    """
    found: dict[str, torch.Tensor] = {}
    for published in weights:
        if published in skip or published.endswith("rotary_emb.inv_freq"):  # which Llama works out by itself
            continue
        name = published.removeprefix("model.")
        match = _LAYER.fullmatch(name)
        if match is None:
            found[name.replace("tok_embeddings", "embed_tokens")] = weights[published]
        elif match[2] == "attention.wqkv":
            parts = _split(weights[published], heads=heads, groups=groups)
            for letter, part in zip("qkv", parts, strict=True):
                found[f"{match[1]}.self_attn.{letter}_proj.{match[3]}"] = part
        else:
            found[f"{match[1]}.{_RENAMED.get(match[2], match[2])}.{match[3]}"] = weights[published]
    return found


def _split(joined: torch.Tensor, *, heads: int, groups: int) -> tuple[torch.Tensor, ...]:
    """`wqkv`, a weight or a bias, as query, key and value."""
    shared = heads // groups
    rest = joined.shape[1:]
    split = joined.reshape(groups, shared + 2, -1, *rest)
    parts = (split[:, :shared], split[:, shared : shared + 1], split[:, shared + 1 :])
    return tuple(part.reshape(-1, *rest).contiguous() for part in parts)


def _fits(checkpoint: Checkpoint) -> bool:
    return checkpoint.config.get("model_type") == "internlm2" and "v_head.weight" in checkpoint.names


def _load(checkpoint: Checkpoint, options: Options) -> Judge:
    from bon.models.backbone import load_backbone
    from bon.models.reading import Row

    stated = checkpoint.config
    reward_token = stated.get("reward_token_id")
    if not isinstance(reward_token, int):
        raise ModelError(f"{checkpoint.source!r} names no reward_token_id in its configuration")
    names = part_of(checkpoint.names, "v_head")
    head = taken(checkpoint.weights, {"v_head.weight"})
    heads = int(stated["num_attention_heads"])
    groups = int(stated.get("num_key_value_heads") or heads)
    backbone = load_backbone(
        checkpoint.source,
        config=_config(stated),
        tensors=lambda weights: as_llama(weights, heads=heads, groups=groups, skip=names),
        heads=names,
        **options.loading,
    )
    fitted(head, ["v_head"], size=backbone.width)
    tokenizer = tokenizer_of(backbone, options)

    def encode(messages: Sequence[Message], answers: Sequence[str]) -> Row:
        ids = answered(tokenizer, messages, answers[0])
        if ids[-1] != reward_token:
            ids = (*ids, reward_token)
        return Row(ids=ids, at=(len(ids) - 1,))

    def judge(states: torch.Tensor) -> Verdict:
        return Verdict(value=float(linear(head, "v_head", states[0])[0]))

    return Judge(backbone=backbone, encode=encode, judge=judge, limit=limit_of(backbone, options))


def _config(stated: Mapping[str, Any]) -> Any:
    """The configuration of the Llama that it is.

    Its dynamic scaling of positions sets in beyond `max_position_embeddings`, where no row goes.
    """
    from transformers import LlamaConfig

    scaling = stated.get("rope_scaling")
    if scaling and scaling.get("type", scaling.get("rope_type")) != "dynamic":
        raise ModelError(f"InternLM2 with rope_scaling {scaling!r} is not known; only the dynamic one")
    same = (
        "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "hidden_act", "max_position_embeddings", "rms_norm_eps", "pad_token_id",
        "bos_token_id", "eos_token_id",
    )  # fmt: skip
    return LlamaConfig(
        **{name: stated[name] for name in same if name in stated},
        attention_bias=bool(stated.get("bias", False)),
        rope_parameters={"rope_type": "default", "rope_theta": float(stated.get("rope_theta", 10000))},
    )


INTERNLM2 = Family(
    name="internlm2",
    source=(
        "InternLM/InternLM d4d1d932 model_cards/internlm2_reward.md; modeling_internlm2.py of "
        "internlm/internlm2-20b-reward at 6539b1df as allenai/reward-bench 05a9005e rewardbench/models/internlm.py "
        "cites it; vllm-project/vllm 0531c222 vllm/model_executor/models/internlm2.py (the order in wqkv)"
    ),
    fits=_fits,
    load=_load,
)
"""`r = w h` at the reward token, which is put after the chat unless it stands there."""
