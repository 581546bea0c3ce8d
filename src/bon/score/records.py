"""Verdicts read from a file: recorded earlier, given by people, or made by another program."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bon.errors import DataError
from bon.protocols import Scorer
from bon.score.lift import pointwise
from bon.store.jsonl import read_jsonl
from bon.store.lines import PathLike
from bon.types import Candidate, Prompt, Score

__all__ = ["LABELS", "recorded"]

LABELS: Mapping[str, float] = MappingProxyType({"right": 1.0, "better": 1.0, "wrong": 0.0})
"""What the labels of the report's buttons are worth."""


def recorded(path: PathLike, *, name: str | None = None) -> Scorer:
    """A Scorer that gives the verdicts of a JSON Lines file; its name is the file's, unless given.

    Each line is about one candidate, or about all of a prompt's:

        {"id": "p1", "index": 0, "value": 0.7, "reason": "clear"}      index of the draw; value null: no score, and why
        {"id": "p1", "index": 0, "label": "right"}                     right and better are 1, wrong is 0
        {"id": "p1", "scores": [0.7, null, 0.2]}                       of draws 0, 1, 2 ...

    `parts` (named sub-scores) may go with a value; other keys are ignored. The last line about a candidate wins; one
    that no line is about has no score. The file is read now. Raises `DataError`, with the line, for a line like none
    of these, and `UsageError` for a file that cannot be read.
    """
    verdicts: dict[tuple[str, int], Score] = {}
    for line, row in read_jsonl(path):
        try:
            verdicts.update(_verdicts(row))
        except (KeyError, TypeError, ValueError) as error:
            what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
            raise DataError(f"{path}:{line}: {what}; wanted is id with index and value, label, or scores") from error

    def verdict(prompt: Prompt, candidate: Candidate) -> Score:
        found = verdicts.get((prompt.id, candidate.index))
        return found or Score.missing(f"no record of draw {candidate.index} of prompt {prompt.id!r}")

    return pointwise(verdict, name=name or Path(path).name.partition(".")[0] or "recorded")


def _verdicts(row: Mapping[str, Any]) -> Iterator[tuple[tuple[str, int], Score]]:
    prompt_id = row["id"]
    if not isinstance(prompt_id, str):
        raise TypeError(f"id {prompt_id!r} is not a text")
    if "scores" in row:
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
        return Score(value=None, reason=reason or "recorded without a value", parts=parts)
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError(f"value {value!r} is not a finite number")
    return Score(value=float(value), reason=reason, parts=parts)
