"""Encoders with a head of one logit on a question and an answer: DeBERTa reward models, BERT-like cross-encoders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bon.score.reward.encoding import conversation, plain, spells_special
from bon.score.reward.family import Checkpoint, Family, Judge, Options, Verdict
from bon.score.reward.layers import activation, fitted, linear, outputs_of, part_of, picked, taken
from bon.score.reward.limits import limit_of
from bon.types import Message, text_of

if TYPE_CHECKING:
    import torch

    from bon.models.reading import Row

    Head = Mapping[str, torch.Tensor]

__all__ = ["ENCODER", "pair_row"]


def _deberta(head: Head, state: torch.Tensor, config: Mapping[str, Any]) -> torch.Tensor:
    """`modeling_deberta_v2.py`: ContextPooler, then `classifier`."""
    pooled = activation(str(config.get("pooler_hidden_act", "gelu")))(linear(head, "pooler.dense", state))
    return linear(head, "classifier", pooled)


def _bert(head: Head, state: torch.Tensor, config: Mapping[str, Any]) -> torch.Tensor:  # noqa: ARG001
    """`modeling_bert.py`: BertPooler, then `classifier`."""
    import torch

    return linear(head, "classifier", torch.tanh(linear(head, "bert.pooler.dense", state)))


def _roberta(head: Head, state: torch.Tensor, config: Mapping[str, Any]) -> torch.Tensor:  # noqa: ARG001
    """`modeling_roberta.py`: RobertaClassificationHead."""
    import torch

    return linear(head, "classifier.out_proj", torch.tanh(linear(head, "classifier.dense", state)))


def _electra(head: Head, state: torch.Tensor, config: Mapping[str, Any]) -> torch.Tensor:  # noqa: ARG001
    """`modeling_electra.py`: ElectraClassificationHead."""
    return linear(head, "classifier.out_proj", activation("gelu")(linear(head, "classifier.dense", state)))


def _distilbert(head: Head, state: torch.Tensor, config: Mapping[str, Any]) -> torch.Tensor:  # noqa: ARG001
    """`modeling_distilbert.py`: `pre_classifier`, ReLU, `classifier`."""
    import torch

    return linear(head, "classifier", torch.relu(linear(head, "pre_classifier", state)))


def _modernbert(head: Head, state: torch.Tensor, config: Mapping[str, Any]) -> torch.Tensor:
    """`modeling_modernbert.py`: ModernBertPredictionHead, then `classifier`."""
    from torch.nn import functional

    dense = activation(str(config.get("classifier_activation", "gelu")))(linear(head, "head.dense", state))
    norm = head["head.norm.weight"]
    epsilon = float(config.get("norm_eps", 1e-5))
    normed = functional.layer_norm(dense, norm.shape, norm, head.get("head.norm.bias"), epsilon)
    return linear(head, "classifier", normed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    forward: Callable[[Head, torch.Tensor, Mapping[str, Any]], torch.Tensor]
    roots: tuple[str, ...]
    """Where the head's tensors lie."""
    layers: tuple[str, ...]
    """Its linear layers, in their order."""


_OUT = ("classifier.dense", "classifier.out_proj")
_DEBERTA = _Shape(forward=_deberta, roots=("pooler", "classifier"), layers=("pooler.dense", "classifier"))
_ROBERTA = _Shape(forward=_roberta, roots=("classifier",), layers=_OUT)
_SHAPES: Mapping[str, _Shape] = MappingProxyType(
    {
        "deberta": _DEBERTA,
        "deberta-v2": _DEBERTA,
        "bert": _Shape(forward=_bert, roots=("classifier", "bert.pooler"), layers=("bert.pooler.dense", "classifier")),
        "roberta": _ROBERTA,
        "xlm-roberta": _ROBERTA,
        "camembert": _ROBERTA,
        "electra": _Shape(forward=_electra, roots=("classifier",), layers=_OUT),
        "distilbert": _Shape(
            forward=_distilbert, roots=("pre_classifier", "classifier"), layers=("pre_classifier", "classifier")
        ),
        "modernbert": _Shape(forward=_modernbert, roots=("head", "classifier"), layers=("head.dense", "classifier")),
    }
)
"""By `model_type`: what lies on top of the first token."""


def pair_row(tokenizer: Any, messages: Sequence[Message], answer: str, *, everywhere: bool = False) -> Row:
    """A question and its answer as one row, `[CLS] question [SEP] answer [SEP]` or as the tokenizer writes a pair.

    The question is all of the chat before the answer, joined by blank lines. It is read at its first token, or at
    every one where `everywhere`.
    """
    from bon.models.reading import Row

    chat = conversation(messages, answer)
    question, said = plain(chat[:-1]), text_of(chat[-1])
    encoded = tokenizer(question, said, truncation=False, split_special_tokens=spells_special(tokenizer, said))
    ids = tuple(encoded["input_ids"])
    types = encoded.get("token_type_ids")
    at = tuple(range(len(ids))) if everywhere else (0,)
    return Row(ids=ids, at=at, types=None if types is None else tuple(types))


def _fits(checkpoint: Checkpoint) -> bool:
    shape = _SHAPES.get(str(checkpoint.config.get("model_type")))
    return shape is not None and bool(part_of(checkpoint.names, "classifier"))


def _load(checkpoint: Checkpoint, options: Options) -> Judge:
    from bon.models.backbone import load_backbone

    config = checkpoint.config
    shape = _SHAPES[str(config["model_type"])]
    names = part_of(checkpoint.names, *shape.roots)
    head = taken(checkpoint.weights, names)
    index, labels = picked(outputs_of(head, shape.layers[-1]), config, options.output, source=checkpoint.source)
    backbone = load_backbone(checkpoint.source, heads=names, **options.loading)
    fitted(head, shape.layers, size=backbone.width)
    everywhere = config.get("classifier_pooling") == "mean"

    def encode(messages: Sequence[Message], answers: Sequence[str]) -> Row:
        return pair_row(backbone.tokenizer, messages, answers[0], everywhere=everywhere)

    def judge(states: torch.Tensor) -> Verdict:
        values = shape.forward(head, states.mean(dim=0), config).tolist()
        return Verdict(value=values[index], parts=dict(zip(labels, values, strict=True)) if len(labels) > 1 else {})

    limit = limit_of(backbone, options, relative=config.get("position_biased_input") is False)
    return Judge(backbone=replace(backbone, context=limit), encode=encode, judge=judge, limit=limit)


ENCODER = Family(
    name="encoder",
    source=(
        "transformers 5.23, the modeling file of each architecture; OpenAssistant/reward-model-deberta-v3-large-v2, "
        "its card (question and answer as a pair)"
    ),
    fits=_fits,
    load=_load,
    reads=("output",),
)
"""The architecture's own classification head at the first token of the pair."""
