"""Verifying mathematics: answers against references, and the one form that equivalent answers share.

Plain numbers, choices and words are told at once; formulas are read in worker processes that can be killed.
"""

from __future__ import annotations

from bon.score.maths.verifier import MathVerifier

__all__ = ["MathVerifier", "math"]

math = MathVerifier()
