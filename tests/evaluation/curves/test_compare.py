"""Greedy against best-of-N: known figures, every subset counted, and runs that go on."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import bon
from bon import Candidate, Pool, Prompt, Score, UsageError
from bon.api.comparing import COMPARED, Merged
from bon.cli import cli
from bon.evaluation.comparing import GREEDY, against, labelled, versus
from bon.ledger import FREE
from bon.types import Draw, Seconds, Usage


class Numbers:
    """Draws the number of its index at any temperature above 0, and 1 at 0; counts its draws."""

    name = "numbers"

    def __init__(self) -> None:
        self.defaults = {"temperature": 0.7, "max_tokens": 8}
        self.drawn: list[tuple[str, float, int]] = []

    async def __call__(self, prompt: Prompt, n: int, *, start: int = 0) -> AsyncIterator[Draw]:
        heat = float(prompt.request["temperature"])
        for index in range(start, start + n):
            self.drawn.append((prompt.id, heat, index))
            text = "1" if heat == 0 else str(index if heat < 1 else 0)
            yield Candidate(
                index=index, text=text, usage=Usage(completion_tokens=2), seconds=Seconds(total=1.0 + index)
            )


def number(prompt: Prompt, candidate: Candidate) -> float:
    return float(candidate.text)


def merged_pool(greedy: float, drawn: list[float], id_: str = "p") -> Pool:
    texts = [(GREEDY, greedy), *((labelled(0.7), value) for value in drawn)]
    return Pool(
        prompt=Prompt(id=id_, messages=({"role": "user", "content": id_},)),
        candidates=tuple(
            Candidate(index=i, text=str(value), variation=variation) for i, (variation, value) in enumerate(texts)
        ),
        scores={"number": tuple(Score(value=value) for _, value in texts)},
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3), st.lists(st.integers(0, 3), min_size=4, max_size=4), st.integers(1, 4))
def test_wins_are_counted_over_all_choices_of_k(greedy: int, drawn: list[int], k: int) -> None:
    row = versus([merged_pool(greedy, [*map(float, drawn)])], by="number", gold="number", temperature=0.7, k=k)
    best = [max(part) for part in itertools.combinations(drawn, k)]
    assert row.chosen == pytest.approx(np.mean(best))
    assert row.wins == pytest.approx(np.mean([value > greedy for value in best]))
    assert row.ties == pytest.approx(np.mean([value == greedy for value in best]))
    assert row.losses == pytest.approx(np.mean([value < greedy for value in best]))
    assert row.gain is None  # one prompt knows of no other


def test_greedy_is_temperature_0_and_the_sweep_uses_the_same_draws(tmp_path: Path) -> None:
    generator = Numbers()
    found = bon.compare(["one", "two"], n=[1, 2, 4], scorer=bon.pointwise(number), generator=generator, folder=tmp_path)
    assert sorted(generator.drawn) == sorted(
        [
            (id_, heat, index)
            for id_ in {id_ for id_, *_ in generator.drawn}
            for heat, index in [(0.0, 0), *((0.7, i) for i in range(4))]
        ]
    )
    assert [(row.k, row.greedy) for row in found.versus] == [(1, 1.0), (2, 1.0), (4, 1.0)]
    by_k = {row.k: row for row in found.versus}
    assert by_k[2].chosen == pytest.approx(np.mean([max(a, b) for a, b in itertools.combinations(range(4), 2)]))
    assert by_k[4].wins == 1.0
    assert by_k[1].tokens == 2.0
    assert by_k[4].tokens == 8.0
    assert by_k[4].seconds == pytest.approx(4.0)
    assert by_k[4].gain is not None
    assert by_k[4].gain.low == by_k[4].gain.high == pytest.approx(2.0)


def test_a_second_run_draws_nothing_and_a_larger_n_only_the_rest(tmp_path: Path) -> None:
    given = {"scorer": bon.pointwise(number), "folder": tmp_path}
    first = Numbers()
    before = bon.compare(["one"], n=2, generator=first, **given)  # type: ignore[arg-type]
    again = Numbers()
    assert bon.compare(["one"], n=2, generator=again, **given) == before  # type: ignore[arg-type]
    assert again.drawn == []
    more = Numbers()
    wider = bon.compare(["one"], n=4, generator=more, temperatures=[0.7, 0.9], **given)  # type: ignore[arg-type]
    assert sorted((heat, index) for _, heat, index in more.drawn) == [
        (0.7, 2),
        (0.7, 3),
        (0.9, 0),
        (0.9, 1),
        (0.9, 2),
        (0.9, 3),
    ]
    assert [row.chosen for row in wider.versus] == [3.0, 3.0]
    assert [row.mean for row in wider.warmth] == [1.5, 1.5]


class Local(Numbers):
    """A model of this machine, that must be loaded before its first draw."""

    price = FREE

    async def __call__(self, prompt: Prompt, n: int, *, start: int = 0) -> AsyncIterator[Draw]:
        if prompt.id == "warm-up":
            self.drawn.append((prompt.id, 0.0, 0))
            return
        async for draw in super().__call__(prompt, n, start=start):
            yield draw


def test_a_run_that_goes_on_does_not_time_the_loading_of_its_model(tmp_path: Path) -> None:
    def run(n: int) -> list[str]:
        generator = Local()
        bon.compare(["one"], n=n, scorer=bon.pointwise(number), generator=generator, folder=tmp_path)
        return [id_ if id_ == "warm-up" else "draw" for id_, *_ in generator.drawn]

    assert run(1) == ["warm-up", "draw", "draw"]
    assert run(3) == ["warm-up", "draw", "draw"]
    assert run(3) == [], "nothing is left to draw, so nothing is loaded"


def test_temperatures_say_how_different_their_draws_are() -> None:
    found = bon.compare(["one"], n=4, temperatures=[0.5, 1.0], scorer=bon.pointwise(number), generator=Numbers())
    assert [(row.temperature, row.distinct, row.mean) for row in found.warmth] == [(0.5, 1.0, 1.5), (1.0, 0.25, 0.0)]


def test_a_temperature_of_the_prompt_does_not_make_greedy_warm() -> None:
    generator = Numbers()
    bon.compare([bon.prompt("one", temperature=1.5)], n=1, scorer=bon.pointwise(number), generator=generator)
    assert {heat for _, heat, _ in generator.drawn} == {0.0, 0.7}


def test_candidates_of_all_files_stand_side_by_side() -> None:
    prompt = Prompt(id="p", messages=({"role": "user", "content": "p"},))
    one = Pool(prompt=prompt, candidates=(Candidate(index=0, text="a"),))
    two = Pool(prompt=prompt, candidates=(Candidate(index=0, text="b"), Candidate(index=3, text="c")))
    both = Merged({GREEDY: {"p": one}, labelled(1): {"p": two}})["p"]
    assert [(c.index, c.text, c.variation) for c in both.candidates] == [
        (0, "a", "greedy"),
        (1, "b", "temperature 1"),
        (2, "c", "temperature 1"),
    ]


def test_prompts_without_a_greedy_answer_or_a_score_are_counted_apart() -> None:
    whole, bare = merged_pool(1.0, [2.0], "a"), merged_pool(1.0, [2.0], "b")
    unscored = Pool(
        prompt=bare.prompt,
        candidates=bare.candidates,
        scores={"number": (Score(value=1.0), Score.missing("no"))},
    )
    (row,) = against([whole, unscored], by="number", gold=None, temperatures=[0.7], sizes=[1]).versus
    assert (row.n, row.missing) == (1, 1)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"temperatures": [0.0]}, "greedy is 0"),
        ({"n": 0}, "1 or more"),
        ({"by": "nobody"}, "'nobody' is to choose"),
        ({"scorer": [bon.pointwise(number), "heuristic"]}, "which scorer chooses"),
        ({"gold": "truth"}, "no pool has scores by 'truth'"),
    ],
)
def test_what_cannot_be_compared_is_refused(bad: dict[str, object], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        bon.compare(["one"], **{"scorer": bon.pointwise(number), "generator": Numbers(), **bad})  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_command_on_the_embedded_model(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"prompt": "What is 2 + 2? Just the number.", "reference": "4"}\n', encoding="utf-8")
    asked = ["compare", str(prompts), "-n", "2", "--max-tokens", "8", "-s", "math", "-o", str(tmp_path / "out")]
    shown = CliRunner().invoke(cli, asked, catch_exceptions=False)
    assert shown.exit_code == 0
    assert "| best of 2 |" in shown.output
    assert (tmp_path / "out" / COMPARED).is_file()
    again = json.loads(CliRunner().invoke(cli, [*asked, "--json"], catch_exceptions=False).stdout)
    assert {row["k"] for row in again["versus"]} == {2}
