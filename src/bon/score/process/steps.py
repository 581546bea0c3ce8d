"""Cuts a solution into its steps: pure, linear in the text, and never losing a character, for joining gives it back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import TypeAlias

from bon.errors import ScoreError, UsageError
from bon.types import Candidate, Prompt

__all__ = ["SPLITTERS", "Splitter", "aligned", "split", "splitter", "steps_of"]

Splitter: TypeAlias = Callable[[str], Sequence[str]]
"""Yours: a text to its steps, in order. White space around them may be left out; nothing else may."""

_NEWLINE = re.compile(r"\n(?:[^\S\n]*\n)*+")
_BLANK = re.compile(r"\n(?:[^\S\n]*\n)++")
_DRESS = r"[^\S\n]{0,8}(?:[#>*_-]{1,6}[^\S\n]{0,4})?(?:\*\*|__)?"
"""What may stand on a line before the mark of a step: indentation, a heading, a quotation, a bullet, bold."""
_NUMBER = re.compile(rf"^{_DRESS}\(?([0-9]{{1,3}})[.):](?=[\s*])", re.MULTILINE)
_STEP = re.compile(rf"^{_DRESS}[Ss](?:tep|TEP)[^\S\n]{{1,4}}\#?([0-9]{{1,3}})\b", re.MULTILINE)


def split(text: str, how: str | Splitter = "auto") -> tuple[str, ...]:
    """The steps of a text: a name of `SPLITTERS`, or a function of yours.

    A step keeps the white space that follows it, the first one that before it too: `"".join(steps) == text`. A text
    of white space alone has no steps. Raises `UsageError` for a name that is none, `ScoreError` where a function of
    yours loses part of the text.
    """
    if not text.strip():
        return ()
    found = splitter(how)(text)
    return aligned(text, found, by=_name(how)) if callable(how) else tuple(found)


def steps_of(prompt: Prompt, candidate: Candidate, how: str | Splitter = "auto") -> tuple[str, ...]:
    """The steps of a candidate: those that the prompt's metadata names, where the text is made of them; else `split`.

    Data sets of labelled steps (ProcessBench, PRMBench) name them, since a step may hold blank lines.
    """
    named = prompt.metadata.get("steps")
    if isinstance(named, list | tuple) and named and all(isinstance(step, str) for step in named):
        try:
            return aligned(candidate.text, named)
        except ScoreError:
            pass  # of another solution
    return split(candidate.text, how)


def splitter(how: str | Splitter) -> Splitter:
    """The function that a name means. Raises `UsageError` for a name that is none."""
    if callable(how):
        return how
    if how not in SPLITTERS:
        raise UsageError(f"steps is {how!r}; it must be {', '.join(SPLITTERS)}, or a function of yours")
    return SPLITTERS[how]


def aligned(text: str, steps: Iterable[str], *, by: str = "the splitter") -> tuple[str, ...]:
    """Steps that somebody else has cut, as parts of the text that joining gives back.

    Raises `ScoreError`, which says where, if between them there is anything but white space, or a step is not there.
    """
    starts, end = list[int](), 0
    for place, step in enumerate(steps):
        bare = step.strip()
        if not bare:
            raise ScoreError(f"{by}: step {place} is empty")
        start = text.find(bare, end)
        if start < 0 or text[end:start].strip():
            raise ScoreError(f"{by}: the text goes on with {text[end : end + 40]!r}, and step {place} is {bare[:40]!r}")
        starts.append(start)
        end = start + len(bare)
    if text[end:].strip():
        raise ScoreError(f"{by}: no step holds {text[end : end + 40]!r}")
    return _cut(text, starts[1:]) if starts else ()


def _auto(text: str) -> tuple[str, ...]:
    """By the first that finds two steps or more: step marks, numbers, blank lines; else lines."""
    for name in ("step", "numbered", "blank"):
        found = tuple(SPLITTERS[name](text))
        if len(found) > 1:
            return found
    return _after(_NEWLINE, text)


def _after(mark: re.Pattern[str], text: str) -> tuple[str, ...]:
    """Cut after each mark, none of which may begin or end the text: those belong to the steps that are there."""
    first, last = len(text) - len(text.lstrip()), len(text.rstrip())
    return _cut(text, [found.end() for found in mark.finditer(text, first, last)])


def _marked(mark: re.Pattern[str], text: str) -> tuple[str, ...]:
    """Cut before each mark whose number is the next one, from 0 or 1 on, and that is not set further in than the first.

    Others are of a list inside a step. What stands before the first mark is a step of its own.
    """
    first = len(text) - len(text.lstrip())
    starts, wanted, most = list[int](), {0, 1}, len(text)
    for found in mark.finditer(text):
        number, indent = int(found[1]), len(found[0]) - len(found[0].lstrip())
        if number in wanted and indent <= most:
            wanted, most = {number + 1}, indent if len(wanted) > 1 else most
            if found.start() > first:  # else it is where the first step begins anyway
                starts.append(found.start())
    return _cut(text, starts)


def _cut(text: str, starts: Sequence[int]) -> tuple[str, ...]:
    """A text cut where steps after the first one start."""
    edges = [0, *starts, len(text)]
    return tuple(text[start:end] for start, end in pairwise(edges))


def _name(how: object) -> str:
    return f"the splitter {getattr(how, '__name__', type(how).__name__)!r}"


SPLITTERS = MappingProxyType[str, Splitter](
    {
        "auto": _auto,
        "step": lambda text: _marked(_STEP, text),
        "numbered": lambda text: _marked(_NUMBER, text),
        "blank": lambda text: _after(_BLANK, text),
        "newline": lambda text: _after(_NEWLINE, text),
        "whole": lambda text: (text,),
    }
)
"""By name: step marks ("Step 2:"), numbers that count up ("2."), blank lines, lines, or the text as one step; `auto`
takes the first of these that finds more than one step."""
