"""Game of 24: GPT-4's labelled samples of Yao et al. 2023, "Tree of Thoughts", as pools; the puzzles are recovered."""

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from operator import itemgetter
from pathlib import Path

import msgspec

from bon.errors import UsageError
from bon.store.convert.labels import labelled
from bon.store.convert.template import filled
from bon.store.lines import Line, PathLike, bad_line, decode_line, reading
from bon.types import Candidate, Pool, Prompt, as_messages

__all__ = ["game24"]

GAME24_TEMPLATE = (
    "Make 24 out of the numbers {prompt}: use each of them exactly once, with +, -, *, / and brackets. "
    "End with one line: Answer: <expression> = 24"
)

_FIRST_STEP = re.compile(r"Steps:\s*(\d+) ([-+*/]) (\d+) = (\d+) \(left: (\d+) (\d+) (\d+)\)")
_APPLY = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
_EXPRESSION = re.compile(r"[-+*/().]*\d[-+*/().\d]*")


class _Mark(msgspec.Struct):
    r: int


class _Puzzle(msgspec.Struct):
    """One element of the list that a file holds; cot.json marks its samples with `infos`, io.json with `accs`."""

    idx: int
    ys: list[str]
    infos: list[_Mark] | None = None
    accs: list[bool] | None = None

    @property
    def prompting(self) -> str:
        return "io" if self.infos is None else "cot"

    @property
    def marks(self) -> list[bool]:
        return self.accs or [] if self.infos is None else [mark.r == 1 for mark in self.infos]


def game24(path: PathLike, *, template: str = GAME24_TEMPLATE, cot: PathLike | None = None) -> Iterator[Pool]:
    """Pools `game24/<idx>` from `cot.json` or `io.json`: a candidate a sample, scorer `correct` its recorded mark.

    The files do not hold the puzzles, so they are recovered from the first steps of the chain-of-thought samples: of
    `cot`, by default the file itself or the `cot.json` beside it. The numbers are in the metadata; the recorded
    prompting ("cot" or "io") is each candidate's variation. Candidates answer with their expression.
    """
    puzzles = _read(path)
    by_thought = any(puzzle.prompting == "cot" for puzzle in puzzles)
    numbers = {one.idx: one.ys for one in (puzzles if by_thought and cot is None else _read(_thoughts(path, cot)))}
    for place, puzzle in enumerate(puzzles, 1):
        if len(puzzle.marks) != len(puzzle.ys):
            raise bad_line(path, 1, f"element {place} has {len(puzzle.ys)} samples and {len(puzzle.marks)} marks")
        if puzzle.idx not in numbers:
            raise bad_line(
                path, 1, f"element {place}: no chain-of-thought samples of puzzle {puzzle.idx}: give cot=FILE"
            )
        recovered = _recovered(numbers[puzzle.idx])
        if recovered is None:
            what = f"the numbers of puzzle {puzzle.idx} do not follow from its samples: are they chains of thought?"
            raise bad_line(path, 1, what)
        yield _pool(puzzle, recovered, template)


def _pool(puzzle: _Puzzle, numbers: Sequence[int], template: str) -> Pool:
    prompt = Prompt(
        id=f"game24/{puzzle.idx}",
        messages=as_messages(filled(template, " ".join(map(str, numbers)))),
        metadata={"numbers": list(numbers), "target": 24},
    )
    drawn = [
        Candidate(index=index, text=text, answer=_expression(text), generator="gpt-4", variation=puzzle.prompting)
        for index, text in enumerate(puzzle.ys)
    ]
    return labelled(prompt, list(zip(drawn, puzzle.marks, strict=True)))


def _read(path: PathLike) -> list[_Puzzle]:
    with reading(path) as file:
        whole = Line(number=1, offset=0, data=file.read(), ended=True)
    return decode_line(path, whole, msgspec.json.Decoder(list[_Puzzle]).decode)


def _thoughts(path: PathLike, cot: PathLike | None) -> PathLike:
    """The file with the chain-of-thought samples."""
    if cot is not None:
        return cot
    beside = Path(path).with_name("cot.json")
    if not beside.is_file():
        raise UsageError(
            f"the puzzles of {str(path)!r} follow from cot.json, which is not beside it: put it there, or give cot=FILE"
        )
    return beside


def _recovered(samples: Iterable[str]) -> tuple[int, ...] | None:
    """The four numbers of a puzzle, ascending: what most sound first steps began with; None without a majority."""
    votes = Counter(filter(None, map(_began_with, samples)))
    numbers, count = max(votes.items(), key=itemgetter(1), default=(None, 0))
    return numbers if 2 * count > votes.total() else None


def _began_with(sample: str) -> tuple[int, ...] | None:
    """The numbers before a first step such as "10 - 4 = 6 (left: 5 6 6)"; None for a step that is wrong."""
    step = _FIRST_STEP.match(sample)
    if step is None:
        return None
    left, sign, right, result = int(step[1]), step[2], int(step[3]), int(step[4])
    remaining = [int(step[5]), int(step[6]), int(step[7])]
    if result not in remaining or (sign == "/" and right == 0):
        return None
    if _APPLY[sign](Fraction(left), Fraction(right)) != result:
        return None
    remaining.remove(result)
    return tuple(sorted([left, right, *remaining]))


def _expression(text: str) -> str | None:
    """The expression that the last line of a sample answers with, without spaces; None where it has none."""
    last = text.strip().rpartition("\n")[2].lower().removeprefix("answer:")
    expression = "".join(last.partition("=")[0].split())
    return expression if _EXPRESSION.fullmatch(expression) else None
