"""Probes of reward models whose faults are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bon.train.preferences import Pair
from bon.train.probes import Probes, degenerate, probed, swollen

WORDS = ["one", "pair", "of", "answers", "is", "better", "and", "both", "are", "made", "of", "words", "no", "more"]


def pairs(count: int = 60, *, longer_chosen: float = 1.0) -> list[Pair]:
    rng = np.random.default_rng(0)
    found = []
    for number in range(count):
        long, short = (" ".join(rng.choice(WORDS, size)) for size in (int(rng.integers(10, 20)), 5))
        chosen, rejected = (long, short) if number < longer_chosen * count else (short, long)
        asked = ({"role": "user", "content": f"Question {number}?"},)
        found.append(Pair(messages=asked, chosen=chosen, rejected=rejected))
    return found


def probes_of(reward: Callable[[Pair, str], float], some: list[Pair]) -> Probes:
    texts = [{**degenerate(pair), **swollen(pair)} for pair in some]
    others = [{name: reward(pair, text) for name, text in own.items()} for pair, own in zip(some, texts, strict=True)]
    chosen = [reward(pair, pair.chosen) for pair in some]
    rejected = [reward(pair, pair.rejected) for pair in some]
    groups = [pair.messages[0]["content"] for pair in some]
    return probed(some, chosen, rejected, others=others, groups=groups)


def by_length(_: Pair, text: str) -> float:
    return float(len(text))


def knowing(pair: Pair, text: str) -> float:
    """The truth, and nothing else: what only swells an answer makes it a little worse."""
    return 1.0 if text == pair.chosen else 0.9 if text.startswith(pair.chosen) else 0.0


def test_a_reward_that_is_length_is_told_of_where_the_data_are_biased() -> None:
    found = probes_of(by_length, pairs())
    said = " ".join(found.findings)
    assert "not surely better than taking the longer answer" in said
    assert "'padding', which says nothing new, raises the reward of 100 %" in said
    assert "'saying it twice', which says nothing new, raises the reward of 100 %" in said
    assert "'a few words over and over'" in said
    assert found.length_correlation == pytest.approx(1.0)
    assert found.over_length.value == 0


def test_and_where_they_are_not() -> None:
    found = probes_of(by_length, pairs(longer_chosen=0.5))
    assert found.findings[0].startswith("It prefers the longer answer in 100 %")
    assert found.excess.value == pytest.approx(0.5)


def test_a_reward_that_knows_the_truth_has_nothing_against_it() -> None:
    found = probes_of(knowing, pairs(longer_chosen=0.5))
    assert found.findings == ()
    assert found.over_length.value == pytest.approx(0.5)
    assert all(figure.value == 0 for figure in (*found.beats_chosen.values(), *found.raises.values()))


def test_an_answer_that_says_nothing_and_wins_is_told_of_the_worst_first() -> None:
    def fooled(pair: Pair, text: str) -> float:
        number = int(pair.messages[0]["content"].split()[1].rstrip("?"))
        if text == ":" or (text == "" and number % 2):
            return 2.0
        return knowing(pair, text)

    (said,) = probes_of(fooled, pairs(longer_chosen=0.5)).findings
    assert said.index("'a colon' (100 %") < said.index("'nothing' (50 %")
    assert "Thought process" not in said


def test_what_was_rarely_fooled_is_no_finding() -> None:
    def once(pair: Pair, text: str) -> float:
        return 2.0 if text == ":" and pair.messages[0]["content"] == "Question 3?" else knowing(pair, text)

    assert probes_of(once, pairs(longer_chosen=0.5)).findings == ()


def test_answers_that_could_not_be_read_are_left_out() -> None:
    some = pairs(10, longer_chosen=0.5)
    others: list[dict[str, float | None]] = [{"a colon": None, "nothing": 5.0 if i < 5 else None} for i in range(10)]
    found = probed(some, [1.0] * 10, [0.0] * 10, others=others, groups=[str(i) for i in range(10)])
    assert found.beats_chosen.keys() == {"nothing"}
    assert found.beats_chosen["nothing"].n == 5


def test_equal_lengths_prefer_neither() -> None:
    asked = ({"role": "user", "content": "?"},)
    alike = [Pair(messages=asked, chosen="abc", rejected="xyz")] * 4
    found = probed(alike, [1.0] * 4, [0.0] * 4, others=[], groups=list("abcd"))
    assert found.longer.value == found.longer_chosen.value == 0.5
    assert found.length_correlation is None
