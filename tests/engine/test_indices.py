"""The indices of the next draws: the lowest that are free, in as few runs as there can be."""

from __future__ import annotations

from itertools import count, islice

from hypothesis import given
from hypothesis import strategies as st

from bon.engine.indices import free_runs


@given(taken=st.sets(st.none() | st.integers(0, 12)), wanted=st.integers(-1, 10))
def test_they_are_the_lowest_that_are_free(taken: set[int | None], wanted: int) -> None:
    runs = list(free_runs(taken, wanted))
    indices = [index for first, length in runs for index in range(first, first + length)]
    assert indices == list(islice((index for index in count() if index not in taken), max(wanted, 0)))
    assert all(first + length in taken for first, length in runs[:-1]), "runs that touch are one"
