"""Who pays: the ledger in whose course a call happens, and the bill that one call brings along."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bon.ledger.prices import Price
from bon.types import Usage

if TYPE_CHECKING:
    from bon.ledger.ledger import Ledger

__all__ = ["Bill", "charged", "charging"]

_PAYING: ContextVar[tuple[Ledger | None, ...]] = ContextVar("bon-ledger", default=())
"""The ledgers entered, the innermost last: a stack needs no tokens, so threads and tasks can enter the same ledger."""


@dataclass(slots=True, kw_only=True)
class Bill:
    """What one call may cost and what it did: made by the generator, read by the endpoint that sends the call."""

    most: Usage | None
    """An upper bound; None where there is none (no max_tokens)."""
    price: Price | None
    """None where none is known."""
    by: str
    """The generator."""
    paid: Usage | None = None
    """What the answer says it took; None: unknown, so the whole of `most` counts."""


def enter(ledger: Ledger | None) -> None:
    """From here on `ledger` pays, until `leave`."""
    _PAYING.set((*_PAYING.get(), ledger))


def leave() -> None:
    """Undo the last `enter` of this context."""
    _PAYING.set(_PAYING.get()[:-1])


@contextmanager
def charging(ledger: Ledger | None) -> Iterator[None]:
    """Charge what is called in here, and in the tasks that are started in here, to this ledger; None: to nobody."""
    enter(ledger)
    try:
        yield
    finally:
        leave()


def charged() -> Ledger | None:
    """The ledger in whose course this happens; None where nothing is counted."""
    paying = _PAYING.get()
    return paying[-1] if paying else None
