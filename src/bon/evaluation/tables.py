"""Tables in Markdown, aligned so that they can be read in a terminal too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

__all__ = ["flat", "table"]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A Markdown table whose columns are as wide as they must be."""
    lines = [[flat(cell).replace("|", "\\|") for cell in line] for line in (head, *rows)]
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(head))]
    first, *others = (" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    yield f"| {first} |"
    yield f"| {' | '.join('-' * width for width in widths)} |"
    yield from (f"| {line} |" for line in others)


def flat(text: str) -> str:
    """On one line."""
    return " ".join(text.split())
