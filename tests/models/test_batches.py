"""Batches of rows: what is shared, what is packed together, and that no budget is passed; against counting by hand."""

from __future__ import annotations

from itertools import takewhile

from hypothesis import given
from hypothesis import strategies as st

from bon.models.batches import common_length, in_chunks, packed, shared_lengths

Ids = tuple[int, ...]
rows_of_ids = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12).map(tuple), max_size=12, unique=True)


@given(st.lists(st.integers(0, 1), max_size=20).map(tuple), st.lists(st.integers(0, 1), max_size=20).map(tuple))
def test_common_length_is_the_common_prefix(first: Ids, second: Ids) -> None:
    assert common_length(first, second) == sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
    )


def test_what_rows_share_is_found_from_their_ids() -> None:
    rows = [(1, 2, 3, 4, 5), (9, 9), (1, 2, 3, 7), (1, 2, 3, 4, 8)]
    assert shared_lengths(rows, least=1) == [4, 0, 3, 4]
    assert shared_lengths(rows, least=2) == [3, 0, 3, 3], "a branch of two rows would save one token"
    assert shared_lengths(rows, least=7) == [0, 0, 0, 0], "six would be saved"


def test_what_is_held_costs_nothing() -> None:
    assert shared_lengths([(1, 2, 3, 4)], least=3) == [0], "alone it shares with nobody"
    assert shared_lengths([(1, 2, 3, 4)], held=[(1, 2, 3, 9)], least=3) == [3]
    assert shared_lengths([(1, 2, 3)], held=[(1, 2, 3, 9)], least=3) == [3], "all of it"
    assert shared_lengths([(1, 2, 3)], held=[(1, 2, 3, 9)], least=4) == [0]
    assert shared_lengths([], held=[(1, 2)], least=1) == []


def test_a_row_may_be_the_prefix_of_others() -> None:
    assert shared_lengths([(1, 2), (1, 2, 3), (1, 2, 4)], least=1) == [2, 2, 2]


@given(rows=rows_of_ids, held=rows_of_ids, least=st.integers(1, 12))
def test_sharing_pays(rows: list[Ids], held: list[Ids], least: int) -> None:
    lengths = shared_lengths(rows, held=held, least=least)
    assert len(lengths) == len(rows)
    for row, length in zip(rows, lengths, strict=True):
        prefix = row[:length]
        assert 0 <= length <= len(row)
        if length:
            readers = sum(other[:length] == prefix for other in rows)
            known = any(other[:length] == prefix for other in held)
            assert known or readers > 1, "somebody else begins like it"
            assert (readers - (not known)) * length >= least
    # Whatever is read: every distinct prefix once after the longest other that it begins with, then what is left.
    prefixes = {row[:n] for row, n in zip(rows, lengths, strict=True)} - {()}
    prefixes = {p for p in prefixes if not any(h[: len(p)] == p for h in held)}
    read = sum(len(row) - n for row, n in zip(rows, lengths, strict=True))
    read += sum(
        len(p) - max(common_length(p, q) if q == p[: len(q)] else 0 for q in (*prefixes - {p}, ())) for p in prefixes
    )
    assert read <= sum(map(len, rows))


@given(
    rows=st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), max_size=30),
    tokens=st.integers(1, 400),
    waste=st.integers(0, 100),
)
def test_batches_hold_every_row_once_within_the_budget(rows: list[tuple[int, int]], tokens: int, waste: int) -> None:
    batches = packed(rows, tokens=tokens, waste=waste)
    assert sorted(place for batch in batches for place in batch) == list(range(len(rows)))
    for batch in batches:
        known, new = (max(column) for column in zip(*(rows[place] for place in batch), strict=True))
        assert len(batch) == 1 or len(batch) * (known + new) <= tokens
        assert sum(new - rows[place][1] for place in batch) <= waste
    longest = [max(rows[place][1] for place in batch) for batch in batches]
    assert longest == sorted(longest, reverse=True), "the one that needs the most memory comes first"


@given(lengths=st.lists(st.integers(1, 60), max_size=30), tokens=st.integers(1, 200))
def test_chunks_hold_every_prefix_once_within_the_budget(lengths: list[int], tokens: int) -> None:
    chunks = in_chunks(lengths, tokens=tokens)
    assert sorted(place for chunk in chunks for place in chunk) == list(range(len(lengths)))
    assert all(len(chunk) == 1 or sum(lengths[place] for place in chunk) <= tokens for chunk in chunks)


def test_thousands_of_rows_are_planned_quickly() -> None:
    """A chain in which each row begins with the one before is the worst case."""
    rows = [tuple(range(n)) for n in range(1, 600)]
    assert shared_lengths(rows, least=10)[-1] >= 590
    prompts = [(p, *range(300)) for p in range(500)]
    rows = [(*prompt, 1000 + k, p) for p, prompt in enumerate(prompts) for k in range(8)]
    assert set(shared_lengths(rows, least=64)) == {301}
