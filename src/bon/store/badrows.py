"""Lines and rows that cannot be used, counted, and the first of them kept: what there is to say of them to people."""

from __future__ import annotations

from bon.store.diagnosis import BadLine

__all__ = ["BadRows"]

_KEPT = 20


class BadRows:
    """Call it with each line or row that cannot be used: it counts them, and keeps the first."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[BadLine] = []

    def __call__(self, line: BadLine) -> None:
        self.count += 1
        if len(self.first) < _KEPT:
            self.first.append(line)
