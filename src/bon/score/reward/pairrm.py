"""PairRM: DeBERTa that reads two answers to one question side by side, and says how much better the first is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bon.errors import ModelError
from bon.score.reward.encoding import as_text, conversation, spells_special
from bon.score.reward.family import Checkpoint, Family, Judge, Options, Verdict
from bon.score.reward.layers import fitted, linear, part_of, taken
from bon.score.reward.limits import limit_of
from bon.types import Message, text_of

if TYPE_CHECKING:
    import torch

    from bon.models.reading import Row

__all__ = ["PAIRRM", "pair_texts"]

_PREFIXES = ("<|source|>", "<|candidate1|>", "<|candidate2|>")
_LONGEST = 2048
"""Tokens: 1,224 of the question and twice 412, as it was trained; DeBERTa-v3's own positions are relative."""
_TURNS = "Finish the following coversation in each i-th turn by filling in <Response i> with your response."
"""The model knows this sentence with its slip."""


def pair_texts(messages: Sequence[Message], answers: Sequence[str]) -> tuple[str, str, str]:
    """The question and the two answers, as the model reads them.

    A question by itself stays as it is; a system message is put before it as its instruction. A chat of several turns
    becomes one text with places for the responses, and each answer the responses in their places.
    """
    first, second = (conversation(messages, answer) for answer in answers)
    instructions = [text_of(message) for message in first if message.get("role") == "system"]
    turns = [message for message in first if message.get("role") != "system"]
    asked = [text_of(message) for message in turns if message.get("role") != "assistant"]
    if len(turns) == 2:  # a question and its answer
        return "\n".join([*instructions, *asked]), text_of(first[-1]), text_of(second[-1])
    places = "\n".join(f"USER: {text}\nAssistant: <Response {i}>" for i, text in enumerate(asked, 1))
    return "\n".join([*instructions, f"{_TURNS}{places}"]), _responses(first), _responses(second)


def _responses(chat: Sequence[Message]) -> str:
    said = [text_of(message) for message in chat if message.get("role") == "assistant"]
    return "\n".join(f"<Response {i}>: {text}" for i, text in enumerate(said, 1))


def _fits(checkpoint: Checkpoint) -> bool:
    return bool(part_of(checkpoint.names, "head_layer")) and bool(part_of(checkpoint.names, "pretrained_model"))


def _load(checkpoint: Checkpoint, options: Options) -> Judge:
    import torch

    from bon.models.backbone import load_backbone
    from bon.models.reading import Row

    names = part_of(checkpoint.names, "head_layer")
    head = taken(checkpoint.weights, names)
    backbone = load_backbone(
        checkpoint.source,
        tensors=lambda weights: {
            name.removeprefix("pretrained_model."): weights[name] for name in weights if name not in names
        },
        heads=names,
        **options.loading,
    )
    fitted(head, ["head_layer.1", "head_layer.4"], size=2 * backbone.width)
    tokenizer = backbone.tokenizer
    marks = [_token(tokenizer, prefix, checkpoint.source) for prefix in _PREFIXES]

    def encode(messages: Sequence[Message], answers: Sequence[str]) -> Row:
        ids: list[int] = []
        at: list[int] = []
        for prefix, mark, text in zip(_PREFIXES, marks, pair_texts(messages, answers), strict=True):
            segment = _segment(tokenizer, prefix, text)
            at.append(len(ids) + segment.index(mark))
            ids += segment
        return Row(ids=tuple(ids), at=tuple(at))

    def judge(states: torch.Tensor) -> Verdict:
        source, *candidates = states
        joined = torch.stack([torch.cat([source, candidate]) for candidate in candidates])
        tasks = linear(head, "head_layer.4", torch.tanh(linear(head, "head_layer.1", joined)))
        return Verdict(value=float((tasks[0] - tasks[1]).mean()))

    limit = limit_of(backbone, options, default=_LONGEST, relative=True)
    readable = replace(backbone, context=limit)
    return Judge(backbone=readable, encode=encode, judge=judge, limit=limit, pairwise=True)


def _segment(tokenizer: Any, prefix: str, text: str) -> list[int]:
    """`[CLS] prefix text [SEP]`; what spells a special token in the text is text like any other."""
    if not spells_special(tokenizer, text):
        found: list[int] = tokenizer.encode(prefix + text, truncation=False)
        return found
    frame: list[int] = tokenizer.encode(prefix)
    return [*frame[:-1], *as_text(tokenizer, text), frame[-1]]


def _token(tokenizer: Any, text: str, source: str) -> int:
    found = tokenizer.convert_tokens_to_ids(text)
    if not isinstance(found, int) or found == tokenizer.unk_token_id:
        raise ModelError(f"the tokenizer of {source!r} has no token {text!r}, which PairRM reads answers by")
    return found


PAIRRM = Family(
    name="pairrm",
    source=(
        "yuchenlin/LLM-Blender 2a673661 llm_blender/pair_ranker/pairrm.py, llm_blender/gpt_eval/utils.py; "
        "allenai/reward-bench 05a9005e rewardbench/models/pairrm.py (llm-blender/PairRM-hf)"
    ),
    fits=_fits,
    load=_load,
    reads=(),
    pairwise=True,
)
"""`d(a, b) = mean(f(s, a) - f(s, b))`, `f = W2 tanh(W1 [s; c])`, at the tokens before the question and the answers;
of n answers, the score of a is the mean over all n of `d(a, b) - d(b, a)`, itself included."""
