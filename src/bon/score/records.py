"""Verdicts read from a file: recorded earlier, given by people, or made by another program."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from bon.errors import DataError, UsageError
from bon.protocols import Scorer
from bon.score.lift import pointwise
from bon.store.jsonl import read_jsonl
from bon.store.lines import PathLike
from bon.store.runfile import data_hash
from bon.store.verdicts import UNREADABLE
from bon.types import Candidate, Prompt, Score

__all__ = ["LABELS", "recorded"]

LABELS: Mapping[str, float] = MappingProxyType({"right": 1.0, "better": 1.0, "wrong": 0.0})
"""What the labels of the report's buttons are worth."""

_Of: TypeAlias = tuple[str, int]
"""A prompt's id and the index of a draw."""


def recorded(path: PathLike, *, name: str | None = None, judge: str | None = None) -> Scorer:
    """A Scorer that gives the verdicts of a JSON Lines file; its name is the file's, unless given.

    Each line is about one candidate, or about all of a prompt's:

        {"id": "p1", "index": 0, "value": 0.7, "reason": "clear"}      index of the draw; value null: no score, and why
        {"id": "p1", "index": 0, "label": "right"}                     right and better are 1, wrong is 0
        {"id": "p1", "scores": [0.7, null, 0.2]}                       of draws 0, 1, 2 ...
        {"id": "p1", "by": "GPT-4", "order": [1, 0], "scores": [1, 0]} shown in that order: several orders may follow

    `parts` (named sub-scores) may go with a value; other keys are ignored. The last line about a candidate wins, of
    each order; one that no line is about has no score. Where orders are named the value is the mean over them, None if
    one of them has none, and each is kept in `parts` ("order 1,0"). `judge` is whose verdicts (`by`) are taken, with
    the lines that name nobody.

    The file is read now. Raises `DataError`, with the line, for a line like none of these, and `UsageError` for a file
    that cannot be read, that holds verdicts of several where no `judge` is named, or none of `judge`.
    """
    verdicts: dict[_Of, Score] = {}
    orders: dict[_Of, dict[str, Score]] = {}
    judges: dict[str, None] = {}
    for line, row in read_jsonl(path):
        try:
            by = _by(row)
            if by is not None:
                judges[by] = None
                if by != (judge or next(iter(judges))):
                    continue
            for of, score in _verdicts(row):
                if "order" in row:
                    orders.setdefault(of, {})[_order(row)] = score
                else:
                    verdicts[of] = score
        except (KeyError, TypeError, ValueError) as error:
            what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
            raise DataError(f"{path}:{line}: {what}; wanted is id with index and value, label, or scores") from error
    _refuse_unclear(path, judge, list(judges))
    verdicts |= {of: _over(said) for of, said in orders.items()}

    named = name or Path(path).name.partition(".")[0] or "recorded"
    identity = ["recorded", data_hash(path), judge] if Path(path).is_file() else None  # a pipe is read once
    return pointwise(_Record(verdicts, identity), name=named)


class _Record:
    """What was read, looked up by candidate."""

    def __init__(self, verdicts: Mapping[_Of, Score], identity: Sequence[str | None] | None) -> None:
        self.verdicts = verdicts
        self.identity = identity
        """What the file holds rather than what it is called: a run that goes on must not mix the verdicts of two."""

    def __call__(self, prompt: Prompt, candidate: Candidate) -> Score:
        found = self.verdicts.get((prompt.id, candidate.index))
        return found or Score.missing(f"no record of draw {candidate.index} of prompt {prompt.id!r}")


def _refuse_unclear(path: PathLike, judge: str | None, judges: Sequence[str]) -> None:
    """Raise UsageError unless it is clear whose verdicts are meant."""
    there = ", ".join(map(repr, judges)) or "nobody's (no line has `by`)"
    if judge is None and len(judges) > 1:
        raise UsageError(f"{path} holds verdicts of several: name one with judge=, of {there}")
    if judge is not None and judge not in judges:
        raise UsageError(f"{path} holds no verdict of {judge!r}; there are {there}")


def _by(row: Mapping[str, Any]) -> str | None:
    by = row.get("by")
    if by is not None and not isinstance(by, str):
        raise TypeError(f"by {by!r} is not a text")
    return by


def _order(row: Mapping[str, Any]) -> str:
    """The name of the order in which draws were shown."""
    order = row["order"]
    if not isinstance(order, list) or sorted(order) != list(range(len(row["scores"]))):
        raise ValueError(f"order {order!r} does not name each of {len(row['scores'])} draws once")
    return f"order {','.join(map(str, order))}"


def _over(said: Mapping[str, Score]) -> Score:
    """One score of those that a candidate got in several orders."""
    parts = {name: score.value for name, score in sorted(said.items())}
    lost = next((score.reason for score in said.values() if score.value is None), None)
    if lost is not None:
        return Score(value=None, reason=lost, parts=parts)
    value = math.fsum(score.value or 0.0 for score in said.values()) / len(said)
    return Score(value=value, reason=next((s.reason for s in said.values() if s.reason), ""), parts=parts)


def _verdicts(row: Mapping[str, Any]) -> Iterator[tuple[_Of, Score]]:
    prompt_id = row["id"]
    if not isinstance(prompt_id, str):
        raise TypeError(f"id {prompt_id!r} is not a text")
    if "scores" in row or "order" in row:
        for index, value in enumerate(row["scores"]):
            yield (prompt_id, index), _score(value, row)
        return
    index = row["index"]
    if not isinstance(index, int) or isinstance(index, bool) or index < 0:
        raise TypeError(f"index {index!r} is not the number of a draw")
    if "label" in row and row["label"] not in LABELS:
        raise ValueError(f"label {row['label']!r} is none of {', '.join(LABELS)}")
    label = row.get("label")
    yield (prompt_id, index), Score(value=LABELS[label], reason=label) if label else _score(row["value"], row)


def _score(value: object, row: Mapping[str, Any]) -> Score:
    reason, parts = row.get("reason", ""), row.get("parts", {})
    if not isinstance(reason, str) or not isinstance(parts, dict):
        raise TypeError(f"reason {reason!r} is not a text, or parts {parts!r} are not by name")
    if value is None:
        why = UNREADABLE if "order" in row else "recorded without a value"
        return Score(value=None, reason=reason or why, parts=parts)
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError(f"value {value!r} is not a finite number")
    return Score(value=float(value), reason=reason, parts=parts)
