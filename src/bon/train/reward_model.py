"""Trains a reward model on preferences: splits, encodes, optimises, measures on held-out pairs, probes, saves."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from bon.errors import ScoreError, UsageError
from bon.models.own import MANIFEST
from bon.models.stamp import stamp
from bon.score.reward.encoding import answered
from bon.store.jsonl import write_atomic
from bon.store.plain import canonical
from bon.train.card import card
from bon.train.loop import fit
from bon.train.metrics import figures_of, measured
from bon.train.place import Place, libraries
from bon.train.preferences import Pair, Preferences
from bon.train.probes import degenerate, probed, swollen
from bon.train.recipe import Done, Hook, Recipe, Task
from bon.train.report import Report
from bon.train.saving import TRAINING, manifest_of, save_folder
from bon.train.splits import prompt_key, split_rows
from bon.train.starting import Setup, Start, start
from bon.train.ways import Encoded, Floats, HeadAlone, Way, Whole

__all__ = ["RECIPE", "train_rm"]

RECIPE = Recipe(epochs=10, lr=1e-5, batch=16, tokens=16_384, patience=3)
"""How a reward model is trained where nothing else is said."""
_REPORT = "report.json"
_WATCHED = 0.1
"""Share of the prompts that are left to train on, by whose pairs it is stopped: what chooses weights does not measure
them."""
_PROBED = 100
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
    parts = _parted(data, held_out, recipe.seed)
    identity = _identity(setup, parts, centre)
    known = _known(out, {**identity, "recipe": _settings(recipe)})
    if known is not None:
        return known
    began = start(setup, kind="rm", outputs=1, precision=recipe.precision, seed=recipe.seed)
    work = _Work.of(began, setup, parts)
    way = _way(work, centre=centre, recipe=recipe, folder=out / TRAINING / "features", progress=progress)
    before = _figures(way, work.held)
    done = fit(
        way.model,
        Task(rows=work.train, objective=way.losses, length=way.length, held_out=lambda _: _figures(way, work.watched)),
        recipe,
        folder=out / TRAINING,
        identity=identity,
        device=setup.device,
        progress=progress,
    )
    report = replace(_report(out, work, way, done), source=data.source, before=before)
    if Place(setup.device).first:
        _save(out, work, way, report, {**identity, "recipe": _settings(recipe)})
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """Pairs by what they are for; no two parts share a prompt."""

    train: Sequence[Pair]
    watched: Sequence[Pair]
    held: Sequence[Pair]
    left_out: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """Everything of one training that does not change while it runs."""

    start: Start
    setup: Setup
    pairs: Sequence[Pair]
    """Held out, in the order of `held`."""
    train: Sequence[Encoded]
    watched: Sequence[Encoded]
    held: Sequence[Encoded]
    left_out: Mapping[str, int]

    @classmethod
    def of(cls, began: Start, setup: Setup, parts: _Parts) -> _Work:
        """Pairs as token ids; what cannot be read, or is too long, is counted and left out."""
        reasons = Counter(parts.left_out)
        train, watched, held = (_encoded(began, part, reasons) for part in (parts.train, parts.watched, parts.held))
        if not (train and watched and held):
            raise UsageError(
                f"{len(train)} pairs to train on, {len(watched)} to stop by and {len(held)} to measure on are left "
                f"({_told(reasons)}): give more data, or a larger max_length (it is {began.limit})"
            )
        return cls(
            start=began,
            setup=setup,
            pairs=[pair for pair, _ in held],
            train=[row for _, row in train],
            watched=[row for _, row in watched],
            held=[row for _, row in held],
            left_out=dict(reasons),
        )

    @property
    def groups(self) -> list[str]:
        return [prompt_key(pair.messages) for pair in self.pairs]


def _parted(data: Preferences, held_out: float | Sequence[Pair], seed: int) -> _Parts:
    """Pairs by what they are for. Pairs of hard negatives only train: they are no sample of anything."""
    left_out = dict(data.left_out)
    if isinstance(held_out, int | float):
        rest, held = split_rows(data.pairs, _keys, fraction=held_out, seed=seed)
    else:
        held = list(held_out)
        there = {key for pair in held for key in _keys(pair)}
        rest = [pair for pair in data.pairs if there.isdisjoint(_keys(pair))]
        if len(rest) < len(data.pairs):
            left_out["its prompt is held out"] = len(data.pairs) - len(rest)
    train, watched = split_rows(rest, _keys, fraction=_WATCHED, seed=seed)
    return _Parts(
        train=train,
        watched=[pair for pair in watched if not pair.hard],
        held=[pair for pair in held if not pair.hard],
        left_out=left_out,
    )


def _keys(pair: Pair) -> list[str]:
    return [f"prompt {prompt_key(pair.messages)}", *([f"group {pair.group}"] if pair.group else [])]


def _encoded(began: Start, pairs: Sequence[Pair], reasons: Counter[str]) -> list[tuple[Pair, Encoded]]:
    tokenizer, found = began.backbone.tokenizer, []
    for pair in pairs:
        try:
            chosen, rejected = (answered(tokenizer, pair.messages, text) for text in (pair.chosen, pair.rejected))
        except ScoreError as error:
            reasons[str(error)] += 1
            continue
        if began.limit is not None and max(len(chosen), len(rejected)) > began.limit:
            reasons[f"an answer with its prompt is longer than {began.limit} tokens"] += 1
        elif not chosen or not rejected:
            reasons["an answer has no tokens"] += 1
        else:
            encoded = Encoded(chosen=chosen, rejected=rejected, margin=pair.margin, target=pair.target)
            found.append((pair, encoded))
    return found


def _way(work: _Work, *, centre: float, recipe: Recipe, folder: Path, progress: Hook | None) -> Way:
    if work.setup.adapt != "head":
        return Whole(work.start, work.setup, centre=centre, seed=recipe.seed, tokens=recipe.tokens)
    alone = HeadAlone(work.start, centre=centre, fresh=work.setup.init is None, folder=folder, progress=progress)
    training = [ids for row in work.train for ids in (row.chosen, row.rejected)]
    others = [ids for row in (*work.watched, *work.held) for ids in (row.chosen, row.rejected)]
    alone.prepare([*training, *others], training)
    return alone


def _rewards(way: Way, rows: Sequence[Encoded]) -> tuple[Floats, Floats]:
    rewards = way.rewards([*(row.chosen for row in rows), *(row.rejected for row in rows)])
    return rewards[: len(rows)], rewards[len(rows) :]


def _figures(way: Way, rows: Sequence[Encoded]) -> Mapping[str, float]:
    return figures_of(*_rewards(way, rows))


def _report(out: Path, work: _Work, way: Way, done: Done) -> Report:
    """Measure what was trained, with the weights it ended with."""
    chosen, rejected = _rewards(way, work.held)
    few = work.pairs[:_PROBED]
    tried = [{**degenerate(pair), **swollen(pair)} for pair in few]
    tokenizer, limit = work.start.backbone.tokenizer, work.start.limit
    ids = [
        (place, name, answered(tokenizer, few[place].messages, text))
        for place, texts in enumerate(tried)
        for name, text in texts.items()
    ]
    ids = [one for one in ids if one[2] and (limit is None or len(one[2]) <= limit)]
    values = way.rewards([row for _, _, row in ids])
    others: list[dict[str, float | None]] = [dict.fromkeys(texts) for texts in tried]
    for (place, name, _), value in zip(ids, values, strict=True):
        others[place][name] = float(value)
    return Report(
        out=str(out),
        source="",
        base=work.start.base,
        adapt=work.setup.adapt,
        train=len(work.train),
        watched=len(work.watched),
        held_out=len(work.held),
        left_out=work.left_out,
        figures=measured(chosen, rejected, groups=work.groups),
        before={},
        probes=probed(work.pairs, chosen, rejected, others=others, groups=work.groups),
        done=done,
    )


def _save(out: Path, work: _Work, way: Way, report: Report, identity: Mapping[str, Any]) -> None:
    model, head = way.result()
    manifest = manifest_of(work.start, work.setup, kind="rm", loss="bradley-terry")
    lines = msgspec.json.format(canonical({"identity": identity, "report": asdict(report)}), indent=1).splitlines()
    write_atomic(out / TRAINING / _REPORT, lines)
    text = card(report, manifest, identity, licence=work.start.licence)
    save_folder(out, work.start, model=model, head=head, manifest=manifest, card=text)
    for place in (*(out / TRAINING).glob("step-*"), out / TRAINING / "features"):
        shutil.rmtree(place, ignore_errors=True)  # what a second run would have gone on from


def _known(out: Path, identity: Mapping[str, Any]) -> Report | None:
    """The report of a folder that is done, and was trained in this way; None where there is no result yet."""
    if not (out / MANIFEST).is_file():
        return None
    try:
        found = msgspec.json.decode((out / TRAINING / _REPORT).read_bytes())
        same = found["identity"] == msgspec.json.decode(canonical(identity))
        if same:
            return msgspec.convert(found["report"], Report)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"{str(out)!r} holds a model that is not this training's ({error}): name another out"
        ) from error
    differ = ", ".join(name for name in identity if found["identity"].get(name) != identity[name])
    raise UsageError(f"{str(out)!r} holds a model that was trained otherwise ({differ} differ): name another out")


def _identity(setup: Setup, parts: _Parts, centre: float) -> dict[str, Any]:
    """What makes two trainings the same, beside the recipe."""
    settings = {name: value for name, value in asdict(setup).items() if name not in ("device", "checkpointing", "init")}
    return {
        **settings,
        "init": stamp(setup.init) if setup.init else None,
        "centre": centre,
        **{name: _digest(part) for name, part in (("data", parts.train), ("held_out", [*parts.watched, *parts.held]))},
    }


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {name: value for name, value in asdict(recipe).items() if name != "save_seconds"}


def _digest(pairs: Sequence[Pair]) -> str:
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(canonical(asdict(replace(pair, group=""))))
    return digest.hexdigest()


def _told(reasons: Mapping[str, int]) -> str:
    return "; ".join(f"{count}: {why}" for why, count in reasons.items()) or "nothing was left out"
