"""Sentences of film reviews, split once by sentence for everything that learns from them or is measured on them.

The two files of the data hold the same sentences: one their polarity, one the means of people's ratings. A sentence
is known by its letters and digits, and goes to one part only. The data have one domain; what is called out of domain
here are sentences whose first word opens no sentence of any other part.
"""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bon.train.splits import normalised

__all__ = ["PARTS", "Part", "Sentence", "data_folder", "key_of", "parts_of", "prefixes", "sentences"]

Part = Literal["language", "reward", "evaluator", "train", "test", "out_of_domain"]

PARTS: Mapping[Part, int | None] = {
    "out_of_domain": 128,
    "test": 192,
    "train": 480,
    "reward": 2200,
    "evaluator": 2200,
    "language": None,
}
"""How many sentences each part has, at the most; the language model reads the rest."""

_RARE = 3
"""Out of domain are openings of so few sentences at the most, so that they cost the other parts little."""


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """A sentence of a review."""

    text: str
    """In small letters, as it would be typed."""
    positive: bool
    """The polarity of the review that it is from."""
    rating: float | None
    """The mean of 15 or more people's ratings, -4 to 4; None where the ratings do not hold the sentence."""


def data_folder() -> Path:
    return Path(os.environ.get("BON_DATA") or Path(__file__).parents[1] / "../shared/data") / "sentiment"


def key_of(text: str) -> str:
    """What a sentence is known by, however it is spaced and punctuated."""
    return normalised(text).replace(" ", "")


def sentences(folder: Path) -> dict[str, Sentence]:
    """All sentences of both files that have a polarity, by their key."""
    ratings = {}
    for line in (folder / "movieReviewSnippets_GroundTruth.txt").read_text("utf-8", errors="replace").splitlines():
        _, rating, text = line.split("\t", 2)
        ratings[key_of(text)] = float(rating)
    found: dict[str, Sentence] = {}
    with zipfile.ZipFile(folder / "sentence_polarity.zip") as archive:
        for polarity in ("neg", "pos"):
            for line in archive.read(f"sentence_polarity/rt-polarity.{polarity}").decode("utf-8").splitlines():
                key = key_of(line)
                if key:
                    one = Sentence(text=_typed(line), positive=polarity == "pos", rating=ratings.get(key))
                    found.setdefault(key, one)
    return found


def _typed(line: str) -> str:
    """A line with its marks where a typist puts them: the file has spaces around all of them."""
    line = re.sub(r"\s+([,.;:!?)\]])", r"\1", line.strip())
    return re.sub(r"([(\[])\s+", r"\1", line)


def parts_of(known: Mapping[str, Sentence]) -> dict[Part, list[Sentence]]:
    """Every sentence in one part, by lot: its place follows from its key alone, whatever else the files hold."""
    openings = Counter(_opening(one) for one in known.values())
    drawn = sorted(known, key=_lot)
    rare = sorted((word for word, count in openings.items() if count <= _RARE), key=_lot)
    apart: set[str] = set()
    held = 0
    for word in rare:
        if held + openings[word] <= (PARTS["out_of_domain"] or 0):
            apart.add(word)
            held += openings[word]
    found: dict[Part, list[Sentence]] = {part: [] for part in PARTS}
    found["out_of_domain"] = [known[key] for key in drawn if _opening(known[key]) in apart]
    rest = [known[key] for key in drawn if _opening(known[key]) not in apart]
    for part, count in PARTS.items():
        if part != "out_of_domain":
            found[part], rest = rest[:count], [] if count is None else rest[count:]
    return found


def _opening(one: Sentence) -> str:
    """The first word, without its marks."""
    return normalised(one.text).split(" ")[0]


def _lot(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def prefixes(some: Iterable[Sentence], lengths: Mapping[str, Sequence[int]]) -> list[str]:
    """The beginning of each sentence: whole words of 2 to 8 tokens, how many by lot; no beginning comes twice.

    `lengths` say for each sentence how many tokens its first 1, 2, ... words take. A sentence whose beginnings are all
    too long, or that would be whole, gives none.
    """
    found: dict[str, None] = {}
    for one in some:
        words, taken = one.text.split(" "), lengths[one.text]
        fitting = [count for count, tokens in enumerate(taken, start=1) if 2 <= tokens <= 8 and count < len(words) - 1]
        if fitting:
            found[" ".join(words[: fitting[int(_lot(one.text), 16) % len(fitting)]])] = None
    return list(found)
