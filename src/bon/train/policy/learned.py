"""Which prompts a policy was trained on, as digests beside its report: what tells a test prompt that is none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from bon.errors import DataError
from bon.store.jsonl import write_atomic
from bon.store.plain import canonical
from bon.train.saving import TRAINING
from bon.types import Prompt

__all__ = ["LEARNED", "known_learned", "prompt_digest", "write_learned"]

LEARNED = "prompts.txt"
"""In `out/training`: a digest a line, in order; a file of its own, since a report is read by people."""
_LENGTH = 12
"""Hexadecimal digits: of 1,000 test prompts and 100,000 others one is taken for another once in 2.8 million times."""


def prompt_digest(prompt: Prompt) -> str:
    """By which a prompt is known again: of its messages, whatever its id and its request."""
    return hashlib.sha256(canonical(prompt.messages)).hexdigest()[:_LENGTH]


def write_learned(out: Path, prompts: Iterable[Prompt]) -> None:
    """Say in the folder of a training which prompts it learns from, or chooses weights by. Raises StoreError."""
    (out / TRAINING).mkdir(parents=True, exist_ok=True)
    write_atomic(out / TRAINING / LEARNED, [digest.encode() for digest in sorted(set(map(prompt_digest, prompts)))])


def known_learned(folder: Path) -> frozenset[str] | None:
    """The digests of the prompts that a policy was trained on; None where its folder does not say it.

    Raises DataError for a file that cannot be read.
    """
    path = folder / TRAINING / LEARNED
    try:
        return frozenset(path.read_text(encoding="utf-8").split())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{str(path)!r} cannot be read ({error}): train anew, or take it away") from error
