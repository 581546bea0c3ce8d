"""Trains a reward model on preferences: splits, encodes, optimises, measures on held-out pairs, probes, saves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bon.errors import ScoreError, UsageError
from bon.models.reading import Row
from bon.score.reward.encoding import answered
from bon.train.card import card
from bon.train.finished import identity_of, known_report, leave, settings_of
from bon.train.loop import fit
from bon.train.losses import bradley_terry
from bon.train.metrics import figures_of, measured
from bon.train.parts import Parts, of_prompt, parted
from bon.train.place import Place, libraries
from bon.train.preferences import Pair, Preferences
from bon.train.probes import Probes, degenerate, probed, swollen
from bon.train.recipe import Done, Hook, Recipe, Task
from bon.train.report import Report
from bon.train.saving import TRAINING, manifest_of
from bon.train.splits import components, normalised
from bon.train.starting import Setup, Start, start
from bon.train.ways import Floats, Judged, Way, way_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RECIPE", "train_rm"]

RECIPE = Recipe(epochs=10, lr=1e-5, batch=16, tokens=16_384, patience=3)
"""How a reward model is trained where nothing else is said."""
_PROBED = 60
"""Held-out pairs whose prompts get answers that say nothing."""


def train_rm(
    data: Preferences,
    *,
    out: Path,
    setup: Setup | None = None,
    recipe: Recipe = RECIPE,
    centre: float = 0.0,
    held_out: float | Sequence[Pair] = 0.1,
    progress: Hook | None = None,
) -> Report:
    """Train a reward model by Bradley and Terry's loss; the folder `out` then loads as `rm:out`.

    `held_out`, what is measured on, is a share of the prompts, or pairs of their own: what shares a prompt with those
    is not trained on. Of the other prompts a tenth says when to stop. `centre` keeps rewards about 0 (0.01 is usual).
    The same call goes on where one was stopped, and ends the same; one that is done gives its report again.

    Raises UsageError for data that cannot be split, an `out` that holds something else, and settings that make no
    sense; ModelError where the base cannot be loaded or a loss is not finite; StoreError where the disk refuses.
    """
    libraries()
    setup = setup or Setup()
    if not 0 <= centre < 100:
        raise UsageError(f"centre is {centre!r}: give a small number from 0 (0.01)")
    keys = of_prompt if data.apart == "prompt" else _of_texts
    parts = parted(data.pairs, held_out, left_out=data.left_out, seed=recipe.seed, keys=keys)
    identity = identity_of(setup, parts, centre=centre)
    whole_identity = {**identity, "recipe": settings_of(recipe)}
    if (known := known_report(out, whole_identity, Report)) is not None:
        return known
    began = start(setup, kind="rm", outputs=1, precision=recipe.precision, seed=recipe.seed)
    work = _Work.of(began, parts, keys)
    way: Way[_Encoded] = way_of(
        began,
        setup,
        _judged(centre),
        recipe=recipe,
        folder=setup.features or out / TRAINING / "features",
        progress=progress,
        samples=(work.train, [*work.watched, *work.held]),
    )
    before = figures_of(*_rewards(way, work.held))
    done = _fitted(way, work, recipe, folder=out / TRAINING, identity=identity, device=setup.device, progress=progress)
    chosen, rejected = _rewards(way, work.held)
    report = Report(
        out=str(out),
        source=data.source,
        base=began.base,
        adapt=setup.adapt,
        train=len(work.train),
        watched=len(work.watched),
        held_out=len(work.held),
        left_out=work.left_out,
        figures=measured(chosen, rejected, groups=work.groups),
        before=before,
        probes=_probes(began, way, work, chosen, rejected),
        done=done,
    )
    if Place(setup.device).first:
        manifest = manifest_of(began, setup, kind="rm", loss="bradley-terry")
        text = card(report, manifest, whole_identity, licence=began.licence)
        leave(out, began, way, report, manifest=manifest, identity=whole_identity, card=text)
    return report


def _fitted(way: Way[_Encoded], work: _Work, recipe: Recipe, **settings: Any) -> Done:
    """Optimise the weights, and stop by the pairs that are watched; `settings` are the loop's."""
    task = Task(
        rows=work.train,
        objective=way.losses,
        length=way.length,
        held_out=lambda _: figures_of(*_rewards(way, work.watched)),
    )
    return fit(way.model, task, recipe, **settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Encoded:
    """A pair as token ids; the reward of an answer is read at its last token."""

    reads: tuple[Row, ...]
    """The chosen answer, and the rejected one."""
    margin: float
    target: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """The pairs of one training as token ids, by what they are for."""

    pairs: Sequence[Pair]
    """Held out, in the order of `held`."""
    train: Sequence[_Encoded]
    watched: Sequence[_Encoded]
    held: Sequence[_Encoded]
    left_out: Mapping[str, int]
    groups: Sequence[str]
    """What each held-out pair is of, its prompt as a rule: intervals resample these."""

    @classmethod
    def of(cls, began: Start, parts: Parts[Pair], keys: Callable[[Pair], Sequence[str]]) -> _Work:
        """Pairs as token ids; what cannot be read, or is too long, is counted and left out."""
        reasons = Counter(parts.left_out)
        train, watched, held = (_encoded(began, part, reasons) for part in (parts.train, parts.watched, parts.held))
        if not (train and watched and held):
            told = "; ".join(f"{count}: {why}" for why, count in reasons.items()) or "none was left out"
            raise UsageError(
                f"{len(train)} pairs to train on, {len(watched)} to stop by and {len(held)} to measure on are left "
                f"({told}): give more data, or a larger max_length (it is {began.limit})"
            )
        return cls(
            pairs=[pair for pair, _ in held],
            train=[row for _, row in train],
            watched=[row for _, row in watched],
            held=[row for _, row in held],
            left_out=dict(reasons),
            groups=components([keys(pair) for pair, _ in held]),
        )


def _of_texts(pair: Pair) -> list[str]:
    own = [f"group {pair.group}"] if pair.group else []
    return [*own, *(f"text {normalised(text)}" for text in (pair.chosen, pair.rejected))]


def _encoded(began: Start, pairs: Sequence[Pair], reasons: Counter[str]) -> list[tuple[Pair, _Encoded]]:
    found = []
    for pair in pairs:
        try:
            reads = tuple(_read(began, pair, text) for text in (pair.chosen, pair.rejected))
        except ScoreError as error:
            reasons[str(error)] += 1
            continue
        if not all(read.ids for read in reads):
            reasons["an answer has no tokens"] += 1
        elif began.limit is not None and max(len(read.ids) for read in reads) > began.limit:
            reasons[f"an answer with its prompt is longer than {began.limit} tokens"] += 1
        else:
            found.append((pair, _Encoded(reads=reads, margin=pair.margin, target=pair.target)))
    return found


def _read(began: Start, pair: Pair, text: str) -> Row:
    """An answer as `rm:` reads it."""
    ids = answered(began.backbone.tokenizer, pair.messages, text)
    return Row(ids=ids, at=(max(0, len(ids) - 1),))


def _judged(centre: float) -> Judged[_Encoded]:
    def judged(outputs: Tensor, rows: Sequence[_Encoded]) -> tuple[Tensor, Mapping[str, Tensor]]:
        import torch

        chosen, rejected = outputs[0::2, 0], outputs[1::2, 0]
        margin = torch.tensor([row.margin for row in rows], device=outputs.device)
        target = torch.tensor([row.target for row in rows], device=outputs.device)
        losses = bradley_terry(chosen, rejected, margin=margin, target=target, centre=centre)
        return losses, {"accuracy": (chosen > rejected).float(), "gap": chosen - rejected}

    return judged


def _rewards(way: Way[_Encoded], rows: Sequence[_Encoded]) -> tuple[Floats, Floats]:
    """Rewards of chosen and of rejected answers, each of shape `(rows,)`."""
    rewards = way.outputs([read for row in rows for read in row.reads])[:, 0]
    return rewards[0::2], rewards[1::2]


def _probes(began: Start, way: Way[_Encoded], work: _Work, chosen: Floats, rejected: Floats) -> Probes:
    few = work.pairs[:_PROBED]
    tried = [{**degenerate(pair), **swollen(pair)} for pair in few]
    reads = {
        (place, name): _read(began, few[place], text)
        for place, texts in enumerate(tried)
        for name, text in texts.items()
    }
    fit_in = {key: read for key, read in reads.items() if read.ids and len(read.ids) <= (began.limit or np.inf)}
    values = dict(zip(fit_in, way.outputs(list(fit_in.values()))[:, 0].tolist(), strict=True))
    others = [{name: values.get((place, name)) for name in texts} for place, texts in enumerate(tried)]
    return probed(work.pairs, chosen, rejected, others=others, groups=work.groups)
