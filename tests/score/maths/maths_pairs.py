"""The pairs of math_pairs.txt: an answer, a reference, and whether they mean the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

__all__ = ["PAIRS"]


def _read() -> Iterator[tuple[str, str, bool]]:
    same = False
    for line in Path(__file__).with_name("math_pairs.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith(("== ", "!= ")):
            same = line.startswith("==")
        elif line and not line.startswith("#"):
            answer, _, reference = line.partition(" | ")
            yield answer, reference, same


PAIRS = tuple(_read())
