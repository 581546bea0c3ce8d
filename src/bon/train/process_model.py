"""Trains a process reward model on solutions with labelled steps: encodes, optimises, measures, probes, saves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bon.errors import ScoreError, UsageError
from bon.models.reading import Row
from bon.score.process.formats.own import SEPARATOR, encode_own, likelihoods
from bon.train.finished import identity_of, known_report, leave, settings_of
from bon.train.loop import fit
from bon.train.losses import STEP_OUTPUTS, StepLoss, step_loss
from bon.train.parts import Parts, of_prompt, parted
from bon.train.place import Place, libraries
from bon.train.recipe import Done, Hook, Recipe, Task
from bon.train.saving import TRAINING, manifest_of
from bon.train.splits import prompt_key
from bon.train.starting import Setup, Start, start
from bon.train.step_card import step_card
from bon.train.step_metrics import Marked, figures_of_steps, measured_steps
from bon.train.step_probes import StepProbes, degenerate_steps, probed_steps
from bon.train.step_report import StepReport
from bon.train.stepwise import Solution, Stepwise
from bon.train.ways import Judged, Way, way_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RECIPE", "Marks", "train_prm"]

RECIPE = Recipe(epochs=10, lr=1e-5, batch=16, tokens=16_384, patience=3)
"""How a process reward model is trained where nothing else is said."""
_PROBED = 100
"""Right held-out solutions that are held against solutions that solve nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What is said of a step, and where."""

    loss: StepLoss = "ce"
    """"ce": cross-entropy of two outputs; "bce": of one; "mse": squares, for soft labels."""
    separator: str = SEPARATOR
    """What follows each step: its last token is where the label sits, and where it is read."""
    steps: str | None = None
    """How texts were cut into steps, which the model then does too; None: as is seen from the text."""

    def __post_init__(self) -> None:
        if self.loss not in STEP_OUTPUTS:
            raise UsageError(f"loss is {self.loss!r}; it must be one of {', '.join(STEP_OUTPUTS)}")
        if not self.separator:
            raise UsageError("the separator is empty: a step's end could not be seen")


def train_prm(
    data: Stepwise,
    *,
    out: Path,
    setup: Setup | None = None,
    recipe: Recipe = RECIPE,
    marks: Marks | None = None,
    held_out: float | Sequence[Solution] = 0.1,
    progress: Hook | None = None,
) -> StepReport:
    """Train a process reward model; the folder `out` then loads as `prm:out`.

    Each labelled step weighs the same, as in TRL's PRMTrainer. `held_out`, what is measured on, is a share of the
    prompts, or solutions of their own: what shares a prompt with those is not trained on. Of the other prompts a tenth
    says when to stop, by the cross-entropy of their steps. The same call goes on where one was stopped, and ends the
    same; one that is done gives its report again.

    Raises UsageError for data that cannot be split, an `out` that holds something else, and settings that make no
    sense; ModelError where the base cannot be loaded or a loss is not finite; StoreError where the disk refuses.
    """
    libraries()
    setup, marks = setup or Setup(), marks or Marks()
    parts = parted(data.solutions, held_out, left_out=data.left_out, seed=recipe.seed)
    identity = identity_of(setup, parts, loss=marks.loss, separator=marks.separator, steps=marks.steps)
    whole_identity = {**identity, "recipe": settings_of(recipe)}
    if (known := known_report(out, whole_identity, StepReport)) is not None:
        return known
    outputs = STEP_OUTPUTS[marks.loss]
    began = start(setup, kind="prm", outputs=outputs, precision=recipe.precision, seed=recipe.seed)
    work = _Work.of(began, parts, marks)
    way: Way[_Encoded] = way_of(
        began,
        setup,
        _judged(marks.loss),
        recipe=recipe,
        folder=setup.features or out / TRAINING / "features",
        progress=progress,
        samples=(work.train, [*work.watched, *work.held]),
    )
    before = figures_of_steps(_marked(way, work.held, marks))
    done = _fitted(
        way, work, marks, recipe, folder=out / TRAINING, identity=identity, device=setup.device, progress=progress
    )
    measured = _marked(way, work.held, marks)
    report = StepReport(
        out=str(out),
        source=data.source,
        base=began.base,
        adapt=setup.adapt,
        loss=marks.loss,
        train=len(work.train),
        steps=sum(len(row.labels) for row in work.train),
        watched=len(work.watched),
        held_out=len(work.held),
        left_out=work.left_out,
        figures=measured_steps(measured, groups=work.groups),
        before=before,
        probes=_probes(began, way, work, measured, marks),
        done=done,
    )
    if Place(setup.device).first:
        manifest = manifest_of(began, setup, kind="prm", outputs=outputs, **asdict(marks))
        text = step_card(report, manifest, whole_identity, licence=began.licence)
        leave(out, began, way, report, manifest=manifest, identity=whole_identity, card=text)
    return report


def _fitted(way: Way[_Encoded], work: _Work, marks: Marks, recipe: Recipe, **settings: Any) -> Done:
    """Optimise the weights, and stop by the solutions that are watched; `settings` are the loop's."""
    task = Task(
        rows=work.train,
        objective=way.losses,
        length=way.length,
        weight=lambda row: float(len(row.labels)),
        held_out=lambda _: figures_of_steps(_marked(way, work.watched, marks)),
    )
    return fit(way.model, task, recipe, **settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Encoded:
    """A solution as token ids, read where its steps have labels."""

    reads: tuple[Row]
    labels: tuple[float, ...]
    """One a position that is read."""
    solution: Solution
    whole: Row
    """The same ids, read at every step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """Everything of one training that does not change while it runs."""

    train: Sequence[_Encoded]
    watched: Sequence[_Encoded]
    held: Sequence[_Encoded]
    groups: Sequence[str]
    """Of `held`."""
    left_out: Mapping[str, int]

    @classmethod
    def of(cls, began: Start, parts: Parts[Solution], marks: Marks) -> _Work:
        """Solutions as token ids; what cannot be read, or is too long, is counted and left out."""
        reasons = Counter(parts.left_out)
        train, watched, held = (
            _encoded(began, part, marks, reasons) for part in (parts.train, parts.watched, parts.held)
        )
        if not (train and watched and held):
            told = "; ".join(f"{count}: {why}" for why, count in reasons.items()) or "nothing was left out"
            raise UsageError(
                f"{len(train)} solutions to train on, {len(watched)} to stop by and {len(held)} to measure on are left "
                f"({told}): give more data, or a larger max_length (it is {began.limit})"
            )
        return cls(
            train=train,
            watched=watched,
            held=held,
            groups=[of_prompt(row.solution)[-1] for row in held],
            left_out=dict(reasons),
        )


def _encoded(began: Start, rows: Sequence[Solution], marks: Marks, reasons: Counter[str]) -> list[_Encoded]:
    found: list[_Encoded] = []
    for one in rows:
        row = _row(began, one, one.steps, marks)
        labelled = [place for place, label in enumerate(one.labels) if label is not None]
        if isinstance(row, str):
            reasons[row] += 1
        elif not labelled:
            reasons["no step has a label"] += 1
        else:
            found.append(
                _Encoded(
                    reads=(Row(ids=row.ids, at=tuple(row.at[place] for place in labelled)),),
                    labels=tuple(label for label in one.labels if label is not None),
                    solution=one,
                    whole=row,
                )
            )
    return found


def _row(began: Start, one: Solution, steps: Sequence[str], marks: Marks) -> Row | str:
    """Steps as the model reads them, none of which may be lost; or why it cannot."""
    try:
        row = encode_own(began.backbone.tokenizer, one.messages, steps, separator=marks.separator)
    except ScoreError as error:
        return str(error)
    if began.limit is not None and len(row.ids) > began.limit:
        return f"a solution with its prompt is longer than {began.limit} tokens"
    return row


def _judged(loss: StepLoss) -> Judged[_Encoded]:
    """The objective on solutions: each has an output a labelled step, and the loss of one is their sum."""

    def judge(outputs: Tensor, rows: Sequence[_Encoded]) -> tuple[Tensor, Mapping[str, Tensor]]:
        import torch

        labels = torch.tensor([label for row in rows for label in row.labels], device=outputs.device)
        sizes = [len(row.labels) for row in rows]
        losses = step_loss(outputs, labels, loss)
        hits = ((likelihoods(outputs, loss) >= 0.5) == (labels >= 0.5)).float()
        return (
            torch.stack([part.sum() for part in torch.split(losses, sizes)]),
            {"accuracy": torch.stack([part.mean() for part in torch.split(hits, sizes)])},
        )

    return judge


def _said(way: Way[_Encoded], rows: Sequence[Row], loss: StepLoss) -> list[tuple[float, ...]]:
    """How likely each step of each row is right."""
    import torch

    if not rows:
        return []
    chances = likelihoods(torch.from_numpy(way.outputs(rows)), loss)
    return [tuple(part.tolist()) for part in torch.split(chances, [len(row.at) for row in rows])]


def _marked(way: Way[_Encoded], rows: Sequence[_Encoded], marks: Marks) -> list[Marked]:
    said = _said(way, [row.whole for row in rows], marks.loss)
    return [Marked(said=one, labels=row.solution.labels) for one, row in zip(said, rows, strict=True)]


def _probes(began: Start, way: Way[_Encoded], work: _Work, measured: Sequence[Marked], marks: Marks) -> StepProbes:
    """Hold solutions that solve nothing against right ones that are held out."""
    right = [place for place, one in enumerate(measured) if one.first == -1][:_PROBED]
    prompts = [prompt_key(work.held[place].solution.messages) for place in right]
    asked: list[tuple[int, str, Row]] = []
    for place, prompt in zip(right, prompts, strict=True):
        one = work.held[place].solution
        other = next((work.held[p].solution for p, key in zip(right, prompts, strict=True) if key != prompt), None)
        for name, steps in degenerate_steps(one, other).items():
            row = _row(began, one, steps, marks)
            if not isinstance(row, str):
                asked.append((place, name, row))
    values = [min(said) for said in _said(way, [row for *_, row in asked], marks.loss)]
    tried: dict[int, dict[str, float]] = {place: {} for place in right}
    for (place, name, _), value in zip(asked, values, strict=True):
        tried[place][name] = value
    return probed_steps(
        [row.solution for row in work.held],
        [min(one.said) for one in measured],
        [None if one.first is None else one.first == -1 for one in measured],
        tried=list(tried.items()),
        groups=work.groups,
    )
