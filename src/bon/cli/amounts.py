"""Amounts on the command line: tokens of an answer or, with a unit, of a run; dollars and seconds that are numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

import click

from bon.errors import UsageError

__all__ = ["Tokens", "amount", "tokens", "told_apart"]

_TOKENS = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)", re.IGNORECASE)
_UNITS = {"k": 1_000, "m": 1_000_000, "g": 1_000_000_000}


class Tokens(NamedTuple):
    """A number of tokens, and of what."""

    number: int
    of_run: bool
    """Written with a unit: of the whole run; without: of each answer."""


def tokens(text: str) -> Tokens:
    """`256`, of each answer; `1.5M`, of the run."""
    found = _TOKENS.fullmatch(text.strip())
    if found is None:
        raise click.BadParameter(f"{text!r} is no number of tokens: write 256 for each answer, 1.5M for the whole run")
    unit = found.group(2).lower()
    count = Decimal(found.group(1)) * _UNITS.get(unit, 1)
    if count != int(count) or count < 1:
        raise click.BadParameter(f"{text!r} is {count.normalize():f} tokens: give a whole number of at least 1")
    return Tokens(int(count), bool(unit))


def amount(text: str) -> float:
    """A finite number, 0 or more; `$2` is 2."""
    try:
        number = float(text.strip().removeprefix("$"))
    except ValueError:
        raise click.BadParameter(f"{text!r} is no number") from None
    if not math.isfinite(number) or number < 0:
        raise click.BadParameter(f"{text!r}: give a finite number, 0 or more")
    return number


def told_apart(given: Iterable[Tokens]) -> tuple[int | None, int | None]:
    """The tokens of each answer, and those of the run. Raises `UsageError` where one of them is given twice."""
    each: dict[bool, int] = {}
    for one in given:
        if one.of_run in each:
            what = "the whole run (with a unit)" if one.of_run else "each answer (without a unit)"
            raise UsageError(f"--max-tokens is given twice for {what}: give it once for each answer, once for the run")
        each[one.of_run] = one.number
    return each.get(False), each.get(True)
