"""What stands for a model in a run that is only planned: its name, its defaults and its price, and nothing to draw."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from bon.errors import UsageError
from bon.ledger import FREE, Price
from bon.types import Draw, Prompt

__all__ = ["Undrawn"]


@dataclass(frozen=True, kw_only=True)
class Undrawn:
    """A generator as a plan needs it."""

    name: str
    defaults: Mapping[str, Any]
    price: Price | None = FREE
    charges: bool = False
    """Whether the generator itself charges its calls."""
    at_once: int = 1
    """Requests that one draw may make at the same time."""

    def __call__(self, prompt: Prompt, n: int, *, start: int = 0) -> AsyncIterator[Draw]:  # noqa: ARG002
        raise UsageError(f"{self.name!r} was built for a plan, which draws nothing")
