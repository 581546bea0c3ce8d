"""Steps: whatever the text and the splitter, joining the steps gives the text back."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bon.errors import ScoreError, UsageError
from bon.score.process.steps import SPLITTERS, aligned, split

PIECES = [
    "Step 1: ", "Step 2:", "**Step 3:** ", "### Step 4\n", "step 10 ", "1. ", "2) ", "(3) ", "**4.** ", "  1. ",
    "- 2. ", "\n", "\n\n", " \n \n", "\r\n", "\t", " ", "x = 1.5", ".", "3.5 apples", "ки", "\u2028", "\x0b", "# ", "_",
    "", "7:",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=30).map("".join)


@pytest.mark.parametrize("how", SPLITTERS)
@given(text=TEXTS)
@example(text="a\n\n  b\n \n\nc\n")
def test_joining_gives_the_text_back_and_no_step_is_empty(how: str, text: str) -> None:
    steps = split(text, how)
    assert "".join(steps) == (text if text.strip() else "")
    assert all(step.strip() for step in steps)
    assert bool(steps) == bool(text.strip())


@given(text=TEXTS, cuts=st.lists(st.integers(0, 200), max_size=6))
def test_steps_cut_by_others_are_found_again_without_their_white_space(text: str, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    parts = [text[a:b].strip() for a, b in pairwise(edges)]
    given_steps = [part for part in parts if part]
    found = aligned(text, given_steps)
    assert [step.strip() for step in found] == given_steps
    assert "".join(found) == (text if given_steps else "")


@pytest.mark.parametrize(
    ("how", "text", "steps"),
    [
        ("newline", "a\n  b\n\n\nc\n", ["a\n", "  b\n\n\n", "c\n"]),
        ("blank", "\n\na\nb\n \n\nc\n\n", ["\n\na\nb\n \n\n", "c\n\n"]),
        ("step", "We go on.\nStep 1: a\n\nStep 2: b\nthe end", ["We go on.\n", "Step 1: a\n\n", "Step 2: b\nthe end"]),
        ("step", "  **Step 1:** a\n### Step 2 b", ["  **Step 1:** a\n", "### Step 2 b"]),
        ("step", "Step 2: a\nStep 3: b", ["Step 2: a\nStep 3: b"]),
        ("numbered", "1. a\n   1. b\n   2. c\n2. d\n9. e\n3) f", ["1. a\n   1. b\n   2. c\n", "2. d\n9. e\n", "3) f"]),
        ("numbered", "1. a\n2.5 apples\n2. b", ["1. a\n2.5 apples\n", "2. b"]),
        ("numbered", "(1) a\n(2) b", ["(1) a\n", "(2) b"]),
        ("numbered", "**1.** a\n**2.** b", ["**1.** a\n", "**2.** b"]),
        ("whole", "a\n\nb", ["a\n\nb"]),
        ("auto", "Step 1: a\n\nmore\n\nStep 2: b", ["Step 1: a\n\nmore\n\n", "Step 2: b"]),
        ("auto", "So:\n1. a\n\n2. b", ["So:\n", "1. a\n\n", "2. b"]),
        ("auto", "a\nb\n\nc", ["a\nb\n\n", "c"]),
        ("auto", "a\nb", ["a\n", "b"]),
        ("auto", "a", ["a"]),
    ],
)  # fmt: skip
def test_known_texts(how: str, text: str, steps: list[str]) -> None:
    assert list(split(text, how)) == steps


def test_a_splitter_of_yours_may_leave_out_white_space_and_nothing_else() -> None:
    assert split("a; b;\n c", lambda text: [part.strip() + ";" * (part != " c") for part in ["a", " b", " c"]]) == (
        "a; ",
        "b;\n ",
        "c",
    )

    def loses(text: str) -> list[str]:
        return text.split(";")

    with pytest.raises(ScoreError, match=r"the splitter 'loses': the text goes on with '; b', and step 1 is 'b'"):
        split("a; b", loses)
    with pytest.raises(ScoreError, match="no step holds ' b'"):
        split("a b", lambda _: ["a"])
    with pytest.raises(ScoreError, match="step 1 is empty"):
        split("a b", lambda _: ["a", " ", "b"])


def test_a_name_that_is_none_says_which_there_are() -> None:
    with pytest.raises(UsageError, match=r"steps is 'lines'; it must be auto, step, numbered, blank, newline, whole"):
        split("a", "lines")


@pytest.mark.parametrize("how", SPLITTERS)
@pytest.mark.parametrize("unit", ["\n", " \n", "1. ", "1. a\n", "Step 1\n", "#" * 50 + "\n", "*", "\n\n\n a"])
def test_time_grows_with_the_text_and_not_with_its_square(how: str, unit: str) -> None:
    text = "a" + unit * (200_000 // len(unit)) + "b"
    start = time.process_time()
    split(text, how)
    assert time.process_time() - start < 2.0
