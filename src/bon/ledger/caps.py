"""What may be spent at the most, and the words of a refusal."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

from bon.errors import CapReached, UsageError

__all__ = ["Caps", "refusal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """The most that may be spent; None is no cap. What was spent by the runs that are continued counts too."""

    tokens: int | None = None
    """Tokens read and written, together."""
    calls: int | None = None
    """Requests sent to models, retries too; a draw of a local generator is one."""
    money: float | None = None
    """US dollars."""
    seconds: float | None = None
    """Wall-clock seconds; a call that is under way then is cut off."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise UsageError(f"the cap {field.name}={value!r} must be a finite number, 0 or more; None is no cap")


_SHOWN: dict[str, tuple[Callable[[float], str], str]] = {
    "tokens": ("{:,} tokens".format, "--max-total-tokens"),
    "calls": ("{:,} calls".format, "--max-calls"),
    "money": ("${:.6g}".format, "--max-cost"),
    "seconds": ("{:.4g} s".format, "--max-seconds"),
}
"""Cap -> how an amount of it is written, and the option of the command that sets it."""


def refusal(
    cap: str, *, by: str, limit: float, spent: float, reserved: float = 0, most: float | None = None
) -> CapReached:
    """The refusal of a call: which cap, what is spent and reserved, what it could cost at the most, what to do.

    `most` is None for a call that the cap on seconds cuts off.
    """
    show, option = _SHOWN[cap]
    if most is None:
        why = f"{show(spent)} have passed"
    else:
        why = f"{show(spent)} are spent, {show(reserved)} reserved, and it could take {show(most)} more"
    return CapReached(
        f"the cap of {show(limit)} leaves no room for a call of {by}: {why}. "
        f"Raise the cap to go on: Caps({cap}=...), {option}"
    )
