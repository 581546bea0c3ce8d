"""Curves equal what selectors do on every subset of a pool, and say what was left out."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import bon
from bon import Candidate, Failure, Pool, Prompt, Score, Usage, UsageError
from bon.cli import cli
from bon.evaluation.curves.showing import tables_of
from bon.select import SELECTORS, weigh
from bon.types import Seconds

DATA = Path(os.environ.get("BON_DATA", "../shared/data"))
needs_data = pytest.mark.skipif(not (DATA / "game24").is_dir(), reason="the shared data are not here")


def pool(
    id_: str,
    truth: Sequence[float | None],
    scores: Sequence[float | None] | None = None,
    answers: Sequence[str | None] | None = None,
    *,
    maker: Sequence[str] | None = None,
    tokens: int = 10,
) -> Pool:
    n = len(truth)
    given = {"correct": truth, **({} if scores is None else {"rm": scores})}
    return Pool(
        prompt=Prompt(id=id_, messages=({"role": "user", "content": id_},)),
        candidates=tuple(
            Candidate(
                index=i,
                text=f"{id_} {i}",
                answer=answers[i] if answers else None,
                generator=maker[i] if maker else "m",
                usage=Usage(completion_tokens=tokens * (i + 1)),
                seconds=Seconds(total=float(i + 1)),
            )
            for i in range(n)
        ),
        scores={
            name: tuple(Score.missing("no") if value is None else Score(value=float(value)) for value in values)
            for name, values in given.items()
        },
    )


def by_hand(pools: Sequence[Pool], selector: str, k: int, *, by: str | None = None) -> float:
    """The mean over pools, and over all subsets of k of each, of what the selector itself chooses."""
    means = []
    for each in pools:
        worth = []
        for places in itertools.combinations(range(len(each)), k):
            part = replace(
                each,
                candidates=tuple(each.candidates[i] for i in places),
                scores={name: tuple(found[i] for i in places) for name, found in each.scores.items()},
            )
            rule = SELECTORS[selector]
            weights, _ = weigh(part, (lambda p, rule=rule: rule(p, by=by)) if by else rule)  # type: ignore[misc, call-arg]
            worth.append(float(weights @ np.array(part.values("correct"), dtype=float)))
        means.append(np.mean(worth))
    return float(np.mean(means))


SCORE = st.one_of(st.none(), st.sampled_from([-1.0, 0.0, 0.5, 0.5, 2.0]))
ANSWER = st.sampled_from(["1", "2", "3", None])


@st.composite
def pools_of_five(draw: st.DrawFn) -> list[Pool]:
    return [
        pool(
            f"p{i}",
            draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=5, max_size=5)),
            draw(st.lists(SCORE, min_size=5, max_size=5)),
            draw(st.lists(ANSWER, min_size=5, max_size=5)),
        )
        for i in range(3)
    ]


@settings(max_examples=40, deadline=None)
@given(pools_of_five())
def test_every_curve_is_what_the_selector_does_on_all_subsets(pools: list[Pool]) -> None:
    found = bon.curves(pools, k=[1, 2, 3, 5], select=["majority", "argmax", "oracle", "random", "softmax"])
    votes = any(candidate.answer for each in pools for candidate in each.candidates)
    for k in (1, 2, 3, 5):
        assert found.row("best_at_k", k).value == pytest.approx(by_hand(pools, "argmax", k, by="rm"))
        assert found.row("softmax_at_k", k).value == pytest.approx(by_hand(pools, "softmax", k, by="rm"))
        assert found.row("pass_at_k", k).value == pytest.approx(by_hand(pools, "oracle", k))
        assert found.row("accuracy", k).value == pytest.approx(by_hand(pools, "random", k))
        if votes:
            assert found.row("majority_at_k", k).value == pytest.approx(by_hand(pools, "majority", k))


@settings(max_examples=40, deadline=None)
@given(pools_of_five())
def test_best_of_n_never_beats_coverage_and_gains_add_up(pools: list[Pool]) -> None:
    found = bon.curves(pools, k=[1, 2, 5])
    covered = {row.k: row.value for row in found.rows if row.metric == "pass_at_k"}
    assert all(row.value <= covered[row.k] + 1e-12 for row in found.rows if row.selector not in {"first", "all"})
    for gain in found.gains:
        assert gain.chosen - gain.first == pytest.approx(gain.coverage - gain.abstention - gain.selection, abs=1e-9)
        assert min(gain.coverage, gain.abstention, gain.selection) >= -1e-9


def test_prompts_with_fewer_draws_count_at_the_k_they_have() -> None:
    found = bon.curves([pool("a", [1, 0, 0, 0]), pool("b", [1, 1])], k=[1, 2, 4])
    assert [row.n for row in found.rows if row.metric == "pass_at_k"] == [2, 2, 1]
    assert [row.value for row in found.rows if row.metric == "pass_at_k"] == pytest.approx([0.625, 0.75, 1.0])
    assert any("prompts have 2 to 4 draws" in note for note in found.notes)


def test_what_is_left_out_is_said() -> None:
    failed = pool("c", [1, 0]).with_failures(Failure(stage="generate", error="TimedOut", message="late", index=2))
    empty = Pool(prompt=Prompt(id="d", messages=()), scores={"correct": ()})
    found = bon.curves([pool("a", [1, 0]), pool("b", [1, None]), failed, empty], k=[1, 2])
    assert found.row("pass_at_k", 2).n == 2
    assert any("1 prompts are left out: the truth of a draw (correct) is not known" in note for note in found.notes)
    assert any("1 prompts are left out: they have no candidates" in note for note in found.notes)
    assert any("1 draws failed" in note for note in found.notes)


def test_degenerate_pools_have_defined_answers() -> None:
    for truth in ([1.0], [1.0, 1.0], [0.0, 0.0]):
        found = bon.curves([pool("a", truth, [None] * len(truth)), pool("b", truth, [None] * len(truth))])
        assert {row.value for row in found.rows} == {truth[0]}
        assert all(row.low is not None and row.low <= row.value for row in found.rows)
        assert found.qualities[0].within is None
        assert found.qualities[0].unscored == 2 * len(truth)
    alone = bon.curves([pool("a", [1.0, 0.0])])
    assert all(row.low is None for row in alone.rows)  # one prompt knows of no other


def test_equal_cost_counts_the_scorer() -> None:
    cheap = [pool(f"p{i}", [i % 2, 1, 0, 1], [0.1, 0.9, 0.2, 0.8], tokens=10) for i in range(4)]
    dear = [
        replace(
            each,
            scores={
                **each.scores,
                "rm": tuple(replace(score, usage=Usage(prompt_tokens=25)) for score in each.scores["rm"]),
            },
        )
        for each in cheap
    ]
    found = bon.curves(cheap, dear, equal="tokens", select=["argmax"])
    # a draw takes 25 tokens in the mean, and with its score 50: the dear one gets half as many
    first = {row.point.pools: row.point.k for row in found.equal if row.budget == pytest.approx(100.0)}
    assert first == {"pools 1": 4, "pools 2": 2}
    assert all(row.cost <= row.budget * (1 + 1e-9) for row in found.equal)
    with pytest.raises(UsageError, match="have prices"):
        bon.curves(cheap, equal="money")


def test_latency_is_the_slowest_of_k() -> None:
    found = bon.curves([pool("a", [1, 0, 1, 0])], k=[1, 2, 4])
    waits = {row.k: row.latency for row in found.costs if row.selector == "oracle"}
    assert waits[1] == pytest.approx(2.5)
    assert waits[2] == pytest.approx(np.mean([max(a, b) for a, b in itertools.combinations([1, 2, 3, 4], 2)]))
    assert waits[4] == pytest.approx(4.0)


def test_groups_are_the_makers_of_candidates() -> None:
    found = bon.curves([pool("a", [1, 0, 1, 1], maker=["x", "y", "x", "y"])], makers=True, k=[1, 2])
    assert {(row.group, row.value) for row in found.rows if row.metric == "pass_at_k" and row.k == 1} == {
        ("x", 1.0),
        ("y", 0.5),
    }


def test_advice_follows_from_what_can_still_be_won() -> None:
    rng = np.random.default_rng(0)
    right = (rng.random((200, 16)) < 0.3).astype(float)
    blind, seeing = rng.normal(size=right.shape), right + 0.01 * rng.normal(size=right.shape)
    solvable = (np.arange(200) < 60)[:, None] * np.ones(16)

    def advised(truth: np.ndarray, scores: np.ndarray) -> str:
        pools = [pool(f"p{i}", t.tolist(), s.tolist()) for i, (t, s) in enumerate(zip(truth, scores, strict=True))]
        (only,) = [each for each in bon.curves(pools, select=["argmax"]).advice if each.scorer == "rm"]
        return only.action

    assert advised(right, blind) == "change the scorer"
    assert advised(solvable, solvable) == "change the model"
    rare = (rng.random((400, 16)) < rng.beta(0.3, 6, size=(400, 1))).astype(float)
    assert advised(rare, rare) == "raise N"
    assert advised(np.ones((50, 16)), np.ones((50, 16))) == "stop"
    assert seeing.shape == right.shape


def test_a_curve_that_falls_is_said_to_hurt() -> None:
    rng = np.random.default_rng(1)
    truth = np.where(np.arange(32) < 24, 0.0, 1.0)[None, :].repeat(200, 0)
    truth[:, 31] = 0.0
    scores = truth + rng.random(truth.shape) * 0.5
    scores[:, 31] = 9.0  # the hack: one draw that the scorer loves, and that is wrong
    found = bon.curves(
        [pool(f"p{i}", t.tolist(), s.tolist()) for i, (t, s) in enumerate(zip(truth, scores, strict=True))],
        select=["argmax"],
    )
    (knee,) = found.knees
    assert knee.hurts
    assert 1 < knee.best < 32
    assert "hurt" in found.advice[0].text


def test_pass_hat_k_is_the_share_of_subsets_that_are_all_right() -> None:
    rights = [[1.0, 1.0, 0.0, 1.0], [1.0, 1.0, 1.0], [0.0, 1.0]]
    found = bon.curves([pool(f"p{i}", right) for i, right in enumerate(rights)], select=["all"])
    for k in (1, 2, 4):
        shares = [np.mean([min(part) for part in itertools.combinations(each, k)]) for each in rights if len(each) >= k]
        assert found.row("pass_hat_k", k).value == pytest.approx(np.mean(shares))


def test_a_step_that_is_no_doubling_is_not_called_one() -> None:
    rng = np.random.default_rng(2)
    rare = (rng.random((300, 16)) < rng.beta(0.3, 6, size=(300, 1))).astype(float)
    pools = [pool(f"p{i}", row.tolist(), row.tolist()) for i, row in enumerate(rare)]
    (advice,), (knee,) = (getattr(bon.curves(pools, k=[4, 16], select=["argmax"]), of) for of in ("advice", "knees"))
    assert advice.action == "raise N"
    assert "going from 4 to 16 brought" in advice.text
    assert knee.gain == pytest.approx(rare.max(axis=1).mean() - rare.mean()), "above one draw, though k begins at 4"
    assert "the last doubling brought" in bon.curves(pools, select=["argmax"]).advice[0].text
    (alone,) = bon.curves(pools, k=[16], select=["argmax"]).advice
    assert "going from 1 to 16 brought" in alone.text


def test_advice_promises_no_gain_where_there_is_none() -> None:
    (wrong,) = bon.curves([pool(f"p{i}", [0.0] * 4, [0.1, 0.2, 0.3, 0.4]) for i in range(9)], select=["argmax"]).advice
    assert wrong.text.endswith("no number of draws is better than one.")
    (all_won,) = bon.curves([pool(f"p{i}", [0.0, 1.0], [1.0, 2.0]) for i in range(9)], select=["argmax"]).advice
    assert "more" not in all_won.text, "every prompt has a right draw: nothing is left to cover"


def test_without_a_cost_only_known_units_are_proposed() -> None:
    priced = [pool("a", [1, 0], [0.1, 0.2]), pool("b", [0, 1], [0.1, 0.2])]
    with pytest.raises(UsageError, match=r"have prices.*another unit \(tokens, seconds\)"):
        bon.curves(priced, equal="money")
    bare = [replace(p, candidates=tuple(replace(c, usage=None, seconds=None) for c in p.candidates)) for p in priced]
    with pytest.raises(UsageError, match="nothing is known"):
        bon.curves(bare, equal="tokens")


def test_scorers_of_steps_say_where_they_see_the_first_error() -> None:
    plain = pool("a", [1, 0, 0, 0], [0.9, 0.1, 0.3, 0.2])
    steps: list[tuple[float, ...] | None] = [(0.9, 0.8), (0.9, 0.2), (0.1, 0.9, 0.9, 0.9), None]
    scored = tuple(Score(value=min(each), steps=each) if each else Score.missing("cut") for each in steps)
    found = bon.curves([plain.with_scores("prm", scored)])
    (row,) = found.steppings
    assert (row.scorer, row.draws, row.caught, row.alarmed) == ("prm", 3, 1.0, 0.0)
    assert row.first == pytest.approx((2 + 1) / 2)
    assert row.through == pytest.approx((2 / 2 + 1 / 4) / 2)
    assert row.agreement == (("rm", pytest.approx(0.5)),)
    own = tuple(replace(score, parts={"first_error": 0.0}) if score.steps else score for score in scored)
    assert bon.curves([plain.with_scores("prm", own)]).steppings[0].first == 1.0  # it knows its own threshold
    assert "what scorers of steps see" in "".join(caption for caption, _, _ in tables_of(found))


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"gold": "truth"}, "no scorer 'truth'"),
        ({"by": "nobody"}, "no scorer 'nobody'"),
        ({"k": [8]}, "the most are 2"),
        ({"select": ["nonsense"]}, "nonsense"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(bad: dict[str, object], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        bon.curves([pool("a", [1, 0], [0.1, 0.2])], **bad)  # type: ignore[arg-type]


def test_the_command_prints_tables_and_rows(tmp_path: Path) -> None:
    path = tmp_path / "pools.jsonl"
    bon.write_pools(path, [pool("a", [1, 0], [0.9, 0.1], ["1", "2"]), pool("b", [0, 1], [0.9, 0.1], ["1", "1"])])
    shown = CliRunner().invoke(cli, ["eval", str(path)], catch_exceptions=False)
    assert shown.exit_code == 0
    assert "| argmax by rm" in shown.output
    rows = json.loads(CliRunner().invoke(cli, ["eval", str(path), "--k", "2", "--json"]).output)["rows"]
    assert {"pools", "group", "scorer", "selector", "metric", "k", "value", "low", "high"} <= set(rows[0])
    assert {row["value"] for row in rows if row["metric"] == "best_at_k"} == {0.5}


@needs_data
@pytest.mark.parametrize(("name", "shares"), [("cot", (0.0403, 0.21477, 0.49)), ("io", (0.0734, 0.17889, 0.33))])
def test_game_of_24_as_published(tmp_path: Path, name: str, shares: Sequence[float]) -> None:
    path = tmp_path / f"{name}.jsonl"
    run = CliRunner()
    assert run.invoke(cli, ["convert", "game24", str(DATA / "game24" / f"{name}.json"), "-o", str(path)]).exit_code == 0
    rows = json.loads(run.invoke(cli, ["eval", str(path), "--k", "1,10,100", "--json"]).output)["rows"]
    found = [row["value"] for row in rows if row["metric"] == "pass_at_k"]
    assert found == pytest.approx(shares, abs=5e-6)


@needs_data
def test_gsm8k_solutions_as_published(tmp_path: Path) -> None:
    path = tmp_path / "solutions.jsonl"
    source = DATA / "gsm8k" / "example_model_solutions.jsonl"
    run = CliRunner()
    assert run.invoke(cli, ["convert", "gsm8k-solutions", str(source), "-o", str(path)]).exit_code == 0
    makers = bon.curves(path, makers=True, k=[1], select=["oracle"])
    assert {row.group: round(100 * row.value, 2) for row in makers.rows} == {
        "6b_finetuning": 21.68,
        "6b_verification": 39.04,
        "175b_finetuning": 34.72,
        "175b_verification": 56.25,
    }
    assert round(100 * bon.curves(path, k=[4]).row("pass_at_k", 4).value, 2) == 67.25
