"""Solutions to learn from, a label a step, made of labelled or scored pools; it trains nothing.

Any data set that becomes pools with marks a step gives some (TRL's stepwise rows, PRM800K, Math-Shepherd, PRMBench),
and so do those that name the first wrong step (ProcessBench), and pools that a process reward model has scored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from bon.errors import ScoreError, UsageError
from bon.score.process.steps import SPLITTERS, Splitter, split, steps_of
from bon.select import GOLD, scorer_of
from bon.store.convert.labels import CORRECT
from bon.types import Candidate, Message, Pool, Prompt, Score

__all__ = [
    "Labels",
    "Solution",
    "Stepwise",
    "hard_solutions",
    "shown",
    "solutions",
    "steps_scored",
    "taught",
    "unlabelled",
]

Labels: TypeAlias = Literal["steps", "outcome"]
"""What is learned of a solution: whether each step is right, or, at its last step, whether it ends right."""

_UNEVEN = "there are not as many steps as scores of steps"
_RIGHT = 0.5
"""What is right has a value above it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """One solution of a problem, in steps."""

    messages: tuple[Message, ...]
    steps: tuple[str, ...]
    labels: tuple[float | None, ...]
    """How likely each step is right, in [0, 1]; None: nobody says, and nothing is learned there."""
    group: str = ""
    """Solutions of one group are never parted by a split; their prompt, where nothing else is said."""
    hard: bool = False
    """Whether it is wrong and scored high: such a solution trains, and measures nothing."""

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.steps):
            raise UsageError(
                f"{len(self.labels)} labels for {len(self.steps)} steps: give one each, None where unknown"
            )
        for label in self.labels:
            if label is not None and not 0 <= label <= 1:
                raise UsageError(f"the label {label!r} of a step is no probability: give a number from 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepwise:
    """Solutions, and what of the data gave none."""

    solutions: tuple[Solution, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Why -> how many candidates."""
    source: str = ""
    """Where they came from, for people."""


def solutions(
    pools: Iterable[Pool], *, by: str | None = None, labels: Labels = "steps", cut: str | Splitter | None = None
) -> Stepwise:
    """The solutions of pools, labelled by the scorer `by`: by default what is known to be true, else the only one.

    With "steps" a candidate's labels are the scores of its steps; where the scorer has none, they follow from the
    `first_error` of the prompt's metadata: right before it, wrong there, unknown after it. With "outcome" the last step
    is labelled by the candidate's value, and no other. Texts are cut by `cut`; by default as the metadata names the
    steps, or in the first way that gives as many steps as there are scores.

    Raises UsageError for a scorer that a pool does not have, and where no candidate has a label.
    """
    if labels not in ("steps", "outcome"):
        raise UsageError(f"labels are {labels!r}; they are of steps or outcome")
    found: list[Solution] = []
    left_out: Counter[str] = Counter()
    for pool in pools:
        name = scorer_of(pool, by or next((gold for gold in GOLD if gold in pool.scores), None))
        for candidate, score in zip(pool.candidates, pool.scores[name], strict=True):
            made = _solution(pool, candidate, score, labels=labels, cut=cut)
            if isinstance(made, str):
                left_out[made] += 1
            else:
                found.append(made)
    if not found:
        told = "; ".join(f"{count} candidates: {why}" for why, count in left_out.items()) or "there are no candidates"
        raise UsageError(f"there is no step to learn from ({told}): give rows with completions and labels, or pools "
                         "that a scorer of steps has scored, and by=SCORER")  # fmt: skip
    return Stepwise(solutions=tuple(found), left_out=dict(left_out))


def unlabelled(pools: Iterable[Pool], *, cut: str | Splitter | None = None) -> Stepwise:
    """The solutions of pools without any label, for a teacher to give them some (`shown`, `taught`).

    Raises UsageError where there is none.
    """
    found: list[Solution] = []
    left_out: Counter[str] = Counter()
    for pool in pools:
        for candidate in pool.candidates:
            try:
                steps = steps_of(pool.prompt, candidate) if cut is None else split(candidate.text, cut)
            except ScoreError as error:
                left_out[str(error)] += 1
                continue
            if steps:
                found.append(_made(pool, steps, (None,) * len(steps)))
            else:
                left_out["there is no text"] += 1
    if not found:
        raise UsageError("there is no solution to learn from: give pools whose candidates have text")
    return Stepwise(solutions=tuple(found), left_out=dict(left_out))


def hard_solutions(
    pools: Iterable[Pool], *, by: str | None = None, gold: str = CORRECT, most: int = 4
) -> tuple[Solution, ...]:
    """Wrong candidates that scored no lower than a right one: the highest `most` a prompt, to be learned from.

    `by` is the scorer that was fooled, by default the only other one; `gold` says what is right (above 0.5). The labels
    are the step scores of `gold`, and where it has none, that the last step is wrong. Raises UsageError for a scorer
    that a pool does not have.
    """
    found: list[Solution] = []
    for pool in pools:
        others = [name for name in pool.scores if name != gold]
        fooled = by or (others[0] if len(others) == 1 else None)
        if fooled is None or gold not in pool.scores or fooled not in pool.scores:
            names = ", ".join(map(repr, pool.scores)) or "none"
            raise UsageError(
                f"{pool.prompt.id!r} has the scorers {names}: wanted are {gold!r}, and by which an answer scored high"
            )
        rows = [
            (candidate, truth, said.value)
            for candidate, truth, said in zip(pool.candidates, pool.scores[gold], pool.scores[fooled], strict=True)
            if truth.value is not None and said.value is not None
        ]
        right = [value for _, truth, value in rows if (truth.value or 0.0) > _RIGHT]
        wrong = [row for row in rows if (row[1].value or 0.0) <= _RIGHT and right and row[2] >= min(right)]
        for candidate, truth, _ in sorted(wrong, key=lambda row: -row[2])[:most]:
            for labels in ("steps", "outcome"):
                made = _solution(pool, candidate, truth, labels=labels, cut=None)
                if not isinstance(made, str):
                    found.append(replace(made, hard=True))
                    break
    return tuple(found)


def shown(data: Stepwise) -> Iterator[Pool]:
    """The solutions as pools of one candidate each, without a label, for a teacher to score: `taught` knows them."""
    for place, one in enumerate(data.solutions):
        prompt = Prompt(id=str(place), messages=one.messages, metadata={"steps": [*one.steps]})
        yield Pool(prompt=prompt, candidates=(Candidate(index=0, text="\n\n".join(one.steps)),))


def taught(data: Stepwise, pools: Iterable[Pool], *, by: str) -> Stepwise:
    """The same solutions with a teacher's scores as soft labels; `pools` are those of `shown`, scored by `by`.

    A teacher of steps labels every step. One that scores whole solutions labels the last: its value must be a
    probability, in [0, 1]. Solutions that it has not scored are left out and counted. Raises UsageError where none is
    left.
    """
    found: list[Solution] = []
    left_out = Counter(data.left_out)
    for pool in pools:
        one, score = data.solutions[int(pool.prompt.id)], pool.scores[by][0]
        count = len(one.steps)
        labels = _checked(score.steps, count) if score.steps else _outcome(score, count)
        if isinstance(labels, str):
            left_out[f"the teacher {by}: {labels}"] += 1
        else:
            found.append(replace(one, labels=labels))
    if not found:
        told = "; ".join(f"{count} solutions: {why}" for why, count in left_out.items())
        raise UsageError(f"the teacher {by!r} taught nothing ({told})")
    return replace(data, solutions=tuple(found), left_out=dict(left_out))


def steps_scored(prompt: Prompt, candidate: Candidate, count: int) -> tuple[str, ...] | None:
    """The steps of a candidate by the first way of cutting that gives `count` of them; None where none does."""
    ways = (steps_of(prompt, candidate, how) for how in SPLITTERS)
    return next((steps for steps in ways if len(steps) == count), None) if count else None


def _solution(
    pool: Pool, candidate: Candidate, score: Score, *, labels: Labels, cut: str | Splitter | None
) -> Solution | str:
    """A candidate as a solution, or why it is none."""
    if not candidate.text.strip():
        return "there is no text"
    marks = _marks(pool, score) if labels == "steps" else None
    if labels == "steps" and not marks:
        return "its steps have no scores"
    try:
        if cut is not None:
            steps: Sequence[str] | None = split(candidate.text, cut)
        elif marks:
            steps = steps_scored(pool.prompt, candidate, len(marks))
        else:
            steps = steps_of(pool.prompt, candidate)
    except ScoreError as error:
        return str(error)
    if steps is None:
        return _UNEVEN
    known = _outcome(score, len(steps)) if marks is None else _checked(marks, len(steps))
    if isinstance(known, str):
        return known
    return _made(pool, steps, known)


def _made(pool: Pool, steps: Sequence[str], labels: tuple[float | None, ...]) -> Solution:
    return Solution(
        messages=pool.prompt.messages,
        steps=tuple(step.strip() for step in steps),
        labels=labels,
        group=str(pool.prompt.metadata.get("group", "")),
    )


def _marks(pool: Pool, score: Score) -> tuple[float | None, ...]:
    """What is known of each step: by a score each, or by the first wrong step that a data set of solutions names."""
    metadata, named = pool.prompt.metadata, pool.prompt.metadata.get("steps")
    if score.steps or len(pool) != 1 or "first_error" not in metadata or not isinstance(named, list):
        return score.steps or ()
    first = metadata["first_error"]
    return (1.0,) * len(named) if first is None else (*[1.0] * first, 0.0, *[None] * (len(named) - first - 1))


def _checked(marks: tuple[float | None, ...], count: int) -> tuple[float | None, ...] | str:
    if len(marks) != count:
        return _UNEVEN
    if not all(mark is None or 0 <= mark <= 1 for mark in marks):
        return "the score of a step is not between 0 and 1, so it is no probability"
    return marks


def _outcome(score: Score, count: int) -> tuple[float | None, ...] | str:
    """What is known of a solution as a whole, as a label of its last step."""
    if score.value is None:
        return f"it has no value ({score.reason})"
    if not 0 <= score.value <= 1:
        return "its value is not between 0 and 1, so it is no probability"
    return (*[None] * (count - 1), score.value) if count else "it has no steps"
