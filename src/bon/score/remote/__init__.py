"""Scores over HTTP: an endpoint's reward model, reranker or scorer as a Scorer; one server's shapes a file."""

from __future__ import annotations

from bon.score.remote.remote import SHAPES, RemoteScorer
from bon.score.remote.shape import Terms

__all__ = ["SHAPES", "RemoteScorer", "Terms"]
