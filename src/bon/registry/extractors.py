"""The extractors that can be named: those that only read, and `math`, which needs an extra and a process."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from bon import answers
from bon.errors import SpecError
from bon.protocols import Extractor
from bon.score.maths.extractor import MathExtractor

__all__ = ["catalogue", "extractor"]

_MATH = "math"


def extractor(name: str) -> Extractor:
    """The extractor of that name, or of `regex:PATTERN`. Raises `SpecError` for a name that is none."""
    if name == _MATH:
        return MathExtractor()
    if name not in answers.EXTRACTORS and not name.startswith("regex:"):
        raise SpecError(f"no extractor is called {name!r}; there are {', '.join(catalogue())}")
    return answers.extractor(name)


def catalogue() -> Mapping[str, str]:
    """By name: what each extractor reads, in a line."""
    found = {name: _first_line(function) for name, function in answers.EXTRACTORS.items()}
    found[_MATH] = _first_line(MathExtractor)
    return {**found, "regex:PATTERN": "the last match of a pattern: its first group, or the whole"}


def _first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0].rstrip(".")
