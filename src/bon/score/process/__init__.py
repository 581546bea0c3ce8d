"""Process reward models: how likely each step of a solution is right, and what that makes of the whole."""

from __future__ import annotations
