"""Solutions with labelled steps out of rows and pools: whose labels, of which steps, and what is left out."""

from __future__ import annotations

import pytest

from bon.errors import UsageError
from bon.store.datasets import load
from bon.train.stepwise import Solution, Stepwise, hard_solutions, shown, solutions, steps_scored, taught, unlabelled
from bon.types import Candidate, Pool, Prompt, Score, as_messages

ROWS = [
    {"prompt": "What is 2 + 3 + 4?", "completions": ["2 + 3 = 5.", "5 + 4 = 8."], "labels": [True, False]},
    {"prompt": "What is 9 - 4?", "completions": ["9 - 4 = 5."], "labels": [0.75]},
]


def pool(*texts: str, metadata: dict[str, object] | None = None, **scores: list[Score]) -> Pool:
    return Pool(
        prompt=Prompt(id="p", messages=as_messages("What is 1 + 1?"), metadata=metadata or {}),
        candidates=tuple(Candidate(index=place, text=text) for place, text in enumerate(texts)),
        scores={name: tuple(one) for name, one in scores.items()},
    )


def test_rows_give_their_steps_with_soft_labels_as_they_are() -> None:
    found = solutions(load(ROWS))
    assert [one.steps for one in found.solutions] == [("2 + 3 = 5.", "5 + 4 = 8."), ("9 - 4 = 5.",)]
    assert [one.labels for one in found.solutions] == [(1.0, 0.0), (0.75,)]
    assert len({one.group for one in found.solutions}) == 2
    assert not found.left_out


def test_what_comes_after_the_first_wrong_step_is_unknown_where_only_that_is_named() -> None:
    named = pool("a\n\nb\n\nc", metadata={"steps": ["a", "b", "c"], "first_error": 1}, correct=[Score(value=0.0)])
    flawless = pool("a\n\nb", metadata={"steps": ["a", "b"], "first_error": None}, correct=[Score(value=1.0)])
    found = solutions([named, flawless])
    assert [one.labels for one in found.solutions] == [(1.0, 0.0, None), (1.0, 1.0)]


def test_an_outcome_labels_the_last_step_alone() -> None:
    made = pool("a\nb\nc", "d", correct=[Score(value=0.0, steps=(1.0, 0.0, 1.0)), Score(value=1.0)])
    found = solutions([made], labels="outcome")
    assert [one.labels for one in found.solutions] == [(None, None, 0.0), (1.0,)]


def test_texts_are_cut_into_as_many_steps_as_there_are_scores() -> None:
    text = "1. one\nmore of it\n\n2. two\n\nso three"
    candidate = Candidate(index=0, text=text)
    prompt = Prompt(id="p", messages=as_messages("?"))
    assert steps_scored(prompt, candidate, 2) == ("1. one\nmore of it\n\n", "2. two\n\nso three")
    assert steps_scored(prompt, candidate, 3) == ("1. one\nmore of it\n\n", "2. two\n\n", "so three")
    assert steps_scored(prompt, candidate, 9) is None
    assert steps_scored(prompt, candidate, 0) is None


def test_a_way_of_cutting_that_is_named_is_the_one_and_a_count_that_differs_is_left_out() -> None:
    made = pool("a\nb\n\nc", "x\ny", critic=[Score(value=0.1, steps=(0.9, 0.1)), Score(value=0.1, steps=(0.9, 0.1))])
    found = solutions([made], by="critic", cut="newline")
    assert [one.steps for one in found.solutions] == [("x", "y")]
    assert found.left_out == {"there are not as many steps as scores of steps": 1}


def test_what_has_no_label_is_counted_with_its_reason() -> None:
    scores = [
        Score(value=0.5, steps=(0.5,)),
        Score.missing("nobody looked"),
        Score(value=7.0, steps=(7.0,)),
        Score(value=1.0, steps=(1.0,)),
    ]
    found = solutions([pool("a", "b", "c", " ", critic=scores)])
    assert len(found.solutions) == 1
    assert found.left_out == {
        "its steps have no scores": 1,
        "the score of a step is not between 0 and 1, so it is no probability": 1,
        "there is no text": 1,
    }
    outcomes = solutions([pool("a", "b", "c", critic=scores[:3])], labels="outcome")
    assert outcomes.left_out == {
        "it has no value (nobody looked)": 1,
        "its value is not between 0 and 1, so it is no probability": 1,
    }


def test_no_label_at_all_is_refused_and_says_why() -> None:
    with pytest.raises(UsageError, match="1 candidates: its steps have no scores"):
        solutions([pool("a", math=[Score(value=1.0)])])
    with pytest.raises(UsageError, match="which scorer decides"):
        solutions([pool("a", one=[Score(value=1.0)], other=[Score(value=1.0)])])
    with pytest.raises(UsageError, match="there are no candidates"):
        solutions([])


@pytest.mark.parametrize("labels", [(1.0,), (1.0, 2.0), (1.0, -0.1)])
def test_labels_are_probabilities_one_a_step(labels: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="label"):
        Solution(messages=as_messages("?"), steps=("a", "b"), labels=labels)


def test_wrong_solutions_that_scored_no_lower_than_a_right_one_go_back_in() -> None:
    made = pool(
        *("right\nlow", "wrong\nhigh", "wrong\nhigher", "wrong\nlow"),
        correct=[
            Score(value=1.0, steps=(1.0, 1.0)),
            Score(value=0.0, steps=(1.0, 0.0)),
            Score(value=0.0),
            Score(value=0.0, steps=(0.0, 0.0)),
        ],
        critic=[Score(value=0.5), Score(value=0.5), Score(value=0.9), Score(value=0.4)],
    )
    found = hard_solutions([made])
    assert [one.steps for one in found] == [("wrong", "higher"), ("wrong", "high")]
    assert [one.labels for one in found] == [(None, 0.0), (1.0, 0.0)], "without marks, only that it ends wrong"
    assert all(one.hard for one in found)
    assert len(hard_solutions([made], most=1)) == 1


def test_pools_without_a_right_candidate_fool_nobody() -> None:
    made = pool("a", correct=[Score(value=0.0)], critic=[Score(value=0.9)])
    assert hard_solutions([made]) == ()
    with pytest.raises(UsageError, match="wanted are 'correct', and by which"):
        hard_solutions([pool("a", critic=[Score(value=0.9)])])


def test_a_teacher_sees_solutions_without_labels_and_teaches_steps_or_the_end() -> None:
    bare = unlabelled([pool("a\nb", "c\nd", "e", " ", correct=[Score(value=1.0)] * 4)])
    assert [one.labels for one in bare.solutions] == [(None, None), (None, None), (None,)]
    assert bare.left_out == {"there is no text": 1}
    asked = list(shown(bare))
    assert not any(one.scores for one in asked)
    assert [one.prompt.metadata["steps"] for one in asked] == [["a", "b"], ["c", "d"], ["e"]]
    said = [Score(value=0.2, steps=(0.9, 0.2)), Score(value=0.3), Score(value=3.0)]
    told = taught(bare, [one.with_scores("t", [score]) for one, score in zip(asked, said, strict=True)], by="t")
    assert [one.labels for one in told.solutions] == [(0.9, 0.2), (None, 0.3)]
    assert told.left_out["the teacher t: its value is not between 0 and 1, so it is no probability"] == 1
    with pytest.raises(UsageError, match="taught nothing"):
        taught(bare, [one.with_scores("t", [Score.missing("asleep")]) for one in asked], by="t")


def test_what_a_teacher_says_in_another_order_goes_to_its_solution() -> None:
    data = Stepwise(
        solutions=tuple(
            Solution(messages=as_messages(f"q{place}"), steps=("s",) * (place + 1), labels=(None,) * (place + 1))
            for place in range(3)
        )
    )
    scored = [one.with_scores("t", [Score(value=int(one.prompt.id) / 10)]) for one in shown(data)]
    told = taught(data, reversed(scored), by="t")
    assert {one.messages[0]["content"]: one.labels[-1] for one in told.solutions} == {"q0": 0.0, "q1": 0.1, "q2": 0.2}
