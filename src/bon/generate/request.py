"""What a draw is asked with: the merged request, and the seed that only this draw has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from bon.types import Prompt

__all__ = ["DEFAULT_N", "DEFAULT_REQUEST", "draw_seed", "merged"]

DEFAULT_N = 8
DEFAULT_REQUEST: Mapping[str, Any] = {"temperature": 0.7, "top_p": 0.9, "max_tokens": 512}


def merged(defaults: Mapping[str, Any], prompt: Prompt) -> dict[str, Any]:
    """The request of a prompt after defaults: what the prompt says wins; None takes a field away."""
    return {key: value for key, value in {**defaults, **prompt.request}.items() if value is not None}


def draw_seed(run_seed: int, prompt_id: str, index: int) -> int:
    """The seed of one draw, in [0, 2**31): it depends on nothing but its arguments, so N=16 begins with N=8's draws."""
    digest = hashlib.sha256(f"{run_seed}\0{prompt_id}\0{index}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
