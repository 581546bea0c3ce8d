"""`bon.evaluate`: a judge of known accuracy is measured at it, labels do not leak, bad rows are told of."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bon
from bon.api.bench import aevaluate
from bon.errors import DataError, UsageError
from bon.evaluation.blind import Blind, blind, shown_order
from bon.evaluation.evaluating import Evaluation
from bon.evaluation.showing import markdown, plain
from bon.score import listwise
from bon.score.judge.verdicts import Ranking
from bon.testing.judges import ScriptedJudge
from bon.types import Candidate, Pool, Prompt, Score, as_messages

ACCURACIES = {"Factuality": 0.9, "Precise IF": 0.55, "Math": 0.7, "Safety": 0.3}


def rows(items: int, **more: Any) -> list[dict[str, Any]]:
    """Items in RewardBench 2's shape, the right answer named as such."""
    return [
        {
            "id": str(i),
            "prompt": f"Question {i} of {subset}",
            "chosen": [f"right {i}"],
            "rejected": [f"wrong {i} {k}" for k in range(3)],
            "num_correct": 1,
            "subset": subset,
            **more,
        }
        for i in range(items)
        for subset in [list(ACCURACIES)[i % len(ACCURACIES)]]
    ]


def chance(key: str) -> float:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64


def test_a_judge_of_known_accuracy_is_measured_at_it_in_every_subset() -> None:
    def decide(question: str, answers: Sequence[str], _: object) -> Ranking:
        """Puts the right answer first as often as its subset says, else a wrong one."""
        subset = question.partition(" of ")[2].strip()
        right = next(place for place, answer in enumerate(answers) if answer.startswith("right"))
        others = [place for place in range(len(answers)) if place != right]
        order = [right, *others] if chance(question) < ACCURACIES[subset] else [others[0], right, *others[1:]]
        return Ranking(order=tuple(order), reason="")

    model = ScriptedJudge(decide)
    found = bon.evaluate(rows(1600), ["judge:base_helpfulness_listwise"], judge=model)
    for subset, accuracy in ACCURACIES.items():
        row = found.row(subset=subset)
        assert (row.n, row.ties, row.unscored) == (400, 0, 0)
        assert row.low is not None
        assert row.high is not None
        assert row.low <= accuracy <= row.high, row
        assert row.high - row.low < 0.11
    overall = found.row("mean of subsets")
    assert (overall.low or 1) <= np.mean([*ACCURACIES.values()]) <= (overall.high or 0)
    (cost,) = found.costs
    assert cost.scores == 6400


def test_the_place_of_a_candidate_tells_nothing_of_its_label() -> None:
    seen: Counter[int] = Counter()

    def first(pool: Pool) -> list[float]:
        """Prefers whatever is shown first; benchmarks put the right answer there."""
        assert pool.scores == {}, "labels stand among a pool's scores"
        seen[next(place for place, one in enumerate(pool.candidates) if one.text.startswith("right"))] += 1
        return [1.0] + [0.0] * (len(pool) - 1)

    found = bon.evaluate(rows(2000), [first], format="rewardbench-2")
    assert (found.row("mean of subsets").value or 0) == pytest.approx(0.25, abs=0.03)
    assert all(abs(seen[place] - 500) < 80 for place in range(4))


async def test_scores_of_a_blind_scorer_are_put_back_into_their_places() -> None:
    def length(pool: Pool) -> list[float]:
        return [float(len(one.text)) for one in pool.candidates]

    candidates = tuple(Candidate(index=index, text="x" * index) for index in range(7))
    pool = Pool(prompt=Prompt(id="p", messages=as_messages("?")), candidates=candidates)
    assert shown_order(pool) != tuple(range(7))
    assert sorted(shown_order(pool)) == list(range(7))
    assert [score.value for score in await Blind(listwise(length))(pool)] == [float(i) for i in range(7)]
    pointwise = bon.pointwise(lambda _, one: float(len(one.text)))
    assert blind({"s": pointwise}) == {"s": pointwise}


def test_malformed_rows_are_told_of_by_number_and_the_rest_goes_on(tmp_path: Path) -> None:
    lines = [json.dumps(row) for row in rows(6)]
    lines[1], lines[4] = '{"id": "1", "prompt": "?"}', "nonsense"
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(lines) + "\n")
    found = bon.evaluate(path, [lambda prompt, candidate: candidate.text.startswith("right")])
    assert (found.items, found.bad, [one.line for one in found.problems]) == (4, 2, [2, 5])
    assert all(one.message for one in found.problems)
    assert found.row("mean of subsets").value == 1.0


def test_nothing_to_measure_is_an_error_that_says_why(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"id": "1", "prompt": "?"}\n')
    with pytest.raises(UsageError, match="no labels"):
        bon.evaluate(path, ["heuristic"])
    with pytest.raises(DataError, match=r"no row can be used \(1 cannot\); the first, 1:"):
        bon.evaluate([{"id": "1"}], ["heuristic"], format="rewardbench-2")
    with pytest.raises(UsageError, match="two scorers are named"):
        bon.evaluate(rows(2), ["heuristic", "heuristic"])


def pairs(count: int, *, prompts: int | None = None) -> list[dict[str, Any]]:
    asked = prompts or count
    return [{"prompt": f"Q{i % asked}?", "chosen": f"good {i}", "rejected": f"bad {i}"} for i in range(count)]


def known(name: str, p: float, *, salt: str = "") -> bon.Scorer:
    """A scorer that is right on a pair as often as `p`."""

    def score(_: Prompt, candidate: Candidate) -> float:
        kind, _, number = candidate.text.partition(" ")
        return float((kind == "good") == (chance(f"{salt}{number}") < p))

    return bon.pointwise(score, name=name)


def test_scorers_are_tested_pair_by_pair_and_exactly_where_pairs_are_independent() -> None:
    found = bon.evaluate(pairs(300), [known("weak", 0.6), known("strong", 0.8), known("same", 0.6)])
    strong, same = found.comparisons
    assert (strong.scorer, strong.than, strong.test, strong.n) == ("strong", "weak", "mcnemar", 300)
    # the strong one is right wherever the weak one is: McNemar's p is that of a coin that always fell on one side
    only = round(300 * strong.difference)
    assert strong.p == pytest.approx(min(1.0, 2 * 0.5**only))
    assert strong.low <= strong.difference <= strong.high
    assert (same.difference, same.p) == (0.0, 1.0)
    clustered = bon.evaluate(pairs(300, prompts=30), [known("weak", 0.6), known("strong", 0.8, salt="x")])
    assert clustered.comparisons[0].test == "paired bootstrap"


def test_pairs_of_one_prompt_are_not_independent() -> None:
    def by_prompt(prompt: Prompt, candidate: Candidate) -> float:
        return float(candidate.text.startswith("good") == (chance(prompt.text) < 0.6))

    def width(found: Evaluation) -> float:
        row = found.row()
        return (row.high or 0) - (row.low or 0)

    alone, together = (bon.evaluate(pairs(400, prompts=n), [by_prompt]) for n in (400, 20))
    assert width(together) > 2.5 * width(alone)


def test_a_sample_is_the_same_whatever_order_the_rows_come_in() -> None:
    data = pairs(200)
    there, back = (bon.evaluate(one, [known("s", 0.6)], limit=50, shuffle=3) for one in (data, data[::-1]))
    assert there.rows == back.rows
    assert there.items == 50
    assert bon.evaluate(data, [known("s", 0.6)], limit=50, shuffle=4).rows != there.rows


async def test_it_is_awaited_and_many_are_scored_at_a_time() -> None:
    under_way, most = 0, 0

    async def slow(pool: Pool) -> list[Score]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.002)
        under_way -= 1
        return [Score(value=float(one.text.startswith("good"))) for one in pool.candidates]

    found = await aevaluate(pairs(40), [slow], concurrency=5)
    assert (found.row().value, most) == (1.0, 5)


def test_a_scorer_that_fails_leaves_unscored_items_and_no_hole() -> None:
    async def broken(pool: Pool) -> list[Score]:
        if pool.prompt.text.endswith(("1?", "2?")):
            raise OSError("down")
        return [Score(value=float(one.text.startswith("good"))) for one in pool.candidates]

    found = bon.evaluate(pairs(100), [broken])
    row = found.row()
    assert (row.n, row.unscored, row.value) == (100, 20, 0.8)
    (why,) = found.unscored
    assert (why.count, "OSError: down" in why.reason) == (40, True)
    assert "OSError: down (40 answers)" in markdown(found)
    assert json.loads(json.dumps(plain(found)))["unscored"] == [{"scorer": "broken", "reason": why.reason, "count": 40}]


def test_a_scorer_that_scored_nothing_is_compared_with_none() -> None:
    def silent(prompt: Prompt, candidate: Candidate) -> None:
        return None

    found = bon.evaluate(pairs(40), [known("s", 1.0), silent, known("t", 0.5)])
    assert [(one.scorer, one.than) for one in found.comparisons] == [("t", "s")]
    assert found.row(scorer="silent").value is None


def test_a_scorer_that_is_always_right_is_not_surely_so() -> None:
    row = bon.evaluate(pairs(20), [known("s", 1.0)]).row()
    assert (row.value, row.high) == (1.0, 1.0)
    assert row.low == pytest.approx(0.8389, abs=1e-4), "Wilson 1927, 20 of 20"
    one = bon.evaluate(pairs(1), [known("s", 1.0), known("t", 0.0)])
    assert one.row(scorer="s").low == pytest.approx(0.2065, abs=1e-4)
    assert one.comparisons == (), "one prompt tells nothing of others"
    same = bon.evaluate(pairs(6, prompts=1), [known("s", 0.5)]).row()
    assert 0 < (same.value or 0) < 1
    assert (same.low, same.high) == (None, None)


def test_verdicts_are_read_anew_when_their_file_has_changed(tmp_path: Path) -> None:
    rows = [{"id": "a", "prompt": "Q?", "chosen": "good", "rejected": "bad"}]
    path = tmp_path / "verdicts.jsonl"
    for scores, expected in ("[1, 0]", 1.0), ("[0.0, 1.0]", 0.0):
        path.write_text(f'{{"id": "a", "scores": {scores}}}\n')
        assert bon.evaluate(rows, f"recorded:{path}").row().value == expected
