"""Language models that are asked whether an answer is good, and judged by how they would begin: with yes, or no."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bon.errors import ModelError, ScoreError
from bon.score.reward.encoding import conversation, plain
from bon.score.reward.family import Checkpoint, Family, Judge, Options, Verdict
from bon.score.reward.layers import part_of, vocabulary_rows
from bon.score.reward.limits import limit_of, tokenizer_of
from bon.types import Message, text_of

if TYPE_CHECKING:
    import torch

    from bon.models.reading import Row

__all__ = ["RERANKER", "YESNO"]

_RULE = (
    "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
    'Note that the answer can only be "yes" or "no".'
)
_BEFORE = f"<|im_start|>system\n{_RULE}<|im_end|>\n<|im_start|>user\n"
_AFTER = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
_INSTRUCT = "Given a web search query, retrieve relevant passages that answer the query"
_OWN_INSTRUCT = "Decide whether the Document is a good and correct answer to the Query"
_WORDS = ("no", "yes")


def _request(messages: Sequence[Message], answer: str, instruct: str) -> str:
    chat = conversation(messages, answer)
    return f"<Instruct>: {instruct}\n<Query>: {plain(chat[:-1])}\n<Document>: {text_of(chat[-1])}"


def _load_qwen(checkpoint: Checkpoint, options: Options) -> Judge:
    instruct = options.instruct or _INSTRUCT

    def encoder(tokenizer: Any) -> Callable[[Sequence[Message], str], list[int]]:
        before, after = (tokenizer.encode(text, add_special_tokens=False) for text in (_BEFORE, _AFTER))

        def encode(messages: Sequence[Message], answer: str) -> list[int]:
            middle = tokenizer.encode(_request(messages, answer, instruct), add_special_tokens=False)
            return [*before, *middle, *after]

        return encode

    return _judge(checkpoint, options, encoder)


def _load_any(checkpoint: Checkpoint, options: Options) -> Judge:
    instruct = options.instruct or _OWN_INSTRUCT

    def encoder(tokenizer: Any) -> Callable[[Sequence[Message], str], list[int]]:
        from bon.models.transformers import encode_chat, render_chat

        def encode(messages: Sequence[Message], answer: str) -> list[int]:
            asked = {"role": "user", "content": f"{_RULE}\n\n{_request(messages, answer, instruct)}"}
            return encode_chat(tokenizer, render_chat(tokenizer, [asked]))

        return encode

    return _judge(checkpoint, options, encoder)


def _judge(
    checkpoint: Checkpoint, options: Options, encoder: Callable[[Any], Callable[[Sequence[Message], str], list[int]]]
) -> Judge:
    """A judge by the probability of "yes" against "no" at the token that follows."""
    from bon.models.backbone import load_backbone
    from bon.models.reading import Row

    names = part_of(checkpoint.names, "lm_head")
    backbone = load_backbone(checkpoint.source, heads=names, **options.loading)
    tokenizer = tokenizer_of(backbone, options)
    words = [_word(tokenizer, word, checkpoint.source) for word in _WORDS]
    rows = vocabulary_rows(checkpoint, backbone, words)
    cap = checkpoint.config.get("final_logit_softcapping")
    ids_of = encoder(tokenizer)

    def encode(messages: Sequence[Message], answers: Sequence[str]) -> Row:
        ids = tuple(ids_of(messages, answers[0]))
        if not ids:
            raise ScoreError("the chat template makes nothing of the question")
        return Row(ids=ids, at=(len(ids) - 1,))

    def judge(states: torch.Tensor) -> Verdict:
        import torch

        logits = rows @ states[0]
        if cap:
            logits = cap * torch.tanh(logits / cap)
        no, yes = logits.tolist()
        return Verdict(value=float(torch.sigmoid(logits[1] - logits[0])), parts={"yes": yes, "no": no})

    return Judge(backbone=backbone, encode=encode, judge=judge, limit=limit_of(backbone, options))


def _word(tokenizer: Any, word: str, source: str) -> int:
    found: list[int] = tokenizer.encode(word, add_special_tokens=False)
    if len(found) != 1:
        raise ModelError(f"the tokenizer of {source!r} has no token {word!r} of its own, so it cannot be asked for one")
    return found[0]


def _named_only(checkpoint: Checkpoint) -> bool:  # noqa: ARG001  # nothing tells such a checkpoint from any other model
    return False


RERANKER = Family(
    name="reranker",
    source="the card of Qwen/Qwen3-Reranker-0.6B, transformers usage: prompt, words and softmax",
    fits=_named_only,
    load=_load_qwen,
    reads=("instruct",),
)
"""`p(yes) / (p(yes) + p(no))` after Qwen3-Reranker's exact prompt, its three parts tokenised apart."""

YESNO = Family(
    name="yesno",
    source="the same rule for any chat model: its own chat template, one message",
    fits=_named_only,
    load=_load_any,
    reads=("template", "instruct"),
)
"""`p(yes) / (p(yes) + p(no))` of a chat model that is asked the question that Qwen3-Reranker is asked."""
