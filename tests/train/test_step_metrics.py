"""Figures of process reward models: known answers, parity with the benchmark's own measure, and what cannot be told."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon.errors import UsageError
from bon.evaluation.benchmarks import FAMILIES
from bon.evaluation.items import Item, Said
from bon.evaluation.measures import Measure
from bon.train.step_metrics import Marked, figures_of_steps, first_error_f1, measured_steps
from bon.train.step_probes import degenerate_steps, probed_steps
from bon.train.stepwise import Solution
from bon.types import as_messages

ROWS = [
    Marked(said=(0.9, 0.2, 0.6), labels=(1.0, 0.0, None)),  # found
    Marked(said=(0.4, 0.2), labels=(1.0, 0.0)),  # too early
    Marked(said=(0.8, 0.7), labels=(1.0, 1.0)),  # found to be flawless
    Marked(said=(0.8,), labels=(None,)),  # says nothing
    Marked(said=(0.8, 0.3), labels=(None, 0.0)),  # an outcome: its first wrong step is not known
]


def test_which_step_is_the_first_wrong_one() -> None:
    assert [row.first for row in ROWS] == [1, 1, -1, None, None]
    assert Marked(said=(0.5,), labels=(0.4,)).first == 0, "a soft label below a half says wrong"


def test_known_answers() -> None:
    found = figures_of_steps(ROWS)
    said, labels = [0.9, 0.2, 0.4, 0.2, 0.8, 0.7, 0.3], [1, 0, 1, 0, 1, 1, 0]
    loss = -sum(math.log(p if label else 1 - p) for p, label in zip(said, labels, strict=True)) / 7
    assert found["loss"] == pytest.approx(loss)
    assert found["accuracy"] == pytest.approx(6 / 7)
    assert found["auc"] == 1.0
    assert found["first_error_found"] == 0.5
    assert found["flawless_found"] == 1.0
    assert found["first_error_f1"] == pytest.approx(2 / 3)


def test_a_soft_label_is_scored_as_it_is() -> None:
    """The cross-entropy with a probability is least at it, and there it is the entropy."""
    soft = [figures_of_steps([Marked(said=(p,), labels=(0.7,))])["loss"] for p in (0.6, 0.7, 0.8)]
    assert min(soft) == soft[1] == pytest.approx(-(0.7 * math.log(0.7) + 0.3 * math.log(0.3)))


def test_what_cannot_be_told_is_not_there() -> None:
    right = figures_of_steps([Marked(said=(0.9,), labels=(1.0,))])
    assert right.keys() == {"loss", "accuracy", "calibration"}
    assert first_error_f1([1, 0], [True, True]) == {}
    assert first_error_f1([0, 0], [True, False])["first_error_f1"] == 0.0
    with pytest.raises(UsageError, match="no step has a label"):
        figures_of_steps([Marked(said=(0.9,), labels=(None,))])


def test_what_is_sure_and_wrong_costs_much_but_not_everything() -> None:
    found = figures_of_steps([Marked(said=(1.2,), labels=(0.0,)), Marked(said=(-0.1,), labels=(1.0,))])
    assert math.isfinite(found["loss"])
    assert found["loss"] > 10


solved = st.lists(
    st.tuples(
        st.lists(st.sampled_from([0.1, 0.4, 0.5, 0.9]), min_size=3, max_size=3),
        st.sampled_from([None, 0, 1, 2]),
    ),
    min_size=1,
    max_size=12,
)


@given(solved)
def test_the_f1_is_that_of_the_benchmark(rows: list[tuple[list[float], int | None]]) -> None:
    """Parity with `bon bench` on ProcessBench, which counts in another way."""
    marked = [
        Marked(
            said=tuple(said),
            labels=(1.0,) * 3 if first is None else (*[1.0] * first, 0.0, *[None] * (2 - first)),
        )
        for said, first in rows
    ]
    found = figures_of_steps(marked)
    items = [
        Item(
            id=str(place),
            subset="all",
            cluster=place,
            correct=(float(first is None),),
            grades={},
            facts={"first_error": first},
            count=3,
            said={"me": Said(values=(min(said),), steps=tuple(said))},
        )
        for place, (said, first) in enumerate(rows)
    ]
    measures = [one for one in FAMILIES["processbench"].measures(items, "me") if isinstance(one, Measure)]
    theirs = {one.metric: one for one in measures if one.subset == "all" and one.metric == "f1"}
    with np.errstate(invalid="ignore"):
        f1 = float(theirs["f1"].of(theirs["f1"].table.mean(axis=0)))
    assert found.get("first_error_f1", math.nan) == pytest.approx(f1, nan_ok=True)


def test_intervals_are_of_prompts() -> None:
    rows = [Marked(said=(0.9, 0.2 if place % 3 else 0.8), labels=(1.0, float(place % 2))) for place in range(40)]
    one = measured_steps(rows, groups=[str(place) for place in range(40)])
    few = measured_steps(rows, groups=[str(place // 10) for place in range(40)])
    for name, figure in one.items():
        assert figure.low is not None, name
        assert figure.high is not None, name
        assert figure.low <= figure.value <= figure.high, name
    assert (one["accuracy"].n, one["first_error_f1"].n) == (80, 40)
    assert few["accuracy"].value == one["accuracy"].value
    assert measured_steps(rows, groups=["a"] * 40)["accuracy"].low is None, "one prompt tells nothing of others"


def made(*steps: str, text: str = "How many?") -> Solution:
    return Solution(messages=as_messages(text), steps=steps, labels=(1.0,) * len(steps))


def test_solutions_that_solve_nothing() -> None:
    tried = degenerate_steps(made("2 + 2 = 4", "so 4"), made("1 + 1 = 2", text="other"))
    assert tried == {
        "a full stop": (".",),
        "the last step alone": ("so 4",),
        "the first step over and over": ("2 + 2 = 4", "2 + 2 = 4"),
        "the question again": ("How many?",),
        "the steps of another problem": ("1 + 1 = 2",),
    }
    assert "the steps of another problem" not in degenerate_steps(made("a"), None)


def test_a_model_that_likes_short_solutions_and_full_stops_is_told_of() -> None:
    solutions = [made("x" * place, text=str(place)) for place in range(1, 21)]
    values = [1 / place for place in range(1, 21)]
    right = [place % 2 == 0 for place in range(20)]
    tried = [(place, {"a full stop": 1.0, "the question again": 0.0}) for place in range(2, 20, 2)]
    found = probed_steps(solutions, values, right, tried=tried, groups=[str(place) for place in range(20)])
    assert found.length_correlation == pytest.approx(-1.0)
    assert found.beats_right["a full stop"].value == 1.0
    assert found.beats_right["the question again"].value == 0.0
    shorter, stops = found.findings
    assert "prefers shorter solutions" in shorter
    assert "'a full stop' (100 %)" in stops


def test_a_model_that_nothing_fools_has_no_findings() -> None:
    solutions = [made("x" * (place % 5 + 1), text=str(place)) for place in range(20)]
    right: list[bool | None] = [place % 2 == 0 for place in range(20)]
    tried = [(place, {"a full stop": 0.0}) for place in range(0, 20, 2)]
    values = [float(bool(one)) for one in right]
    found = probed_steps(solutions, values, right, tried=tried, groups=[str(place) for place in range(20)])
    assert found.findings == ()
