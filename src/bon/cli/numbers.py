"""Lists of numbers on the command line, with commas between."""

from __future__ import annotations

import click

from bon.errors import UsageError

__all__ = ["floats", "sizes"]


def sizes(context: click.Context, parameter: click.Parameter, text: str | None) -> list[int] | None:
    """Numbers of draws: "1,2,4"; each once, in rising order."""
    if text is None or context.resilient_parsing:
        return None
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise UsageError(f"--{parameter.name} {text!r}: wanted numbers of draws with commas between: 1,2,4") from None
    if found[0] < 1:
        raise UsageError(f"--{parameter.name} {text!r}: a number of draws is 1 or more")
    return found


def floats(context: click.Context, parameter: click.Parameter, text: str | None) -> list[float] | None:
    """Numbers: "0.2,0.7"."""
    if text is None or context.resilient_parsing:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--{parameter.name} {text!r}: wanted numbers with commas between: 0.2,0.7") from None
