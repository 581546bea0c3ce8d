"""Pools as the rows that TRL's trainers read, by the names of their columns; it trains nothing.

Shapes as in TRL's guide to data set formats (1.16): conversational where there is a chat, standard for steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, get_args

from bon.errors import UsageError
from bon.protocols import Selector
from bon.select import GOLD, argmax, pick, samples, scorer_of, weigh
from bon.train.preferences import Pairing, pairs_of
from bon.train.stepwise import steps_scored
from bon.types import Candidate, Message, Pool

__all__ = ["KINDS", "Kind", "Row", "rows_of"]

Kind: TypeAlias = Literal["sft", "dpo", "kto", "stepwise", "reward"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Row: TypeAlias = dict[str, Any]


def rows_of(
    pool: Pool,
    kind: Kind,
    *,
    by: str | None = None,
    selector: Selector | None = None,
    pairing: Pairing = "best-worst",
    threshold: float = 0.5,
) -> list[Row] | str:
    """The rows that one pool gives, or why it gives none.

    - `sft`: prompt and completion, the candidate that `selector` picks (by default the best by the scorer `by`), unless
      the truth is what decides and it is wrong;
    - `dpo`: prompt, chosen and rejected, the pairs that `pairing` makes of the scorer's values;
    - `reward`: the same with the margin between the two values;
    - `kto`: prompt, completion and label, every candidate with a value, true above `threshold`;
    - `stepwise`: prompt, completions and labels, every candidate with step scores, a step right above `threshold`.

    `by` defaults to `correct`, then `math`, then the only scorer there is. A candidate that was cut off teaches nobody
    to end: it is left out, but for `kto` where it is false. Raises UsageError for a scorer that the pool does not have.
    """
    if kind not in KINDS:
        raise UsageError(f"there are no rows of {kind!r}; there are {', '.join(KINDS)}")
    if not pool.candidates:
        return "no candidates"
    name = by or next((gold for gold in GOLD if gold in pool.scores), None)
    wanted = _Wanted(by=name, selector=selector or partial(argmax, by=name), pairing=pairing, threshold=threshold)
    return _MAKERS[kind](pool, wanted) or _NOTHING[kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    by: str | None
    selector: Selector
    pairing: Pairing
    threshold: float


def _sft(pool: Pool, wanted: _Wanted) -> list[Row] | str:
    weights, failure = weigh(pool, wanted.selector)
    if failure is not None:
        return f"nothing to choose by: {failure.error}"
    place = pick(pool, weights, seed=0, sample=samples(wanted.selector))
    value = pool.values(wanted.by)[place] if wanted.by in GOLD else None
    if value is not None and value <= wanted.threshold:
        return "its choice is wrong"
    chosen = pool.candidates[place]
    return [{"prompt": _chat(pool), "completion": [_answer(chosen)]}] if chosen.complete else "its choice was cut off"


def _pairs(pool: Pool, wanted: _Wanted, *, margins: bool) -> list[Row] | str:
    by = scorer_of(pool, wanted.by)
    whole = [place for place, candidate in enumerate(pool.candidates) if candidate.complete]
    return [
        {
            "prompt": _chat(pool),
            "chosen": [{"role": "assistant", "content": pair.chosen}],
            "rejected": [{"role": "assistant", "content": pair.rejected}],
            **({"margin": pair.margin} if margins else {}),
        }
        for pair in pairs_of(pool.only(whole), by=by, pairing=wanted.pairing, margin="gap" if margins else None)
    ]


def _kto(pool: Pool, wanted: _Wanted) -> list[Row] | str:
    values = pool.values(scorer_of(pool, wanted.by))
    return [
        {"prompt": _chat(pool), "completion": [_answer(candidate)], "label": value > wanted.threshold}
        for candidate, value in zip(pool.candidates, values, strict=True)
        if value is not None and (candidate.complete or value <= wanted.threshold)
    ]


def _stepwise(pool: Pool, wanted: _Wanted) -> list[Row] | str:
    if len(pool.prompt.messages) != 1:
        return "its prompt is a chat of several messages, and stepwise rows hold one text"
    stepped = [name for name, scores in pool.scores.items() if any(score.steps for score in scores)]
    by = wanted.by if wanted.by in stepped else None
    if by is None and len(stepped) != 1:
        return f"which scorer's steps? There are {', '.join(stepped)}" if stepped else "no scorer has step scores"
    rows: list[Row] = []
    for candidate, score in zip(pool.candidates, pool.scores[by or stepped[0]], strict=True):
        steps = steps_scored(pool.prompt, candidate, len(score.steps or ()))
        if steps is not None and score.steps is not None:
            labels = [value > wanted.threshold for value in score.steps]
            rows.append({"prompt": pool.prompt.text, "completions": [*steps], "labels": labels})
    return rows


def _chat(pool: Pool) -> list[Message]:
    return [dict(message) for message in pool.prompt.messages]


def _answer(candidate: Candidate) -> Row:
    calls = [dict(call) for call in candidate.tool_calls]
    return {"role": "assistant", "content": candidate.text, **({"tool_calls": calls} if calls else {})}


_MAKERS: Mapping[Kind, Callable[[Pool, _Wanted], list[Row] | str]] = MappingProxyType(
    {
        "sft": _sft,
        "dpo": lambda pool, wanted: _pairs(pool, wanted, margins=False),
        "reward": lambda pool, wanted: _pairs(pool, wanted, margins=True),
        "kto": _kto,
        "stepwise": _stepwise,
    }
)
_NOTHING: Mapping[Kind, str] = MappingProxyType(
    {
        "sft": "nothing is chosen",
        "dpo": "no two candidates with different values and texts",
        "reward": "no two candidates with different values and texts",
        "kto": "no candidate has a value",
        "stepwise": "no candidate has as many steps as step scores",
    }
)
"""Why a pool gave no rows."""
