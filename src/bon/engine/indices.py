"""Which indices the next draws of a prompt get: the lowest that no draw has had, in runs for one call each; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator

__all__ = ["free_runs"]


def free_runs(taken: Collection[int | None], count: int) -> Iterator[tuple[int, int]]:
    """The `count` lowest indices not taken, as (first, length) runs."""
    index = first = length = 0
    while count > 0:
        if index in taken:
            if length:
                yield first, length
            length = 0
        else:
            first = first if length else index
            length += 1
            count -= 1
        index += 1
    if length:
        yield first, length
