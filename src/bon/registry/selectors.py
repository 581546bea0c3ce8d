"""The selectors that specs can name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from bon import select
from bon.protocols import Selector
from bon.registry.kinds import Kind, checked_options
from bon.registry.spec import Spec

if TYPE_CHECKING:
    from bon.registry.builder import Builder

__all__ = ["SELECTORS"]


def _kind(name: str, function: Callable[..., Any]) -> Kind:
    options = tuple(inspect.signature(function).parameters)[1:]
    documentation = inspect.getdoc(function) or ""
    summary = documentation.partition("\n")[0].rstrip(".")

    def make(spec: Spec, builder: Builder) -> Selector:  # noqa: ARG001
        return partial(function, **checked_options(spec, function, *options))

    usage = f"{name}[?{'&'.join(f'{option}=...' for option in options)}]" if options else name
    return Kind(usage=usage, summary=summary, make=make, target=False, documentation=documentation)


SELECTORS: Mapping[str, Kind] = {name: _kind(name, function) for name, function in select.SELECTORS.items()}
"""Name of a selector -> how it is written, what it is, how it is made."""
