"""What is said of input lines that cannot be used: before a run that is strict, and after one that went on."""

from __future__ import annotations

from pathlib import Path

from bon.errors import DataError
from bon.store.badlines import BadLines
from bon.store.badrows import BadRows
from bon.store.diagnosis import BadLine

__all__ = ["Problems", "told"]


class Problems(BadRows):
    """The lines of one input that cannot be used."""

    def __init__(self, source: Path) -> None:
        super().__init__()
        self.source = source

    def listed(self) -> list[str]:
        """The first problems, each with its place."""
        return [_place(self.source, line) for line in self.first]

    def refuse(self, because: str) -> None:
        """Raise DataError, with the first problems listed, if there were any."""
        if not self.first:
            return
        head = f"{_lines(self.count)} of {_name(self.source)} cannot be used; {because}:"
        more = [f"and {self.count - len(self.first)} more"] if self.count > len(self.first) else []
        raise DataError("\n  ".join([head, *self.listed(), *more]))


def told(source: Path, bad: BadLines) -> str:
    """How many lines could not be used, where that is written down, and the first of them."""
    if bad.first is None:
        return ""
    return (
        f"{_lines(bad.count)} of {_name(source)} could not be used: see {bad.path}. "
        f"The first: {_place(source, bad.first)}\n"
    )


def _place(source: Path, line: BadLine) -> str:
    return f"{_name(source)}:{line.line}: {line.message}"


def _name(source: Path) -> str:
    return "<stdin>" if str(source) == "-" else str(source)


def _lines(count: int) -> str:
    return f"{count} line" if count == 1 else f"{count} lines"
