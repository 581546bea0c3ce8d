"""What one pool has cost so far: tokens, calls and money, added up as draws, scores and lost answers are paid for."""

from __future__ import annotations

from bon.types import Spent, Usage

__all__ = ["Account"]


class Account:
    """The running sum behind `Pool.spent`."""

    def __init__(self, spent: Spent) -> None:
        usage = spent.usage
        self._read, self._written, self._cached = usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens
        self._money = spent.money
        self._calls = spent.calls
        self._seconds = spent.seconds

    def add(self, usage: Usage | None, *, calls: int = 1) -> None:
        """Calls that ended, and what they cost where that is known."""
        self._calls += calls
        if usage is None:
            return
        self._read += usage.prompt_tokens
        self._written += usage.completion_tokens
        self._cached += usage.cached_tokens
        if usage.money is not None:
            self._money = (self._money or 0.0) + usage.money

    def spent(self, *, seconds: float) -> Spent:
        """The sum, `seconds` after this run began."""
        usage = Usage(  # without the money, which `Spent` keeps apart
            prompt_tokens=self._read, completion_tokens=self._written, cached_tokens=self._cached
        )
        return Spent(usage=usage, calls=self._calls, money=self._money, seconds=self._seconds + seconds)
