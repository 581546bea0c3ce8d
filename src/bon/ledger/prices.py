"""What a call costs: US dollars a token, for what is read, what is written and what the endpoint remembered."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from bon.errors import UsageError
from bon.types import Usage

__all__ = ["FREE", "Price"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """The price of a model, in US dollars."""

    prompt: float
    """A token that is read."""
    completion: float
    """A token that is written."""
    cached: float | None = None
    """A token of the prompt that the endpoint did not have to read again; None: the price of any other."""
    call: float = 0.0
    """A request, whatever is in it."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise UsageError(f"the price {field.name}={value!r} must be a finite number of dollars, 0 or more")
        if self.cached is not None and self.cached > self.prompt:
            raise UsageError(f"the price cached={self.cached!r} is above prompt={self.prompt!r}; it is a rebate")

    @property
    def per_token(self) -> bool:
        """Whether tokens cost anything."""
        return bool(self.prompt or self.completion)

    def of(self, usage: Usage) -> float:
        """What one call with this usage costs, in US dollars."""
        again = min(usage.cached_tokens, usage.prompt_tokens)
        read = usage.prompt_tokens * self.prompt
        if again and self.cached is not None:
            read -= again * (self.prompt - self.cached)
        return read + usage.completion_tokens * self.completion + self.call


FREE = Price(prompt=0.0, completion=0.0)
"""What a model of one's own costs: time and tokens, no money."""
