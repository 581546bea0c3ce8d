"""Formats of process reward models, one a file: how a solution becomes token ids, and what is read of each step."""

from __future__ import annotations
