"""Programs judged by tests: what the program of an answer is, which tests there are, what share of them it passes."""

from __future__ import annotations

from bon.score.code.dual import GeneratedTests
from bon.score.code.verifier import Code, Source

__all__ = ["Code", "GeneratedTests", "Source"]
