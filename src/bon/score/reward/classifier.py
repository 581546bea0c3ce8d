"""Decoders with a head of one logit, as most reward models are published: Skywork, GRM, INF-ORM, UltraRM and many more.

`*ForSequenceClassification` (a linear layer `score`), the value heads of trl (`v_head.summary`, linear or deeper), and
heads under other names: what counts is which tensors lie beside the backbone, not the name of a class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bon.errors import ModelError
from bon.score.reward.encoding import answered, last_real
from bon.score.reward.family import Checkpoint, Family, Judge, Options, Verdict
from bon.score.reward.layers import chain, fitted, layers_of, outputs_of, part_of, picked, taken
from bon.score.reward.limits import limit_of, tokenizer_of
from bon.types import Message

if TYPE_CHECKING:
    import torch

    from bon.models.reading import Row

__all__ = ["CLASSIFIER"]

_ROOTS = ("score", "v_head.summary", "v_head", "regression_head", "reward_head", "out_proj")
"""Where the head lies: transformers and INF-ORM; GRM and trl; Starling; UltraRM and Eurus; others; OpenAssistant."""


_ADAPTED = "base_model.model."
"""What peft puts before the names of an adapter's tensors."""


def _fits(checkpoint: Checkpoint) -> bool:
    return _root(checkpoint) is not None


def _root(checkpoint: Checkpoint) -> tuple[str, str] | None:
    """Where the head lies, and what stands before its name."""
    places = ((before, root) for before in ("", _ADAPTED) for root in _ROOTS)
    return next(((before, root) for before, root in places if part_of(checkpoint.names, before + root)), None)


def _unused(checkpoint: Checkpoint) -> frozenset[str]:
    """Heads that the reward is not read from: a language head beside it, as Qwen2.5-Math-RM has; those of a base."""
    from bon.models.weights import Weights

    of_base = () if checkpoint.base is None else part_of(Weights(checkpoint.base), "lm_head", *_ROOTS)
    return part_of(checkpoint.names, "lm_head").union(of_base)


def _load(checkpoint: Checkpoint, options: Options) -> Judge:
    from bon.models.backbone import load_backbone
    from bon.models.reading import Row

    found = _root(checkpoint)
    if found is None:
        raise ModelError(f"{checkpoint.source!r} has no head: none of {', '.join(_ROOTS)} is among its tensors")
    before, root = found
    names = part_of(checkpoint.names, before + root)
    head = {name.removeprefix(before): tensor for name, tensor in taken(checkpoint.weights, names).items()}
    index, labels = picked(outputs_of(head, root), checkpoint.config, options.output, source=checkpoint.source)
    heads = names | _unused(checkpoint)
    backbone = load_backbone(checkpoint.source, config=_config(checkpoint), heads=heads, **options.loading)
    fitted(head, layers_of(head, root), size=backbone.width)
    tokenizer = tokenizer_of(backbone, options)
    pad = checkpoint.config.get("pad_token_id")
    mark = tokenizer.cls_token_id if root == "v_head" else None

    def encode(messages: Sequence[Message], answers: Sequence[str]) -> Row:
        ids = answered(tokenizer, messages, answers[0])
        if mark is not None:  # Athene's: read at a token of its own, put after the chat
            return Row(ids=(*ids, mark), at=(len(ids),))
        return Row(ids=ids, at=(last_real(ids, pad),))

    def judge(states: torch.Tensor) -> Verdict:
        values = chain(head, root, states)[0].tolist()
        return Verdict(value=values[index], parts=dict(zip(labels, values, strict=True)) if len(labels) > 1 else {})

    return Judge(backbone=backbone, encode=encode, judge=judge, limit=limit_of(backbone, options))


def _config(checkpoint: Checkpoint) -> Any:
    """A configuration for transformers, where the checkpoint's own names a class of its own; else None."""
    stated: Mapping[str, Any] = checkpoint.config
    if stated.get("model_type") != "gpt_neox_reward_model":
        return None
    from transformers import GPTNeoXConfig

    if (pooling := stated.get("pooling") or "last") != "last":
        raise ModelError(f"{checkpoint.source!r} takes the {pooling} of all states, which bon does not; only the last")
    return GPTNeoXConfig.from_dict({key: value for key, value in stated.items() if key != "model_type"})


CLASSIFIER = Family(
    name="classifier",
    source=(
        "transformers 5.23 modeling_layers.py (GenericForSequenceClassification); allenai/reward-bench 05a9005e "
        "rewardbench/models/grm.py, inform.py, openbmb.py, openassistant.py; vllm-project/vllm 002b4cf8 "
        "vllm/model_executor/models/qwen2_rm.py (Qwen2ForRewardModel); the card of "
        "Nexusflow/Athene-RM-8B (its CLS token)"
    ),
    fits=_fits,
    load=_load,
    reads=("output", "template"),
)
"""`r = W h` at the last token that is no padding; deeper heads have ReLU between their layers."""
