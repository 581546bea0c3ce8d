"""Reward models that `bon train rm` wrote: a backbone, or an adapter on one, and a head in a file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bon.errors import ModelError
from bon.models.own import read_manifest
from bon.score.reward.encoding import answered
from bon.score.reward.family import Checkpoint, Family, Judge, Options, Verdict
from bon.score.reward.limits import limit_of, tokenizer_of
from bon.types import Message

if TYPE_CHECKING:
    import torch

    from bon.models.reading import Row

__all__ = ["OWN"]


def _fits(checkpoint: Checkpoint) -> bool:
    return checkpoint.reward is not None and checkpoint.reward.get("kind") == "rm"


def _load(checkpoint: Checkpoint, options: Options) -> Judge:
    from bon.models.heads import load_head
    from bon.models.own import load_base
    from bon.models.reading import Row

    manifest = read_manifest(checkpoint.folder)
    if manifest.kind != "rm" or manifest.outputs != 1:
        raise ModelError(f"{checkpoint.source!r} is a {manifest.kind} with {manifest.outputs} outputs, no reward model")
    head = load_head(checkpoint.folder)
    backbone = load_base(checkpoint.folder, manifest, dtype=options.dtype, device=options.device)
    tokenizer = tokenizer_of(backbone, options)

    def encode(messages: Sequence[Message], answers: Sequence[str]) -> Row:
        ids = answered(tokenizer, messages, answers[0])
        return Row(ids=ids, at=(len(ids) - 1,))

    def judge(states: torch.Tensor) -> Verdict:
        import torch

        with torch.inference_mode():
            return Verdict(value=float(head(states)[0, 0]))

    limit = limit_of(backbone, options, default=manifest.max_length)
    return Judge(backbone=backbone, encode=encode, judge=judge, limit=limit)


OWN = Family(name="own", source="bon/models/own.py and bon/models/heads.py", fits=_fits, load=_load)
"""`r = head(h)` at the last token, as in training."""
