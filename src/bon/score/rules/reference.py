"""Rules that hold an answer against the prompt's reference: the same, the same number, the same words."""

from __future__ import annotations

import math
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction

from bon import answers
from bon.errors import UsageError
from bon.score.rules.words import LONGEST, words
from bon.types import Candidate, Prompt, Score

__all__ = ["accuracy", "f1", "number_accuracy", "rouge"]

_ARTICLES = frozenset({"a", "an", "the"})
_PUNCTUATION = re.compile(f"[{re.escape(string.punctuation)}]")
_EDGES = " .,;:?'\"`*_’‘“”«»。、"
_WORDY = re.compile(r"[^\W\d_]{2}")
_NO_REFERENCE = Score.missing("no reference")


def accuracy(prompt: Prompt, candidate: Candidate, *, ignore_case: bool = True) -> Score:
    """Whether the answer equals the reference: 1 or 0.

    The answer is what the extractor read, else the whole text or what it announces ("The answer is ..."). Two answers
    are equal if they are after Unicode NFKC, without case (`ignore_case`), outer punctuation and repeated space, or if
    they are the same number, choice or formula (1,000 and 1000.0; "(B)" and B). Needs a reference.
    """
    if prompt.reference is None:
        return _NO_REFERENCE
    wanted = _forms(_announced(prompt.reference) or prompt.reference, ignore_case=ignore_case)
    if not wanted:
        return Score.missing("the reference is empty")
    said = _said(candidate.text, ignore_case=ignore_case) if candidate.answer is None else [candidate.answer]
    same = any(wanted & _forms(text, ignore_case=ignore_case) for text in said)
    return Score(value=float(same), reason="equal" if same else "not the reference")


def number_accuracy(prompt: Prompt, candidate: Candidate, *, tolerance: float = 0.0) -> Score:
    """Whether the final number of the answer is the reference's: 1 or 0; 0 too if there is none.

    Compared exactly, as rationals, or up to `tolerance` times the reference's magnitude. Needs a reference with a
    number.
    """
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise UsageError(f"tolerance is {tolerance!r}; it must be 0 or a positive number, such as 0.01 for one percent")
    if prompt.reference is None:
        return _NO_REFERENCE
    wanted = answers.number(prompt.reference)
    if wanted is None:
        return Score.missing("the reference has no number")
    found = answers.number(candidate.text if candidate.answer is None else candidate.answer)
    if found is None:
        return Score(value=0.0, reason="no number")
    off = abs(Fraction(found) - Fraction(wanted))
    same = off <= Fraction(tolerance) * abs(Fraction(wanted))
    return Score(value=float(same), reason=f"{found:.80} {'is' if same else 'is not'} {wanted:.80}")


def f1(prompt: Prompt, candidate: Candidate) -> Score:
    """The words shared with the reference, as SQuAD counts them: F1 in [0, 1], with `precision` and `recall`.

    Without case, English articles and ASCII punctuation, split at spaces (Rajpurkar et al. 2016); two empty texts are
    equal. The answer is what the extractor read, else the text. Needs a reference.
    """
    if prompt.reference is None:
        return _NO_REFERENCE
    said = _squad(candidate.text if candidate.answer is None else candidate.answer)
    wanted = _squad(prompt.reference)
    if not said or not wanted:
        return _overlap(float(said == wanted), 1, 1)
    return _overlap((Counter(said) & Counter(wanted)).total(), len(said), len(wanted))


def rouge(prompt: Prompt, candidate: Candidate, *, variant: str | int = "L") -> Score:
    """ROUGE against the reference: F1 in [0, 1], with `precision` and `recall`; `variant` is 1, 2 or L.

    ROUGE-1 and ROUGE-2 count shared words and pairs of words, ROUGE-L the longest common subsequence of the two texts
    (Lin 2004). Words are runs of letters and digits, without case and without stemming. Needs a reference; texts of
    more than 100,000 characters have no score.
    """
    if str(variant) not in ("1", "2", "L"):
        raise UsageError(f"variant is {variant!r}; ROUGE has 1, 2 and L here")
    if prompt.reference is None:
        return _NO_REFERENCE
    if max(len(candidate.text), len(prompt.reference)) > LONGEST:
        return Score.missing(f"longer than {LONGEST} characters")
    said, wanted = words(candidate.text), words(prompt.reference)
    if variant == "L":
        return _overlap(_common_subsequence(said, wanted), len(said), len(wanted))
    n = int(variant)
    said_grams, wanted_grams = _grams(said, n), _grams(wanted, n)
    return _overlap((said_grams & wanted_grams).total(), said_grams.total(), wanted_grams.total())


def _forms(text: str, *, ignore_case: bool) -> set[str]:
    """The strings by which a bare answer may be recognised."""
    body = " ".join(unicodedata.normalize("NFKC", text).split()).strip(_EDGES)
    form = answers.representative(text)
    if ignore_case:
        return {each.casefold() for each in (body, form) if each}
    return {each for each in (body, form) if each and (each is body or not _WORDY.search(each))}  # words lose theirs


def _said(text: str, *, ignore_case: bool) -> list[str]:
    """What a text may give as its answer: all of it, what it announces, and what is read off it."""
    found = answers.any(text)
    if found is None or (not ignore_case and _WORDY.search(found)):  # words that are read lose their case
        return [text, *answers.marked(text)]
    return [text, found]


def _announced(reference: str) -> str | None:
    """The answer that a worked solution announces."""
    return answers.any(reference) if answers.boxed(reference) or answers.marked(reference) else None


def _squad(text: str) -> list[str]:
    return [word for word in _PUNCTUATION.sub("", text.lower()).split() if word not in _ARTICLES]


def _grams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(tokens[start:] for start in range(n)), strict=False))


def _overlap(shared: float, said: int, wanted: int) -> Score:
    precision = shared / said if said else 0.0
    recall = shared / wanted if wanted else 0.0
    total = precision + recall
    parts: Mapping[str, float] = {"precision": precision, "recall": recall}
    return Score(value=2 * precision * recall / total if total else 0.0, parts=parts)


def _common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence, a machine word of the table at a time (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for place, word in enumerate(other):
        places[word] = places.get(word, 0) | 1 << place
    every = (1 << len(other)) - 1
    row = every
    for word in one:
        matches = row & places.get(word, 0)
        row = (row + matches | row - matches) & every
    return len(other) - row.bit_count()
