"""Scorers of tool calls: whether they fit the tools' schemas, and how many candidates make the same ones."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from bon.errors import UsageError
from bon.protocols import Scorer
from bon.score.lift import listwise
from bon.score.rules import rule, tool_call_format
from bon.score.rules.schemas import calls_of
from bon.types import Candidate, Pool, Score

__all__ = ["VOTES", "tool_calls", "tool_votes"]

VOTES = ("name", "arguments", "both")
_Ballot: TypeAlias = tuple[str, ...]


def tool_calls(*, required: bool = True) -> Scorer:
    """Whether every tool call names a tool of the prompt's request and its arguments fit that tool's schema: 1 or 0.

    An answer that calls nothing is 0, or 1 if no call is `required`. Needs the extra `schema`; without tools in the
    request there is no score.
    """
    return rule(tool_call_format, required=required)


def tool_votes(*, vote: str = "both", exclude: Sequence[str] = ()) -> Scorer:
    """The share of voters that make the same tool calls, in [0, 1]; the highest is the majority's (`argmax`).

    `vote` says what is the same: "name" (the same tools), "arguments" (the same tools with the same arguments), or
    "both" (first the tools are elected by their names, then among those the arguments; the value is in the order in
    which the two decide, and the parts are both shares). Arguments named in `exclude` (an id, a time, free text) are
    not compared. Calls made at once have no order. Who calls nothing votes for that; who was cut off, or made a call
    that cannot be read, does not vote and has no score. Raises UsageError.
    """
    if vote not in VOTES:
        raise UsageError(f"vote is {vote!r}; it must be one of {', '.join(VOTES)}")
    if isinstance(exclude, str) or not all(isinstance(name, str) for name in exclude):
        raise UsageError(f"exclude is {exclude!r}; it must be a list of names of arguments")
    left_out = frozenset(exclude)

    def scored(pool: Pool) -> list[Score]:
        read = [_read(candidate, left_out) for candidate in pool.candidates]
        ballots = [each if c.complete else None for each, c in zip(read, pool.candidates, strict=True)]
        names = Counter(ballot[0] for ballot in ballots if ballot)
        calls = Counter(ballot for ballot in ballots if ballot)
        return [
            _score(ballot, candidate, names, calls, vote)
            for ballot, candidate in zip(ballots, pool.candidates, strict=True)
        ]

    return listwise(scored, name="tool_calls")


def _score(
    ballot: tuple[_Ballot, _Ballot] | None,
    candidate: Candidate,
    names: Counter[_Ballot],
    calls: Counter[tuple[_Ballot, _Ballot]],
    vote: str,
) -> Score:
    if ballot is None:
        return Score.missing("a call that cannot be read" if candidate.complete else "cut off")
    voters = names.total()
    same_tools, same_calls = names[ballot[0]], calls[ballot]
    shares = {
        "name": same_tools / voters,
        "arguments": same_calls / voters,
        # Names first: no number of equal arguments makes up for one vote.
        "both": (same_tools * voters + same_calls) / (voters * (voters + 1)),
    }
    count = same_tools if vote == "name" else same_calls
    what = ", ".join(ballot[0]) or "no call"
    parts = {name: shares[name] for name in ("name", "arguments")}
    return Score(value=shares[vote], reason=f"{count} of {voters} votes for {what:.80}", parts=parts)


def _read(candidate: Candidate, exclude: frozenset[str]) -> tuple[_Ballot, _Ballot] | None:
    """The names of a candidate's calls, and the calls, each sorted; None where one cannot be read."""
    calls = list[tuple[str, str]]()
    for name, arguments in calls_of(candidate):
        given = _arguments(arguments)
        if not isinstance(name, str) or given is None:
            return None
        kept = {key: value for key, value in given.items() if key not in exclude}
        calls.append((name, json.dumps(_plain(kept), sort_keys=True, ensure_ascii=True)))
    calls.sort()
    return tuple(name for name, _ in calls), tuple(f"{name} {arguments}" for name, arguments in calls)


def _arguments(arguments: object) -> Mapping[str, Any] | None:
    """The arguments of a call, which OpenAI's form has as JSON text; None for what is no object."""
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except (ValueError, RecursionError):
            return None
    return arguments if isinstance(arguments, Mapping) else None


def _plain(value: Any) -> Any:
    """A JSON value in which equal numbers are written alike: 1.0 is 1."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
