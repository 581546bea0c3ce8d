"""The budgets that specs can name; the text after the colon is the first setting: `fixed:8`, `threshold:0.9`."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bon import budgets
from bon.errors import SpecError
from bon.protocols import Budget
from bon.registry.kinds import Kind, known_options
from bon.registry.spec import Spec, parse_spec

if TYPE_CHECKING:
    from bon.registry.builder import Builder

__all__ = ["BUDGETS"]


def _kind(name: str, cls: Any) -> Kind:
    settings = [field.name for field in dataclasses.fields(cls) if field.init]
    first = settings[0]
    documentation = inspect.getdoc(cls) or ""
    summary = documentation.partition("\n")[0].rstrip(".")

    def make(spec: Spec, builder: Builder) -> Budget:
        options = known_options(spec, *settings)
        if spec.target:
            # The grammar of option values serves here too, so that 8 is a number.
            options = {first: parse_spec(f"_?{first}={spec.target}").options[first], **options}
        for limit in {"n", "most"}.intersection(settings):
            options.setdefault(limit, builder.n)
        if first not in options:
            raise SpecError(f"{spec.text!r} does not say its {first}; write {usage}")
        return cls(**options)  # type: ignore[no-any-return]

    usage = f"{name}:{first.upper()}" + (f"[?{'&'.join(f'{s}=...' for s in settings[1:])}]" if settings[1:] else "")
    return Kind(usage=usage, summary=summary, make=make, documentation=documentation)


BUDGETS: Mapping[str, Kind] = {name: _kind(name, cls) for name, cls in budgets.BUDGETS.items()}
"""Name of a budget -> how it is written, what it is, how it is made."""
