"""The aggregations of the benchmarks, against numbers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from bon.evaluation.benchmarks import FAMILIES, family_of
from bon.evaluation.benchmarks.classes import kappa_of
from bon.evaluation.benchmarks.rewardbench import COUNTS
from bon.evaluation.evaluating import Collector, Evaluation
from bon.evaluation.items import preferred
from bon.stats import cohen_kappa
from bon.store.convert import CONVERTERS
from bon.types import Candidate, Pool, Prompt, Score, as_messages

Value = float | None


def pool(
    id_: str,
    values: Sequence[Value],
    correct: Sequence[Value] | None,
    *,
    steps: Sequence[float] | None = None,
    orders: Mapping[str, Sequence[Value]] | None = None,
    grades: Mapping[str, Sequence[Value]] | None = None,
    **metadata: Any,
) -> Pool:
    """A labelled pool that the scorer `s` has scored."""

    def score(value: Value, **more: Any) -> Score:
        return Score(value=value, reason="" if value is not None else "cut off", **more)

    said = [
        score(
            value,
            steps=None if steps is None else tuple(steps),
            parts={f"order {name}": given[place] for name, given in (orders or {}).items()},
        )
        for place, value in enumerate(values)
    ]
    labels = {} if correct is None else {"correct": tuple(score(one) for one in correct)}
    return Pool(
        prompt=Prompt(id=id_, messages=as_messages(f"question {id_}"), metadata=metadata),
        candidates=tuple(Candidate(index=index, text=f"{id_} {index}") for index in range(len(values))),
        scores={**labels, **{k: tuple(map(score, v)) for k, v in (grades or {}).items()}, "s": tuple(said)},
    )


def measured(pools: Sequence[Pool], draws: int = 50) -> Evaluation:
    collector = Collector(["s"])
    for one in pools:
        collector.add(one)
    return collector.evaluation(draws=draws)


def value(found: Evaluation, metric: str = "accuracy", subset: str = "overall") -> float:
    row = found.row(metric, subset=subset)
    assert row.value is not None
    return row.value


@pytest.mark.parametrize("name", [name for name, one in CONVERTERS.items() if one.makes == "pools"])
def test_every_format_has_a_way_to_be_measured(name: str) -> None:
    assert family_of(name).summary
    assert set(FAMILIES) <= CONVERTERS.keys()


# How an item counts.


def test_a_tie_is_not_half_right_and_an_unscored_pair_is_not_a_tie() -> None:
    assert preferred((1, 0), (0.7, 0.2)) == (1.0, False, False)
    assert preferred((0, 1), (0.7, 0.2)) == (0.0, False, False)
    assert preferred((1, 0), (0.5, 0.5)) == (0.0, True, False)
    assert preferred((1, 0), (0.5, None)) == (0.0, False, True)
    assert preferred((1, 1, 0), (1.0, 3.0, 2.0)) == (1.0, False, False)
    assert preferred((1, 1, 0), (1.0, 3.0, 2.0), together=True) == (0.0, False, False)
    assert preferred((None, None), (1.0, 2.0)) is None
    assert preferred((1, 1), (1.0, 2.0)) is None
    assert preferred((), (1.0, 2.0)) is None


def test_ties_and_unscored_are_counted_apart_and_all_unscored_is_no_number() -> None:
    pools = [
        pool("a", [1, 0], [1, 0], subset="x"),
        pool("b", [1, 1], [1, 0], subset="x"),
        pool("c", [None, 1], [1, 0], subset="x"),
        pool("d", [None, None], [1, 0], subset="y"),
        pool("e", [1, 0], [None, None], subset="y"),
    ]
    found = measured(pools)
    row = found.row(subset="x")
    assert (row.value, row.n, row.ties, row.unscored) == (pytest.approx(1 / 3), 3, 1, 1)
    nothing = found.row(subset="y")
    assert (nothing.value, nothing.low, nothing.n, nothing.unscored) == (None, None, 1, 1)
    assert value(found) == 0.25


# RewardBench.


def test_rewardbench_weighs_subsets_as_published_and_sections_alike() -> None:
    def pairs(subset: str, section: str, right: int, wrong: int) -> list[Pool]:
        wins = [[1, 0]] * right + [[0, 1]] * wrong
        meta = {"benchmark": "rewardbench", "subset": subset, "section": section}
        return [pool(f"{subset}/{i}", said, [1, 0], **meta) for i, said in enumerate(wins)]

    pools = [
        *pairs("math-prm", "Reasoning", 1, 3),
        *pairs("hep-python", "Reasoning", 4, 0),
        *pairs("donotanswer", "Safety", 1, 1),
    ]
    found = measured(pools)
    reasoning = (984 * 0.25 + 164 * 1.0) / (984 + 164)
    assert value(found, subset="Reasoning") == pytest.approx(reasoning)
    assert value(found, subset="Safety") == 0.5
    assert value(found) == pytest.approx((reasoning + 0.5) / 2)


PUBLISHED = {
    "alpacaeval-easy": 0.5, "alpacaeval-hard": 0.7052631578947368, "alpacaeval-length": 0.5894736842105263,
    "donotanswer": 0.8235294117647058, "hep-cpp": 0.6280487804878049, "hep-go": 0.6341463414634146,
    "hep-java": 0.7073170731707317, "hep-js": 0.6646341463414634, "hep-python": 0.5487804878048781,
    "hep-rust": 0.6463414634146342, "llmbar-adver-GPTInst": 0.391304347826087,
    "llmbar-adver-GPTOut": 0.46808510638297873, "llmbar-adver-manual": 0.3695652173913043,
    "llmbar-adver-neighbor": 0.43283582089552236, "llmbar-natural": 0.52, "math-prm": 0.2953020134228188,
    "mt-bench-easy": 0.5714285714285714, "mt-bench-hard": 0.5405405405405406, "mt-bench-med": 0.725,
    "refusals-dangerous": 0.97, "refusals-offensive": 1.0, "xstest-should-refuse": 1.0,
    "xstest-should-respond": 0.284,
}  # fmt: skip
"""Accuracies of PKU-Alignment/beaver-7b-v1.0-cost, as RewardBench's README gives them."""


def test_rewardbench_counts_as_many_pairs_as_published_accuracies_are_shares_of() -> None:
    pairs = {**COUNTS, "math-prm": 447}
    right = {subset: round(share * pairs[subset]) for subset, share in PUBLISHED.items()}
    assert {subset: right[subset] / pairs[subset] for subset in right} == pytest.approx(PUBLISHED, abs=1e-12)
    found = measured(
        [
            pool(f"{subset}/{i}", [i < right[subset], 0.5], [1, 0], benchmark="rewardbench", subset=subset)
            for subset in PUBLISHED
            for i in range(pairs[subset])
        ]
    )
    assert {subset: value(found, subset=subset) for subset in PUBLISHED} == pytest.approx(PUBLISHED)
    # 100 and 100 refusals, 154 and 250 of XSTest, 136 of Do-Not-Answer
    assert value(found, subset="Safety") == pytest.approx((97 + 100 + 154 + 71 + 112) / 740)


def _ties(ref: Sequence[float], tied: Sequence[float]) -> list[Pool]:
    meta = {"benchmark": "rewardbench-2", "subset": "Ties", "group": "g1"}
    return [
        pool("ref:1", ref, [1.0] + [0.0] * (len(ref) - 1), tie="ref", **meta),
        pool("tied:1", tied, [1.0, 1.0] + [0.0] * (len(tied) - 2), tie="tied", **meta),
    ]


@pytest.mark.parametrize(
    ("ref", "tied", "expected"),
    [
        # apart: ref 2, tied 1; among: 0.5
        ([3, 1], [3, 2.5, 1.5], 0.3 + 0.3 + 0.2 + 0.2 + 0.01 * math.tanh(1 / 0.5 - 1)),
        # ref wrong by 1: only the tied question's margins hold
        ([1, 2], [3, 2.5, 1.5], 0.3 + 0.2 + 0.01 * math.tanh(-1 / 0.5 - 1)),
        # a right answer below the wrong one
        ([3, 1], [3, 1, 1.5], 0.3 + 0.01 * math.tanh(-0.5 / 2 - 1)),
        # right answers alike: the limit of the margin
        ([3, 1], [2, 2, 1], 1.01),
    ],
)
def test_the_score_of_ties_is_that_of_its_paper(ref: Sequence[float], tied: Sequence[float], expected: float) -> None:
    found = measured(_ties(ref, tied))
    assert value(found, "ties score", "Ties") == pytest.approx(expected)
    assert value(found, "mean of subsets") == pytest.approx(expected)


def test_the_score_of_ties_is_that_of_the_procedure_written_out_once_more() -> None:
    rng = np.random.default_rng(1)
    pools: list[Pool] = []
    found: list[tuple[float, ...]] = []
    for group in range(40):
        count, right = int(rng.integers(3, 8)), int(rng.integers(2, 6))
        ref, tied = rng.normal(size=1 + count), rng.normal(size=right + count)
        ref[0] += 2
        tied[:right] += 2
        meta = {"benchmark": "rewardbench-2", "subset": "Ties", "group": str(group)}
        pools.append(pool(f"ref:{group}", ref.tolist(), [1.0] + [0.0] * count, tie="ref", **meta))
        pools.append(pool(f"tied:{group}", tied.tolist(), [1.0] * right + [0.0] * count, tie="tied", **meta))
        above = tied[:right].min() - tied[right:].max()
        found.append((ref[0] - ref[1:].max(), above, tied[:right].max() - tied[:right].min()))
    one, several, among = np.array(found).T
    least = np.minimum(one, several)
    expected = 0.3 * np.mean(several > 0) + 0.3 * np.mean(one > 0) + 0.2 * np.mean(several > among)
    expected += 0.2 * np.mean(least > among) + 0.01 * np.mean(np.tanh(least / among - 1))
    assert value(measured(pools), "ties score", "Ties") == pytest.approx(expected)


def test_rewardbench_2_shares_a_point_among_those_at_the_top_and_means_its_subsets() -> None:
    meta = {"benchmark": "rewardbench-2"}
    one = [1, 0, 0, 0]
    pools = [
        pool("1", [2, 1, 1, 1], one, subset="Math", **meta),
        pool("2", [2, 2, 1, 1], one, subset="Math", **meta),
        pool("3", [1, 2, 1, 1], one, subset="Math", **meta),
        pool("4", [2, 1, 0, 0], one, subset="Focus", **meta),
        *_ties([1, 2], [3, 1, 1.5]),
    ]
    found = measured(pools)
    assert value(found, subset="Math") == pytest.approx(0.5)
    assert found.row(subset="Math").ties == 1
    ties = value(found, "ties score", "Ties")
    assert value(found, "mean of subsets") == pytest.approx((0.5 + 1.0 + ties) / 3)
    row = found.row("mean of subsets")
    assert (row.n, row.ties) == (6, 1)


# RM-Bench.


def test_rm_bench_is_easy_below_the_diagonal_and_hard_above_it() -> None:
    meta = {"benchmark": "rm-bench", "domain": "chat", "subset": "chat"}
    # right: concise 1, detailed 2, markdown 3; wrong: concise 0.5, detailed 1.5, markdown 2.5
    found = measured([pool("1", [1, 2, 3, 0.5, 1.5, 2.5], [1] * 3 + [0] * 3, **meta)])
    assert value(found, "easy") == 1.0
    assert value(found, "normal") == 1.0
    assert value(found, "hard") == 0.0
    assert value(found) == pytest.approx(6 / 9)
    assert value(found, "concise right over markdown wrong") == 0.0
    assert value(found, "markdown right over concise wrong") == 1.0


def test_rm_bench_counts_the_two_halves_of_safety_as_one_domain() -> None:
    def one(id_: str, subset: str, domain: str, won: bool) -> Pool:
        values = [1, 1, 1, 0, 0, 0] if won else [0, 0, 0, 1, 1, 1]
        return pool(id_, values, [1] * 3 + [0] * 3, benchmark="rm-bench", subset=subset, domain=domain)

    found = measured(
        [
            one("1", "safety-refuse", "safety", True),
            one("2", "safety-refuse", "safety", True),
            one("3", "safety-response", "safety", False),
            one("4", "math", "math", True),
        ]
    )
    assert value(found, subset="safety") == pytest.approx(2 / 3), "its items count alike, not its halves"
    assert value(found, "hard", "safety") == pytest.approx(2 / 3)
    assert value(found) == pytest.approx((2 / 3 + 1.0) / 2)
    assert value(found, "hard") == pytest.approx((2 / 3 + 1.0) / 2)


def test_a_tie_in_rm_bench_is_of_the_pair_that_is_as_high() -> None:
    meta = {"benchmark": "rm-bench", "domain": "chat", "subset": "chat"}
    found = measured([pool("1", [1, 2, 3, 0.5, 1.5, 2], [1] * 3 + [0] * 3, **meta)])
    assert {row.metric for row in found.rows if row.ties} == {
        "accuracy",
        "hard",
        "detailed right over markdown wrong",
    }


# Two orders.


def _orders(straight: Sequence[Value], turned: Sequence[Value]) -> dict[str, Any]:
    known = [(a + b) / 2 if a is not None and b is not None else None for a, b in zip(straight, turned, strict=True)]
    return {"values": known, "orders": {"0,1": straight, "1,0": turned}}


@pytest.mark.parametrize(
    ("straight", "turned", "judgebench", "llmbar"),
    [
        ([1, 0], [1, 0], 1.0, 1.0),
        ([1, 0], [0.5, 0.5], 1.0, 0.5),
        ([1, 0], [None, None], 1.0, 0.5),
        ([1, 0], [0, 1], 0.0, 0.5),
        ([0.5, 0.5], [0.5, 0.5], 0.0, 0.0),
        ([0, 1], [0.5, 0.5], 0.0, 0.0),
    ],
)
def test_of_two_orders_more_must_be_right_than_wrong_and_a_tie_is_wrong(
    straight: Sequence[Value], turned: Sequence[Value], judgebench: float, llmbar: float
) -> None:
    for benchmark, expected in (("judgebench", judgebench), ("llmbar", llmbar)):
        found = measured([pool("1", correct=[1, 0], benchmark=benchmark, **_orders(straight, turned))])
        assert value(found) == expected
    row = found.row("agreement of orders")
    assert row.value is None if None in turned else row.value == float(straight == turned)


def test_orders_of_which_none_can_be_read_are_unscored() -> None:
    both = _orders([None, None], [None, None])
    for benchmark in ("judgebench", "llmbar"):
        found = measured([pool("1", correct=[1, 0], benchmark=benchmark, **both)])
        assert (found.row().value, found.row().unscored) == (None, 1)


# Three classes.


def test_pandalm_knows_three_classes_and_how_people_agree() -> None:
    meta = {"benchmark": "pandalm"}
    pools = [
        pool("1", [1, 0], [1, 0], label=1, annotators=[1, 1, 1], **meta),
        pool("2", [0, 1], [0, 1], label=2, annotators=[2, 2, 0], **meta),
        pool("3", [0.5, 0.5], [None, None], label=0, annotators=[0, 0, 0], **meta),
        pool("4", [0.5, 0.5], [1, 0], label=1, annotators=[1, 2, 1], **meta),
    ]
    found = measured(pools)
    assert (value(found), found.row().ties) == (0.75, 2)
    expected = cohen_kappa([1, 2, 0, 1], [1, 2, 0, 2])
    assert value(found, "kappa of annotators 1 and 2") == pytest.approx(expected)
    assert found.row("kappa of annotators 1 and 2").scorer == "annotators"
    assert value(found, "kappa with the majority") == pytest.approx(cohen_kappa([1, 2, 0, 0], [1, 2, 0, 1]))


def test_kappa_of_a_table_is_the_kappa_of_its_labels() -> None:
    rng = np.random.default_rng(3)
    left, right = rng.integers(3, size=60), rng.integers(3, size=60)
    cells = np.zeros((3, 3))
    np.add.at(cells, (left, right), 1)
    assert float(kappa_of(cells)) == pytest.approx(cohen_kappa(left, right))


# RMB.


@pytest.mark.parametrize("benchmark", ["rmb", "rmb-bon"])
def test_rmb_means_its_goals(benchmark: str) -> None:
    def one(id_: str, goal: str, values: Sequence[Value]) -> Pool:
        return pool(id_, values, [1, 0, 0], benchmark=benchmark, goal=goal, subset=f"{goal}/x")

    pools = [
        one("1", "Helpfulness", [3, 2, 1]),
        one("2", "Helpfulness", [3, 2, 1]),
        one("3", "Harmlessness", [2, 3, 1]),
    ]
    found = measured(pools)
    assert value(found, subset="Helpfulness") == 1.0
    assert value(found) == 0.5


# Steps.


def _steps(id_: str, steps: Sequence[float] | None, first: int | None, **meta: Any) -> Pool:
    made = pool(id_, [0.5], [float(first is None)], steps=steps, **{"benchmark": "processbench", **meta})
    prompt = made.prompt
    metadata = {**prompt.metadata, "first_error": first, "steps": ["a", "b", "c"]}
    return Pool(
        prompt=Prompt(id=prompt.id, messages=prompt.messages, metadata=metadata),
        candidates=made.candidates,
        scores=made.scores,
    )


def test_processbench_is_the_harmonic_mean_of_flawed_and_flawless() -> None:
    pools = [
        _steps("1", [0.9, 0.2, 0.1], 1, subset="gsm8k"),
        _steps("2", [0.9, 0.9, 0.1], 1, subset="gsm8k"),
        _steps("3", [0.9, 0.9, 0.9], None, subset="gsm8k"),
        _steps("4", [0.1, 0.9, 0.9], 0, subset="math"),
        _steps("5", [0.9, 0.2, 0.9], None, subset="math"),
        _steps("6", [0.9, 0.9], None, subset="math"),
    ]
    found = measured(pools)
    assert value(found, "accuracy, flawed", "gsm8k") == 0.5
    assert value(found, "f1", "gsm8k") == pytest.approx(2 * 0.5 * 1 / 1.5)
    assert value(found, "f1", "math") == 0.0
    assert found.row("f1", subset="math").unscored == 1, "two scores of three steps"
    assert value(found, "mean f1") == pytest.approx(1 / 3)


def test_a_scorer_of_whole_solutions_has_an_auc_on_processbench() -> None:
    found = measured([_steps("1", None, 1), _steps("2", None, None)])
    assert [row.metric for row in found.rows] == ["auc"]
    assert value(found, "auc") == 0.5


def test_prmbench_marks_every_step_both_ways() -> None:
    def one(id_: str, kind: str, called: Sequence[float], wrong: Sequence[int]) -> Pool:
        first = min(wrong, default=None)
        return _steps(id_, called, first, benchmark="prmbench", subset=kind, error_steps=list(wrong))

    pools = [
        one("1", "confidence", [0.9, 0.1, 0.9], [1]),  # right 2 of 2, wrong 1 of 1
        one("2", "circular", [0.1, 0.9, 0.9], [2]),  # right 1 of 2, wrong 0 of 1
        one("3", "correct", [0.1, 0.1, 0.1], []),
    ]
    found = measured(pools)
    assert value(found, "prm-score", "confidence") == 1.0
    positive, negative = 2 * 3 / (2 * 3 + 1 + 1), 2 * 1 / (2 * 1 + 1 + 1)
    assert value(found, "f1 of right steps") == pytest.approx(positive)
    assert value(found, "f1 of wrong steps") == pytest.approx(negative)
    assert value(found, "prm-score") == pytest.approx((positive + negative) / 2), "without those without an error"
    assert value(found, "accuracy of steps") == pytest.approx(4 / 6)


def test_prmbench_scores_a_flawless_kind_by_its_right_steps_and_means_the_kinds_of_an_aspect() -> None:
    def one(id_: str, kind: str, called: Sequence[float], wrong: Sequence[int]) -> Pool:
        return _steps(id_, called, min(wrong, default=None), benchmark="prmbench", subset=kind, error_steps=list(wrong))

    pools = [
        one("1", "multi_solutions", [0.9, 0.9, 0.1], []),  # 2 of 3 right steps
        one("2", "deception", [0.9, 0.1, 0.9], [1]),
        one("3", "confidence", [0.1, 0.9, 0.9], [1]),  # 1 of 2 right steps, 0 of 1 wrong one
    ]
    found = measured(pools)
    assert value(found, "prm-score", "multi_solutions") == pytest.approx(0.8), "not half of it, for want of wrong steps"
    assert value(found, "prm-score", "sensitivity") == pytest.approx((0.8 + 1.0) / 2)
    assert value(found, "prm-score", "soundness") == value(found, "prm-score", "confidence") == pytest.approx(0.25)
    positive, negative = 2 * 5 / (2 * 5 + 1 + 2), 2 * 1 / (2 * 1 + 2 + 1)
    assert value(found, "prm-score") == pytest.approx((positive + negative) / 2), "over the steps of all kinds"


# Labels that stand by themselves.


def test_grades_are_correlated_and_verifiers_agree_with_labels() -> None:
    graded = measured([pool(str(i), [i, i + 1], None, grades={"helpfulness": [i, i + 1]}) for i in range(4)])
    assert value(graded, "spearman with helpfulness") == pytest.approx(1.0)
    assert value(graded, "kendall with helpfulness") == pytest.approx(1.0)
    preference = {"preference": [2.0, -2.0]}
    found = measured(
        [pool("1", [1, 0], [1, 0], grades=preference), pool("2", [0, 3], [0, 1], grades={"preference": [-3, 3]})]
    )
    assert value(found) == 1.0
    assert value(found, "spearman with preference") == pytest.approx(1.0)
    assert found.row("spearman with preference").n == 2
    verified = measured([pool("1", [1, 0, 1], [1, 0, 0]), pool("2", [0, 0, 0], [0, 0, 0])])
    assert value(verified, "agreement with labels") == pytest.approx(5 / 6)
    assert verified.row().n == 1


# Properties.


@pytest.mark.parametrize("by", [lambda one: one.prompt.id, lambda one: one.prompt.id[::-1]])
def test_the_order_in_which_pools_are_done_changes_nothing(by: Callable[[Pool], str]) -> None:
    rng = np.random.default_rng(0)
    pools = [pool(f"{i:03}", [rng.random(), rng.random()], [1, 0], subset=str(i % 3)) for i in range(60)]
    assert {*measured(sorted(pools, key=by)).rows} == {*measured(pools).rows}
