"""The wording around a data set's question: a template with one place for it."""

from __future__ import annotations

from bon.errors import UsageError

__all__ = ["PLACE", "filled"]

PLACE = "{prompt}"
"""What a template has where the question goes; other braces are text, as LaTeX needs them."""


def filled(template: str, question: str) -> str:
    """The template with the question in its place. Raises UsageError where there is no place for it."""
    if PLACE not in template:
        raise UsageError(f"the template {template!r} has no place for the question: write {PLACE} where it goes")
    return template.replace(PLACE, question)
