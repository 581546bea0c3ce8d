"""SGLang's shapes: /classify for reward models, /v1/score and /v1/rerank; pure.

Read from SGLang 0.5.23: sglang/srt/entrypoints/http_server.py and openai/protocol.py for paths and fields,
managers/io_struct.py (EmbeddingReqInput) for /classify, openai/serving_{classify,rerank,score,tokenize}.py for what
the fields hold. What it does that matters here:

- /classify gives `embedding`, the numbers of the head as they are. /v1/classify, of the same name, puts them through
  a softmax: of one number that is 1.0 for every text, so it is not used.
- /classify takes texts, before which the tokenizer puts its BOS though a chat template has put one there already, or
  tokens. The tokens come from the server's own /tokenize, which renders messages as they are where
  `add_generation_prompt` is said to be false.
- /v1/score reads the query with special tokens and each item behind it without; it gives a row of numbers an item:
  of `label_token_ids` where the model is a language model, of its head where it has one.
- /v1/rerank sorts its results by score: only `index` says whose they are. It refuses empty documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bon.score.remote.reply import in_order, one_each, shaped, usage_of
from bon.score.remote.shape import TOGETHER, Ask, Numbers, Shape, question
from bon.types import Score, Usage

__all__ = ["CLASSIFY", "RERANK", "SCORE"]


class _Meta(msgspec.Struct):
    prompt_tokens: int = 0


class _Embedded(msgspec.Struct):
    embedding: list[float | None]
    meta_info: _Meta = msgspec.field(default_factory=_Meta)


class _Ranked(msgspec.Struct):
    index: int
    score: float | None
    document: str | None = None
    meta_info: _Meta | None = None


class _Scored(msgspec.Struct):
    scores: list[list[float | None]]


def _classify_body(ask: Ask) -> Mapping[str, Any]:
    return {"input_ids": [list(ids) for ids in ask.ids]}


def _score_body(ask: Ask) -> Mapping[str, Any]:
    terms = ask.terms
    before, after = terms.around(ask.prompt)
    items = [candidate.text + after for candidate in ask.candidates]
    labels = {} if terms.labels is None else {"label_token_ids": list(terms.labels)}
    return {"query": before, "items": items, "apply_softmax": terms.activated, **labels, **terms.named}


def _rerank_body(ask: Ask) -> Mapping[str, Any]:
    return {"query": question(ask.prompt), "documents": [candidate.text for candidate in ask.candidates]}


def _read_classes(found: Any, ask: Ask) -> Sequence[Numbers | Score]:
    return one_each([row.embedding for row in shaped(found, list[_Embedded])], len(ask.candidates))


def _read_scores(found: Any, ask: Ask) -> Sequence[Numbers | Score]:
    return one_each(shaped(found, _Scored).scores, len(ask.candidates))


def _read_ranks(found: Any, ask: Ask) -> Sequence[Numbers | Score]:
    ranked = in_order([(row.index, row) for row in shaped(found, list[_Ranked])], len(ask.candidates))
    for row, candidate in zip(ranked, ask.candidates, strict=True):
        if row.document not in (None, candidate.text):
            raise ValueError(f"under index {row.index} it shows another text than the one sent")
    return [row.score for row in ranked]


class _Paid(msgspec.Struct):
    meta_info: _Meta | None = None


def _summed(found: Any) -> Usage | None:
    """The tokens of all rows; None where they are not told."""
    try:
        told = [row.meta_info for row in shaped(found, list[_Paid]) if row.meta_info is not None]
    except ValueError:
        return None
    return Usage(prompt_tokens=sum(meta.prompt_tokens for meta in told)) if told else None


CLASSIFY = Shape(
    path="/classify",
    body=_classify_body,
    read=_read_classes,
    usage=_summed,
    most=TOGETHER,
    text=True,
    tokenizes=True,
    ids=True,
    terms=("system", "output"),
)
SCORE = Shape(
    path="/v1/score",
    body=_score_body,
    read=_read_scores,
    usage=usage_of,
    most=TOGETHER,
    text=True,
    terms=("model", "activation", "output", "labels", "template"),
)
RERANK = Shape(
    path="/v1/rerank", body=_rerank_body, read=_read_ranks, usage=_summed, most=TOGETHER, text=True, terms=()
)
