"""Which draws of scored pools a model learns from: the best of n, the best and the worst, or pairs; pure, no tokens."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from bon.errors import UsageError
from bon.store.plain import canonical
from bon.store.sampling import draw
from bon.train.preferences import Pairing, paired, ranked
from bon.types import Candidate, Pool, Prompt

__all__ = ["KINDS", "Choice", "Choices", "Choosing", "Kind", "choices", "digest"]

Kind: TypeAlias = Literal["sft", "dpo", "bonbon"]
KINDS: tuple[Kind, ...] = ("sft", "dpo", "bonbon")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choosing:
    """What of a pool is learned from."""

    by: str | None = None
    """The scorer that says which draws are better; None: the only one that pools have."""
    n: int | None = None
    """Draws among which it is chosen, the N of best-of-N: a pool is cut into groups of so many, in the order of its
    draws, and each group gives rows of its own. What is left over is not used. None: a whole pool is one group."""
    groups: int | None = None
    """Groups of a pool at the most; None: as many as it has."""
    pairing: Pairing = "all"
    """Which draws of a group DPO compares: 6 of them make 15 pairs, or one ("best-worst"), or 5 ("adjacent")."""
    seed: int = 0
    """Of the order of equal scores: which of them is the best is decided at random, as the law of best-of-N has it."""

    def __post_init__(self) -> None:
        for name in ("n", "groups"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value!r}: give a whole number from 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One row to learn from, before it is tokens."""

    prompt: Prompt
    chosen: Candidate
    rejected: Candidate | None = None
    """What it is held against; None where nothing is (sft)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """Rows to learn from, and what gave none."""

    kind: Kind
    by: str
    """The scorer that said which draws are better."""
    rows: tuple[Choice, ...]
    n: int | None
    """Draws of each group; None where groups differ in size."""
    pools: int
    draws: int
    """Candidates of all pools, used or not: what the preprocessing was."""
    tokens: int
    """Tokens of these draws, as far as the pools know them."""
    seconds: float
    """Which the pools say were spent on them, scores included."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Why -> how many draws, groups or pools."""


def choices(pools: Iterable[Pool], kind: Kind, choosing: Choosing | None = None) -> Choices:
    """The rows of pools: for `sft` the best of each group, for `bonbon` the best and the worst, for `dpo` pairs.

    Draws that were cut off by max_tokens count as they do in best-of-N: whole. A draw without a score is not in any
    group, and is counted; so is a group in which nothing is better than anything (dpo, bonbon).

    Raises UsageError for pools without that scorer, the same prompt id twice, groups of different sizes where the loss
    has one N (bonbon), and where not a single row is found.
    """
    choosing = choosing or Choosing()
    if kind not in KINDS:
        raise UsageError(f"there is no training {kind!r}; there are {', '.join(KINDS)}")
    left_out: Counter[str] = Counter()
    rows: list[Choice] = []
    sizes: set[int] = set()
    seen: set[str] = set()
    draws = tokens = 0
    seconds = 0.0
    by = choosing.by or ""
    for pool in pools:
        if pool.prompt.id in seen:
            raise UsageError(f"there are two pools of the prompt {pool.prompt.id!r}: put their draws into one")
        seen.add(pool.prompt.id)
        draws += len(pool)
        seconds += pool.spent.seconds
        tokens += sum(candidate.usage.completion_tokens for candidate in pool.candidates if candidate.usage)
        by = by or _only(pool)
        for group in _groups(pool, by, choosing, left_out):
            found = list(_of_group(group, kind, choosing, left_out))
            rows += found
            sizes |= {len(group)} if found else set()
    _refuse(rows, kind, sizes, choosing, left_out)
    return Choices(
        kind=kind,
        by=by,
        rows=tuple(rows),
        n=sizes.pop() if len(sizes) == 1 else None,
        pools=len(seen),
        draws=draws,
        tokens=tokens,
        seconds=seconds,
        left_out=dict(left_out),
    )


def digest(rows: Sequence[Choice]) -> str:
    """What tells rows from others: their prompts, texts and tokens."""
    known = hashlib.sha256()
    for row in rows:
        prompt = [row.prompt.id, row.prompt.messages, row.prompt.request]
        said = [[c.text, c.token_ids, c.finish_reason] for c in (row.chosen, row.rejected) if c is not None]
        known.update(canonical([prompt, said]))
    return known.hexdigest()


def _groups(pool: Pool, by: str, choosing: Choosing, left_out: Counter[str]) -> Iterator[Pool]:
    """A pool's scored draws in groups of n, those of equal score in a seeded order within each."""
    if by not in pool.scores:
        raise UsageError(_unscored(pool, by))
    values = pool.values(by)
    places = [place for place, value in enumerate(values) if value is not None]
    if len(places) < len(values):
        left_out[f"a draw has no score by {by}"] += len(values) - len(places)
    size = choosing.n or len(places)
    if not size or len(places) < size:
        wanted = f"fewer than {choosing.n} draws" if choosing.n and choosing.n > 1 else "no draw"
        left_out[f"a pool has {wanted} with a score by {by}"] += 1
        return
    begins = range(0, len(places) - size + 1, size)
    for begin in begins[: choosing.groups]:
        salt = f"the order of equal scores of {pool.prompt.id}"
        group = sorted(places[begin : begin + size], key=lambda place: draw(str(place), choosing.seed, salt))
        yield replace(pool.only(group), scores={by: tuple(pool.scores[by][place] for place in group)})


def _of_group(group: Pool, kind: Kind, choosing: Choosing, left_out: Counter[str]) -> Iterator[Choice]:
    by = next(iter(group.scores))
    order = ranked(group, by)
    if kind == "sft" or (kind == "bonbon" and choosing.n == 1):  # N = 1 is the reference: a loss without a gradient
        yield _choice(group, order[0][0], None if kind == "sft" else order[0][0])
        return
    found = 0
    for (better, _), (worse, _) in paired(order, choosing.pairing if kind == "dpo" else "best-worst"):
        if not _same(better, worse):
            found += 1
            yield _choice(group, better, worse)
    if not found:
        why = "fewer than two draws" if len(order) < 2 else f"no draw that is better than another by {by}"
        left_out[f"a group has {why}"] += 1


def _choice(pool: Pool, chosen: Candidate, rejected: Candidate | None) -> Choice:
    return Choice(prompt=pool.prompt, chosen=_slim(chosen), rejected=None if rejected is None else _slim(rejected))


def _slim(candidate: Candidate) -> Candidate:
    """A candidate without what nobody learns from, so that thousands fit into memory."""
    return replace(candidate, logprobs=None, seconds=None, usage=None)


def _same(one: Candidate, other: Candidate) -> bool:
    return (one.text, one.token_ids, one.finish_reason) == (other.text, other.token_ids, other.finish_reason)


def _only(pool: Pool) -> str:
    if len(pool.scores) != 1:
        raise UsageError(_unscored(pool, None))
    return next(iter(pool.scores))


def _unscored(pool: Pool, by: str | None) -> str:
    names = ", ".join(map(repr, pool.scores)) or "none"
    if not pool.scores:
        return f"the pool of {pool.prompt.id!r} has no scores: score it first (bon score POOLS --scorer SPEC)"
    if by is None:
        return f"the pool of {pool.prompt.id!r} has the scorers {names}: say by which draws are better (--by NAME)"
    return f"the pool of {pool.prompt.id!r} has no scores by {by!r}; it has {names}: name one of these, or score it"


def _refuse(
    rows: Sequence[Choice], kind: Kind, sizes: set[int], choosing: Choosing, left_out: Mapping[str, int]
) -> None:
    """Raise UsageError for what cannot be learned from."""
    if not rows:
        told = "; ".join(f"{count}: {why}" for why, count in left_out.items()) or "there are no pools"
        raise UsageError(
            f"there is no row to learn from by {kind} ({told}): give pools with more scored draws, or less n"
        )
    if kind == "sft" and sizes == {1} and choosing.n is None:
        raise UsageError("every pool has one scored draw, which is the best of nothing: draw more, or say n=1")
    if kind == "bonbon" and len(sizes) > 1:
        raise UsageError(
            f"pools have from {min(sizes)} to {max(sizes)} scored draws, and BoNBoN's loss has one N: "
            f"say which (n={min(sizes)} uses groups of so many)"
        )
