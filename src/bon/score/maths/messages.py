"""What is said between this process and the workers that read formulas: one line of JSON a question and a reply."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["LONGEST", "Question", "Reply", "Verdict"]

LONGEST = 2_000
"""Characters of an answer that are read at most: what is longer is no final answer."""

Verdict = Literal["same", "different", "unreadable", "unreadable reference", "form", "broken"]


class Question(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Whether an answer means the same as a reference; without a reference, what the answer's standard form is."""

    answer: str
    reference: str | None = None
    seconds: float
    """The time limit: the worker ends itself should nobody else end it."""


class Reply(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a worker found out."""

    verdict: Verdict
    text: str = ""
    """The standard form, in LaTeX; or what went wrong."""
