"""What a judge is asked about: questions with answers of known worth, our own few or pools of yours; reads our file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from bon.errors import UsageError
from bon.score.judge.brief import Mode
from bon.score.judge.prompt import shown
from bon.score.judge.screen import screened
from bon.select import GOLD
from bon.types import Pool, Prompt, as_messages

__all__ = ["Item", "built_in", "items_of", "lined_up"]

_LONGEST = 4
"""Candidates in one list: more make each question dearer, and say little more of the places."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A question and different answers to it; `n` of them."""

    prompt: Prompt
    texts: tuple[str, ...]
    """Shape `(n,)`, as judges see candidates; after `lined_up` the best is first and the worst last."""
    gold: tuple[float, ...] | None = None
    """Shape `(n,)`: what they are worth; None where it is not known of all of them."""
    makers: tuple[str, ...] = ()
    """Shape `(n,)`: the generators that wrote them; empty where that is not known."""


@cache
def built_in() -> tuple[Item, ...]:
    """Our own items, over maths, facts, instructions, code, safety and writing by turns.

    Each has a good answer, one that is off the point (it belongs to another question), and a weak one.
    """
    text = (resources.files(__package__) / "items.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)["items"]
    areas: dict[str, list[dict[str, str]]] = {}
    for table in tables:
        areas.setdefault(table["id"].partition("-")[0], []).append(table)
    mixed = [table for row in zip(*areas.values(), strict=True) for table in row]
    astray = [*mixed[1:], mixed[0]]
    return tuple(
        Item(
            prompt=Prompt(id=table["id"], messages=as_messages(table["question"])),
            texts=(table["good"], other["weak"], table["weak"]),
            gold=(1.0, 0.0, 0.0),
        )
        for table, other in zip(mixed, astray, strict=True)
    )


def items_of(pools: Iterable[Pool], *, gold: str | None = None, limit: int | None = None) -> tuple[Item, ...]:
    """Items of pools: their different candidates that are worth asking about, those of pools with two or more.

    `gold` names the scorer whose values are the truth; by default "correct" if a pool has it, then "math". Raises
    UsageError where no pool has a scorer of that name, or none has two different candidates.
    """
    items: list[Item] = []
    found = False
    for pool in pools:
        if limit is not None and len(items) >= limit:
            break
        name = gold or next((name for name in GOLD if name in pool.scores), None)
        found = found or name in pool.scores
        item = _item(pool, name if name in pool.scores else None)
        if len(item.texts) >= 2:
            items.append(item)
    if not items:
        raise UsageError("the data hold no pool with two different candidates: there is nothing to ask a judge about")
    if gold is not None and not found:
        raise UsageError(f"no pool has a scorer {gold!r} to take as gold; `bon score` puts one in")
    return tuple(items)


def lined_up(item: Item, mode: Mode) -> Item:
    """What is shown of an item: the best first, the worst last; two of them, or up to four where a list is judged.

    Without gold the shortest is last, since that is where most has to be gained.
    """
    worth: Sequence[float] = item.gold or [float(len(text)) for text in item.texts]
    order = sorted(range(len(item.texts)), key=lambda place: -worth[place])  # stable: equal ones stay as they came
    kept = [*order[: _LONGEST - 1 if mode == "listwise" else 1], order[-1]] if len(order) > 2 else order
    kept = list(dict.fromkeys(kept))
    return Item(
        prompt=item.prompt,
        texts=tuple(item.texts[place] for place in kept),
        gold=item.gold and tuple(item.gold[place] for place in kept),
        makers=item.makers and tuple(item.makers[place] for place in kept),
    )


def _item(pool: Pool, gold: str | None) -> Item:
    """Of candidates with the same text the first stands for all; screened ones are left out."""
    places: dict[str, int] = {}
    for place, candidate in enumerate(pool.candidates):
        if not screened(candidate):
            places.setdefault(shown(candidate), place)
    worth = [pool.scores[gold][place].value for place in places.values()] if gold else []
    known = [value for value in worth if value is not None]
    makers = tuple(pool.candidates[place].generator for place in places.values())
    return Item(
        prompt=pool.prompt,
        texts=tuple(places),
        gold=tuple(known) if gold and len(known) == len(places) else None,
        makers=makers if all(makers) else (),
    )
