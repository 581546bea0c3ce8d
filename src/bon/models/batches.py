"""How rows of token ids are put into batches: what they share, and what is read together; pure, on lengths and ids."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

__all__ = ["common_length", "in_chunks", "packed", "shared_lengths"]

Ids = tuple[int, ...]


def common_length(first: Ids, second: Ids) -> int:
    """How many ids two rows begin with alike."""
    low, high = 0, min(len(first), len(second))
    if first[:high] == second[:high]:
        return high
    while high - low > 1:  # first[:low] is alike, first[:high] is not
        middle = (low + high) // 2
        low, high = (middle, high) if first[low:middle] == second[low:middle] else (low, middle)
    return low


def shared_lengths(rows: Sequence[Ids], *, held: Sequence[Ids] = (), least: int) -> list[int]:
    """How many of its first ids each of the different `rows` shares with others, where sharing pays; 0 where not.

    Rows that share form a tree: those of a prompt share the prompt, some of them the beginning of an answer too. A
    branch counts where reading it once saves `least` tokens or more of what is left to read. `held` are rows that have
    been read already: what a row shares with them costs nothing.

    Sorted, rows with common prefixes are neighbours, and what a run of them shares is the least that two neighbours
    in it do.
    """
    everyone = [*rows, *held]
    order = sorted(range(len(everyone)), key=everyone.__getitem__)
    alike = [common_length(everyone[a], everyone[b]) for a, b in pairwise(order)]
    lengths = [0] * len(rows)
    runs = [(0, len(order), 0)]  # begin, end, and what the run shares already
    while runs:
        begin, end, known = runs.pop()
        readers = [row for row in order[begin:end] if row < len(rows)]
        if end - begin < 2 or not readers:
            continue
        length = min(alike[begin : end - 1])
        free = len(readers) < end - begin
        if (len(readers) - (not free)) * (length - known) >= least:
            known = length
            for row in readers:
                lengths[row] = length
        cuts = [begin, *(at + 1 for at in range(begin, end - 1) if alike[at] == length), end]
        runs.extend((a, b, known) for a, b in pairwise(cuts))
    return lengths


def packed(rows: Sequence[tuple[int, int]], *, tokens: int, waste: int) -> list[list[int]]:
    """Rows in batches, the longest first, as lists of places in `rows`.

    A row is (how many tokens of it are known, how many are to be read), and a batch pads both to its longest. In no
    batch is the number of rows times the padded length of both above `tokens`, but for a single row that is longer by
    itself. A batch ends where more than `waste` tokens of it would be padding that has to be computed.
    """
    batches: list[list[int]] = []
    known, longest, padding = 0, 0, 0
    for place in sorted(range(len(rows)), key=lambda at: rows[at][::-1], reverse=True):
        before, new = rows[place]
        widest = max(known, before)
        fits = bool(batches) and (len(batches[-1]) + 1) * (widest + longest) <= tokens
        if fits and padding + longest - new <= waste:
            batches[-1].append(place)
            known, padding = widest, padding + longest - new
        else:
            batches.append([place])
            known, longest, padding = before, new, 0
    return batches


def in_chunks(lengths: Sequence[int], *, tokens: int) -> list[list[int]]:
    """Prefixes in chunks whose lengths add up to `tokens` at most, similar lengths together, as lists of places.

    What a chunk holds is remembered at one time; a prefix that is longer by itself is a chunk of its own.
    """
    chunks: list[list[int]] = []
    total = 0
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if chunks and total + lengths[place] <= tokens:
            chunks[-1].append(place)
            total += lengths[place]
        else:
            chunks.append([place])
            total = lengths[place]
    return chunks
