"""What the comparison stands on, made once and kept in a folder: models, prompts, and the reference's scored samples.

language/model        the reference (`hf:`)
reward                the reward model (`rm:`), by bon.train_rm on the reference's weights
evaluator.json        the judge that no policy is trained by
train.jsonl ...       prompts; train.pools.jsonl are the reference's samples, by `bon sample`
facts.json            what each of them is worth on sentences that it has not met
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from vbon_evaluator import Evaluator, train_evaluator
from vbon_language import token_counts, train_language
from vbon_text import Part, Sentence, data_folder, parts_of, prefixes, sentences

import bon
from bon.api.rewards import Rewards
from bon.api.training import PairOptions
from bon.stats import auc, spearman
from bon.store.prompts import read_prompts, write_prompts
from bon.train.preferences import Pair, Preferences
from bon.train.recipe import Recipe
from bon.train.starting import Setup
from bon.types import Candidate, Prompt

__all__ = ["MAX_TOKENS", "OPENINGS", "Folder", "Size", "make"]

MAX_TOKENS = 16
"""Of an answer."""
OPENINGS = {
    "adversarial": "a dull, lifeless mess that is",
    "neutral": "the film is",
    "positive": "a wonderful, moving film that is",
}
"""Prompts that are looked at one by one: what the reference goes on with is mostly bad, mixed or mostly good."""
REWARD = Recipe(epochs=7, lr=1.5e-3, batch=32, warmup=0.1, weight_decay=1.0)
SURE = 0.75
"""How sure a pair is. With certain pairs the reward model was overconfident, and lower in loss the less it had learned.

Both were chosen among a few by the accuracy on the reward's own pairs held out.
"""
CUTS = (None, 14, 18, 12)
"""The words that a pair's sentences are cut to: an answer ends in the middle of a sentence more often than not."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large the parts are."""

    language: int
    """Sentences that the language model reads, at the most."""
    epochs: int
    """How often it reads each."""
    pairs: int
    """Of sentences, for the reward model, at the most."""
    train: int
    """Prompts to train on."""
    test: int
    """Prompts to measure on, in the domain and out of it each."""
    samples: int
    """Of the reference, for a training prompt: M."""


@dataclass(frozen=True, kw_only=True)
class Folder:
    """Where everything lies."""

    root: Path

    @property
    def reference(self) -> Path:
        return self.root / "language" / "model"

    @property
    def reward(self) -> str:
        """The spec of the reward model."""
        return f"rm:{self.root / 'reward'}?name=reward"

    @property
    def evaluator(self) -> Path:
        return self.root / "evaluator.json"

    @property
    def facts(self) -> dict[str, Any]:
        path = self.root / "facts.json"
        found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
        return found

    def note(self, name: str, value: Any) -> None:
        """Keep a fact."""
        text = json.dumps({**self.facts, name: value}, indent=1)
        (self.root / "facts.json").write_text(text, encoding="utf-8")

    def prompts(self, part: str) -> list[Prompt]:
        return list(read_prompts(self.root / f"{part}.jsonl"))

    @property
    def samples(self) -> Path:
        """The reference's scored samples of the training prompts."""
        return self.root / "train.pools.jsonl"


def make(folder: Folder, size: Size, say: Callable[[str], None]) -> None:
    """Make what is not there yet; what was begun is gone on with."""
    folder.root.mkdir(parents=True, exist_ok=True)
    known = folder.facts.setdefault("size", asdict(size))
    if known != asdict(size):
        sys.exit(f"{str(folder.root)!r} was begun with other sizes, {known}: name another folder")
    folder.note("size", asdict(size))
    parts = parts_of(sentences(data_folder()))
    steps: Mapping[str, Callable[[], Any]] = {
        "language": lambda: _language(folder, parts["language"][: size.language], size, say),
        "evaluator": lambda: _evaluator(folder, parts["evaluator"]),
        "reward": lambda: _reward(folder, parts["reward"][: 2 * size.pairs]),
        "prompts": lambda: _prompts(folder, parts, size),
        "worth": lambda: _worth(folder, [*parts["test"], *parts["out_of_domain"]]),
        "samples": lambda: _sample(folder, size.samples),
    }
    for name, step in steps.items():
        if name not in folder.facts.get("done", {}):
            say(name)
            begun = time.monotonic()
            found = step()
            if found is not None:
                folder.note(name, found)
            folder.note("done", {**folder.facts.get("done", {}), name: time.monotonic() - begun})


def _language(folder: Folder, read: Sequence[Sentence], size: Size, say: Callable[[str], None]) -> Mapping[str, float]:
    return train_language(
        [one.text for one in read],
        folder.root / "language",
        epochs=size.epochs,
        progress=lambda step: (
            say(f"language: step {step.step} of {step.steps}, {step.held_out}") if step.held_out else None
        ),
    )


def _evaluator(folder: Folder, learned: Sequence[Sentence]) -> None:
    rated = [(one.text, one.rating) for one in learned if one.rating is not None]
    train_evaluator([text for text, _ in rated], [rating for _, rating in rated]).save(folder.evaluator)


def _reward(folder: Folder, learned: Sequence[Sentence]) -> Mapping[str, Any]:
    """A reward model of pairs: a sentence of a good review before one of a bad one.

    Four of one and four of the other make sixteen pairs, each cut elsewhere, since the same pair again is soon known
    by heart; no sentence is in pairs with others than these, so that a share of them can be held out.
    """
    good, bad = ([one.text.split(" ") for one in learned if one.positive is kind] for kind in (True, False))
    size = len(CUTS)
    count = min(len(good), len(bad)) // size * size
    pairs = tuple(
        Pair(
            messages=({"role": "user", "content": ""},),
            chosen=" ".join(good[place][:words]),
            rejected=" ".join(bad[place - place % size + (place + turn) % size][:words]),
            target=SURE,
            group=f"four and four {place // size}",
        )
        for turn in range(size)
        for place in range(count)
        for words in [CUTS[(place + turn) % size]]
    )
    report = bon.train_rm(
        Preferences(pairs=pairs, apart="text", source="polarity of sentences of film reviews"),
        out=folder.root / "reward",
        setup=Setup(base=str(folder.reference), adapt="full", head="linear"),
        recipe=REWARD,
        options=PairOptions(held_out=0.1),
    )
    return {"pairs": report.train, "held_out": str(report.figures["accuracy"])}


def _prompts(folder: Folder, parts: Mapping[Part, Sequence[Sentence]], size: Size) -> None:
    """Beginnings of sentences that no model has learned from."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder.reference))
    counts: Mapping[Part, int] = {"train": size.train, "test": size.test, "out_of_domain": size.test}
    texts: dict[str, Sequence[str]] = {"openings": list(OPENINGS.values())}
    for part, count in counts.items():
        lengths = {one.text: token_counts(tokenizer, one.text) for one in parts[part]}
        texts[part] = prefixes(parts[part], lengths)[:count]
    train = set(texts["train"])
    texts["test"] = [text for text in texts["test"] if text not in train]
    request = {"return_token_ids": True}  # so that what is trained on is what was drawn
    for part, some in texts.items():
        write_prompts(
            folder.root / f"{part}.jsonl",
            [
                Prompt(id=f"{part}-{place}", messages=({"role": "user", "content": text},), request=request)
                for place, text in enumerate(some)
            ],
        )


def _sample(folder: Folder, count: int) -> None:
    """The reference's scored samples of the training prompts, as anybody would draw them: by `bon sample`."""
    command = [sys.executable, "-m", "bon", "sample", str(folder.root / "train.jsonl"), "-n", str(count)]
    command += ["-g", f"hf:{folder.reference}", "--temperature", "1", "--top-p", "1", "--max-tokens", str(MAX_TOKENS)]
    command += ["-s", folder.reward, "-o", str(folder.samples)]
    subprocess.run(command, check=True)


def _worth(folder: Folder, held: Sequence[Sentence]) -> Mapping[str, Any]:
    """How well both judges tell good from bad, and follow people's ratings, on sentences whose beginnings are asked."""
    told = Evaluator.load(folder.evaluator)
    empty = Prompt(id="worth", messages=({"role": "user", "content": ""},))
    answers = [Candidate(index=place, text=one.text) for place, one in enumerate(held)]
    with bon.scorer(folder.reward) as scorer:
        rewards = Rewards(scorer)([(empty, answers)])[0]
    good = np.array([one.positive for one in held])
    rated = np.array([one.rating is not None for one in held])
    ratings = np.array([one.rating or 0.0 for one in held])
    values = {"reward": np.array(rewards, dtype=np.float64), "evaluator": np.array([told(one.text) for one in held])}
    return {
        "sentences": len(held),
        **{
            name: {
                "accuracy": float(((found > np.median(found)) == good).mean()),
                "auc": auc(found, good.astype(np.float64)),
                "spearman": spearman(found[rated], ratings[rated]),
            }
            for name, found in values.items()
        },
        "agreement": spearman(values["reward"], values["evaluator"]),
    }
