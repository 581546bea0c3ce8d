from __future__ import annotations

import json
import os
import time
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon import answers
from bon.errors import SpecError, UsageError

DATA = Path(os.environ.get("BON_DATA", Path(__file__).parents[2] / "shared" / "data"))


def rows(path: str) -> list[dict]:
    if not (DATA / path).is_file():
        pytest.skip(f"{path} is not there: set BON_DATA to the folder with the test data")
    return [json.loads(line) for line in (DATA / path).read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("same", "representative"),
    [
        (
            ["1,000", "1000", "1000.0", "$1000", "$1,000.00", "1{,}000", "\\$1000", "1000 dollars", "1e3", "+1000"],
            "1000",
        ),
        (["1/2", "0.5", ".5", "0.50", "\\frac{1}{2}", "\\frac12", "$\\dfrac{1}{2}$", "2/4", "x = 1/2"], "0.5"),
        (["1/3", "2/6", "\\frac{1}{3}"], "1/3"),
        (["-5", "−5", "-$5", "$-5", "-5.0", "-10/2", "-5 degrees", "-5^\\circ"], "-5"),
        (["1 1/2", "1\\frac{1}{2}", "1.5", "3/2"], "1.5"),
        (["50%", "50\\%", "50", "50 percent"], "50"),
        (["300000000", "3 \\times 10^8", "3 x 10^{8}", "3e8", "300,000,000"], "300000000"),
        (["0", "-0", "0.0", "0/7"], "0"),
        (["B", "(B)", "(b)", "\\text{(B)}", "**B**", "B."], "B"),
        (["Paris", "paris", "PARIS.", "\\text{Paris}", "**Paris**"], "paris"),
        (["x^2 + 1", "x^2+1", "$x^2 + 1$"], "x^2+1"),
        (["3\\sqrt{13}", "3 \\sqrt{13}"], "3\\sqrt{13}"),
        (["\\sqrt  x", "\\sqrt x"], "\\sqrt x"),
        (["2 \\pi r", "2\\pi  r"], "2\\pi r"),
        (["5 m", "5 cm", "5cm", "5 cm^2", "5 km/h", "5 of them", "5\\text{ m}", "5 L", "5 eggs", "5eggs", "5."], "5"),
        (["No solution", "no  solution"], "no solution"),
        (["10!", "10 !", "$10!$"], "10!"),
        (["\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}"], "\\begin{pmatrix}1\\\\2\\end{pmatrix}"),
        (["4 = x^2 + y^2"], "4=x^2+y^2"),
        (["\\left( 3, 4 \\right]", "(3,4]"], "(3,4]"),
        (["\\frac{\\pi}{2}", "\\dfrac{\\pi}{2}"], "\\frac{\\pi}{2}"),
    ],
)
def test_equivalent_answers_share_one_representative(same: list[str], representative: str) -> None:
    assert {answers.representative(answer) for answer in same} == {representative}
    assert {answers.boxed(f"So it is $\\boxed{{{answer}}}$.") for answer in same} == {representative}


@pytest.mark.parametrize(
    "answer",
    [
        "1/0",
        "3\\pi",
        "3\\sqrt{2}",
        "2x",
        "x^2",
        "10^8",
        "3, 5",
        "(1,2)",
        "1.2.3",
        "3/4/5",
        "2xy",
        "3ab",
        "2 x",
        "2 xy",
        "10!",
        "1 and 2",
        "4m",
    ],
)
def test_what_is_more_than_a_number_is_not_read_as_one(answer: str) -> None:
    assert answers.number(f"\\boxed{{{answer}}}") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#### 18", "18"),
        ("She sells 9.\n#### 1,234", "1234"),
        ("A: 18", "18"),
        ("2 + 2 = 4\nA: -7.50", "-7.5"),
        ("The answer is 18 eggs. That took 3 steps.", "18"),
        ("**Answer:** 18, since 9 * 2 = 18 and 3 are left over", "18"),
        ("The answer to the question is 5 + 3 = 8.", "8"),
        ("Final Answer:\n\n\\[ \\boxed{\\frac{3}{4}} \\]", "0.75"),
        ("The answer is 3. Wait, no. The answer is 4.", "4"),
        ("first \\boxed{3}, then \\boxed{4}", "4"),
        ("16 - 3 - 4 = 9 eggs, and 9 * 2 = 18 dollars a day", "18"),
        ("#### Step 1\nAdd 2 and 3.\n#### Step 2\nThat makes 5.", "5"),
        ("it costs $5.", "5"),
        ("between 10-15", "15"),
        ("by 12/25/2023", None),
        ("CO2 and H2O", None),
        ("nothing to see", None),
        ("", None),
        ("9" * 5_000, None),
    ],
)
def test_number_reads_what_is_announced_else_the_last_one(text: str, expected: str | None) -> None:
    assert answers.number(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\\boxed{a{b}{c{d}}e}", "a{b}{c{d}}e"),
        ("\\boxed{1} and \\boxed{2}", "2"),
        ("\\boxed{\\boxed{5}}", "5"),
        ("\\boxed{\\{1, 2\\}}", "\\{1,2\\}"),
        ("} { \\boxed{7}", "7"),
        ("\\boxed 7 is it", "7"),
        ("\\fbox{9} \\fboxed{8}", "8"),
        ("\\boxed{1} but then \\boxed{2", "1"),
        ("\\boxed{}", None),
        ("18", None),
    ],
)
def test_boxed_reads_the_last_complete_box_with_nested_braces(text: str, expected: str | None) -> None:
    assert answers.boxed(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The answer is (B).", "B"),
        ("The correct answer is: **(c)** because of that", "C"),
        ("Answer: D", "D"),
        ("answer: option E", "E"),
        ("I would go for option B here, not A", "B"),
        ("B", "B"),
        ("(b)", "B"),
        ("B. Paris", "B"),
        ("Let me think.\n\n**C**\n", "C"),
        ("\\boxed{\\text{(A)}}", "A"),
        ("The answer is A.", "A"),
        ("The answer is A because it is", "A"),
        ("The answer is A dog", None),
        ("Answer: I think it is hard", None),
        ("The answer is A and C", None),
        ("The answer is B or C", None),
        ("The answer is D = 5 m", None),
        ("The answer is Berlin", None),
        ("no idea", None),
    ],
)
def test_choice_reads_one_letter_and_never_a_word(text: str, expected: str | None) -> None:
    assert answers.choice(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Here:\n```python\nx = 1\n```\nor\n```py\ny = 2\n\n```\ndone", "y = 2"),
        ("```python\nx = 1\n```\nprints\n```\n1\n```", "x = 1"),
        ("```js\nx\n```\n```\nplain\n```", "plain"),
        ("```js\nx\n```", "x"),
        ("~~~python\n    return 1\n~~~", "    return 1"),
        ("````python\nprint('```')\n````", "print('```')"),
        ("```python\nx = '''\n```python\n'''\n", "x = '''\n```python\n'''"),
        ("def f(x):\n    return x\n", "def f(x):\n    return x"),
        ("    return x + 1\n", "    return x + 1"),
        ("print('a\\d')", "print('a\\d')"),
        ("```python\n```", None),
        ("Hello", None),
        ("I cannot do that.", None),
        ("", None),
    ],
)
def test_code_reads_the_last_python_block_or_a_text_that_is_code(text: str, expected: str | None) -> None:
    assert answers.code(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\\boxed{\\frac{1}{2}}. The answer is correct.", "0.5"),
        ("The answer is (B).", "B"),
        ("The answer is Paris.", "paris"),
        ("#### 1,000", "1000"),
        ("A: 18 dollars", "18"),
        ("The answer is 18!", "18"),
        ("18!", "18"),
        ("\\boxed{2xy}", "2xy"),
        ("The answer is 18 because 2 * 9 = 18.", "18"),
        ("The answer is 3 apples and 5 pears.", "3 apples and 5 pears"),
        ("That makes 7 in all.", "7"),
        ("Yes.", "yes"),
        ("x^2 + 1", "x^2+1"),
        ("(3, 4]", "(3,4]"),
        ("2 + 2 = 4", "4"),
        ("3 + 4 = 7, 7 * 2 = 14", "14"),
        ("by 12/25/2023", "by 12/25/2023"),
        ("word " * 50, None),
        ("\\boxed{unfinished", None),
        ("  ", None),
    ],
)
def test_any_reads_whatever_answer_there_is(text: str, expected: str | None) -> None:
    assert answers.any(text) == expected


def test_regex_reads_the_first_group_of_the_last_match() -> None:
    assert answers.regex(r"total: (\S+)")("total: 3 total: $1,000.0") == "1000"
    assert answers.regex(r"[A-Z]{3}")("ABC then DEF") == "DEF"
    assert answers.regex(r"x(y)?")("x") is None
    assert answers.regex(r"zzz")("abc") is None
    assert answers.extractor("regex:a:(b)")("a:b") == "b"


def test_names_and_patterns_that_are_none_say_what_there_is() -> None:
    assert answers.extractor("number") is answers.number
    with pytest.raises(SpecError, match="no extractor is called 'numbre'; there are number, boxed, choice, code, any"):
        answers.extractor("numbre")
    with pytest.raises(UsageError, match="'\\(' is not a regular expression"):
        answers.extractor("regex:(")


@given(st.text() | st.text(alphabet="0123456789.,/-+$%{}\\ ()=^eA: \n#`box*fractex") | st.from_regex(r"\\boxed\{.*\}"))
def test_no_text_makes_an_extractor_raise(text: str) -> None:
    for name, extract in answers.EXTRACTORS.items():
        found = extract(text)
        assert found is None or (found.strip() and isinstance(found, str)), name


@given(st.fractions(), st.integers(0, 10))
def test_equal_rationals_have_equal_representatives_however_they_are_written(value: Fraction, zeros: int) -> None:
    shown = answers.representative(f"{value.numerator}/{value.denominator}")
    assert shown is not None
    assert Fraction(shown) == value
    assert answers.representative(shown) == shown
    assert answers.number(f"The answer is {shown}.") == shown
    if "/" not in shown:
        tail = "0" * zeros
        assert answers.representative(shown + (tail if "." in shown else f".{tail}0")) == shown


@given(st.integers(-(10**12), 10**12))
def test_separators_currency_and_boxes_do_not_change_an_integer(value: int) -> None:
    for text in (
        f"{value:,}",
        f"${value:,}",
        f"so \\boxed{{{value}}}",
        f"#### {value:,}",
        f"A: {value}.0",
        f"{value} eggs",
    ):
        assert answers.number(text) == answers.any(text) == str(value)


N = 100_000
HOSTILE = [
    "9" * N,
    "1,234" * (N // 5),
    "1 " * (N // 2),
    "1/" * (N // 2),
    "-" * N,
    " " * N,
    "^" + " " * N + "{",
    "\\boxed{" * (N // 7),
    "\\boxed{" * (N // 8) + "}" * (N // 8),
    "{" * N + "}" * N,
    "\\frac{1}{" * (N // 9),
    "\\text{" * (N // 6),
    "the answer is " * (N // 14),
    "answer to the" + "q" * N,
    "A:\n" * (N // 3),
    "```" * (N // 3),
    "```\n" * (N // 4),
    "(" * N,
    "-" * N + "1",
    "a+" * (N // 2) + "a",
    'f"{' * (N // 3),
    "5 " + "a " * (N // 2) + "!!",
    "option " * (N // 7),
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:12]))
def test_hostile_texts_take_linear_time(text: str) -> None:
    start = time.process_time()
    for extract in answers.EXTRACTORS.values():
        extract(text)
    assert time.process_time() - start < 3  # measured 0.02 to 0.3; a quadratic pattern takes minutes


def test_a_last_answer_line_parser_agrees_with_all_gsm8k_labels() -> None:
    checked = 0
    for row in rows("gsm8k/example_model_solutions.jsonl"):
        truth = answers.number(row["ground_truth"])
        for solution in (value for value in row.values() if isinstance(value, dict)):
            assert (answers.number(solution["solution"]) == truth) == solution["is_correct"]
            checked += 1
    assert checked == 5_276


def test_gsm8k_references_are_read() -> None:
    for row in rows("gsm8k/test.jsonl"):
        assert answers.any(row["answer"]) == answers.representative(row["answer"].rpartition("####")[2])


def test_boxes_of_math500_hold_their_answers() -> None:
    for row in rows("math/math500.jsonl"):
        assert answers.boxed(row["solution"]) == answers.any(row["solution"]) == answers.representative(row["answer"])
