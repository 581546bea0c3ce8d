"""vLLM's shapes: /classify, /pooling, /score and /rerank, as it serves them; pure.

Read from vLLM 0.33.0: vllm/entrypoints/pooling/{classify,pooling,scoring,base}/protocol.py for what is sent and what
comes back, their serving.py for what the fields hold, and api_router.py for the paths. All lie at the server's root,
not below /v1. What it does that matters here:

- `probs` of /classify are probabilities only where `use_activation` is not false; false gives the logits, which for a
  reward model of one number are the reward. (Its default activation would squeeze every reward into (0, 1).)
- A conversation is put into the model's chat template with no special tokens added on top (`add_special_tokens` is
  false for messages); one request holds one conversation.
- A text longer than the model reads is refused with 400, unless `truncate_prompt_tokens` is sent; we never send it.
- /rerank sorts its results by relevance: only `index` says whose they are.
- /pooling gives one row of numbers where the server pools the last token, one a token or step where it does not.
- Where one text of several fails inside the engine, /score and /rerank report 0.0 for it, and say no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bon.score.remote.reply import in_order, shaped, usage_of
from bon.score.remote.shape import TOGETHER, Ask, Numbers, Shape, chat, question
from bon.types import Score

__all__ = ["CLASSIFY", "POOLING", "RERANK", "SCORE"]


def _common(ask: Ask) -> dict[str, Any]:
    return {"use_activation": ask.terms.activated, **ask.terms.named}


def _chat_body(ask: Ask) -> Mapping[str, Any]:
    return {"messages": chat(ask, ask.candidates[0]), "add_generation_prompt": False, **_common(ask)}


def _score_body(ask: Ask) -> Mapping[str, Any]:
    """`text_1` and `text_2` have been there since the first /score; newer names mean the same."""
    texts = [candidate.text for candidate in ask.candidates]
    return {"text_1": question(ask.prompt), "text_2": texts, **_common(ask)}


def _rerank_body(ask: Ask) -> Mapping[str, Any]:
    texts = [candidate.text for candidate in ask.candidates]
    return {"query": question(ask.prompt), "documents": texts, **_common(ask)}


class _Class(msgspec.Struct):
    index: int
    probs: list[float | None]


class _Classified(msgspec.Struct):
    data: list[_Class]


class _Pool(msgspec.Struct):
    index: int
    data: list[float | list[float | None] | None]


class _Pooled(msgspec.Struct):
    data: list[_Pool]


class _Pair(msgspec.Struct):
    index: int
    score: float | None


class _Scored(msgspec.Struct):
    data: list[_Pair]


class _Document(msgspec.Struct):
    text: str | None = None


class _Ranked(msgspec.Struct):
    index: int
    relevance_score: float | None
    document: _Document | None = None


class _Reranked(msgspec.Struct):
    results: list[_Ranked]


def _read_classes(found: Any, ask: Ask) -> Sequence[Numbers | Score]:
    return in_order([(row.index, row.probs) for row in shaped(found, _Classified).data], len(ask.candidates))


def _read_pools(found: Any, ask: Ask) -> Sequence[Numbers | Score]:
    return in_order([(row.index, row.data) for row in shaped(found, _Pooled).data], len(ask.candidates))


def _read_scores(found: Any, ask: Ask) -> Sequence[Numbers | Score]:
    return in_order([(row.index, row.score) for row in shaped(found, _Scored).data], len(ask.candidates))


def _read_ranks(found: Any, ask: Ask) -> Sequence[Numbers | Score]:
    rows = shaped(found, _Reranked).results
    ranked = in_order([(row.index, row) for row in rows], len(ask.candidates))
    for row, candidate in zip(ranked, ask.candidates, strict=True):
        if row.document is not None and row.document.text not in (None, candidate.text):
            raise ValueError(f"under index {row.index} it shows another text than the one sent")
    return [row.relevance_score for row in ranked]


_PAIR = ("model", "activation")
_CHAT = (*_PAIR, "system", "output")
_STEPS = (*_CHAT, "separator", "steps", "aggregate")

CLASSIFY = Shape(path="/classify", body=_chat_body, read=_read_classes, usage=usage_of, tokenizes=True, terms=_CHAT)
POOLING = Shape(path="/pooling", body=_chat_body, read=_read_pools, usage=usage_of, tokenizes=True, terms=_STEPS)
SCORE = Shape(path="/score", body=_score_body, read=_read_scores, usage=usage_of, most=TOGETHER, text=True, terms=_PAIR)
RERANK = Shape(
    path="/rerank", body=_rerank_body, read=_read_ranks, usage=usage_of, most=TOGETHER, text=True, terms=_PAIR
)
