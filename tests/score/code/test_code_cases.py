"""What the program of an answer is, and what the tests of a prompt are: read, not run."""

from __future__ import annotations

from typing import Any

import pytest

from bon.errors import DataError
from bon.sandbox import Tests
from bon.sandbox.inside.comparing import same
from bon.score.code.cases import Script, cases_of, same_text
from bon.score.code.doctests import examples_of
from bon.score.code.programs import helpers, program_of
from bon.types import Prompt, as_messages

STUB = '''import math


def helper(x):
    return x + 1


def area(r: float) -> float:
    """The area.

    >>> area(0)
    0.0
    """
'''


def prompt(text: str = "Do it.", **metadata: Any) -> Prompt:
    return Prompt(id="p", messages=as_messages(text), metadata=metadata)


def run(program: str | None, expression: str) -> object:
    names: dict[str, Any] = {}
    exec(program or "", names)
    return eval(expression, names)


@pytest.mark.parametrize(
    "answer",
    [
        "Sure:\n```python\ndef area(r):\n    return math.pi * helper(r)\n```\nDone.",
        "```\ndef area(r):\n    return math.pi * helper(r)",
        "def area(r):\n    return math.pi * helper(r)",
        "    return math.pi * helper(r)\n",
        "return math.pi * helper(r)",
        "    x = helper(r)\n\n    return math.pi * x\n\nprint(area(3))\ndef other(): pass",
        "```python\n    return math.pi * helper(r)\n```",
        "area = lambda r: math.pi * helper(r)",
        "```python\ndef area(r):\n    return math.pi * helper(r)\n```\nUse it so:\n```python\nprint(area(2))\n```",
        "```\ndef area(r): return 0\n```\n\n```\ndef area(r): return math.pi * helper(r)\n```\n```py\narea(1)\n```",
    ],
)
def test_an_answer_is_a_whole_program_or_the_rest_of_the_stub(answer: str) -> None:
    program = program_of(answer, stub=STUB, entry_point="area")
    assert run(program, "round(area(1), 3)") == 6.283


def test_a_body_of_another_indentation_continues_the_head_without_its_docstring() -> None:
    assert run(program_of("  x = 2 * r\n  return x", stub=STUB, entry_point="area"), "area(4)") == 8


@pytest.mark.parametrize("answer", ["I do not know.", "", "```\n```"])
def test_what_is_no_program_is_none(answer: str) -> None:
    assert program_of(answer, stub=STUB, entry_point="area") is None
    assert program_of(answer) is None


def test_a_program_without_the_function_never_gets_the_stubs_empty_one() -> None:
    program = program_of("```python\ndef circle(r):\n    return None\n```", stub=STUB, entry_point="area")
    assert program is not None
    assert "def area" not in program


def test_the_head_alone_is_no_program() -> None:
    program = program_of(f"```python\n{STUB}```", stub=STUB, entry_point="area")
    assert program is None or program.count("def area") == 1


def test_imports_from_the_future_stay_at_the_top() -> None:
    code = "from __future__ import annotations\ndef area(r: Unknown):\n    return helper(r)"
    program = program_of(code, stub=STUB, entry_point="area")
    assert run(program, "area(1)") == 2


def test_no_warning_comes_of_odd_escapes() -> None:
    assert program_of("```python\ndef area(r):\n    return '\\d'\n```", stub=STUB, entry_point="area") is not None


def test_helpers_are_what_the_prompt_defines_whole() -> None:
    source = helpers(STUB + "\ndef later(x):\n    '''A head.'''\n\n@staticmethod\ndef kept(): return '\\d'\n", "area")
    assert source == "import math\ndef helper(x):\n    return x + 1\n@staticmethod\ndef kept(): return '\\d'"
    assert helpers("no Python at all", "f") == ""


def test_humanevals_columns() -> None:
    found = cases_of(prompt(prompt=STUB, entry_point="area", test="def check(c): assert c(0) == 0"))
    assert isinstance(found, Tests)
    assert (found.texts, found.check, found.entry_point) == (("def check(c): assert c(0) == 0",), "check", "area")
    assert "def helper" in found.setup
    assert "def area" not in found.setup


def test_lists_of_asserts_and_their_setup() -> None:
    found = cases_of(prompt(test_list=["assert f(1)", "assert f(2)"], test_setup_code="import math", entry_point="f"))
    assert found == Tests(texts=("assert f(1)", "assert f(2)"), entry_point="f", setup="import math")


def test_scripts() -> None:
    rows = [{"stdin": "1\n", "stdout": "2\n"}, {"input": "3", "output": "6"}]
    assert cases_of(prompt(tests=rows)) == (Script(stdin="1\n", stdout="2\n"), Script(stdin="3", stdout="6"))


def test_inputs_and_outputs_of_a_function() -> None:
    rows = [{"args": [1, float("inf")], "kwargs": {"b": None}, "expected": {"x": [True]}}, "assert f(0) == 1"]
    found = cases_of(prompt(tests=rows, entry_point="f"))
    assert isinstance(found, Tests)
    assert found.texts[0] == "assert __same__(f(1, float('inf'), **{'b': None}), {'x': [True]})"
    assert found.texts[1] == "assert f(0) == 1"


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"tests": [3]}, "3 is no test"),
        ({"tests": [{"args": [1]}], "entry_point": "f"}, "is no test"),
        ({"tests": [{"args": [1], "expected": 1}]}, "`entry_point` must name it"),
        ({"tests": [{"args": 1, "expected": 1}], "entry_point": "f"}, "args is a list"),
        ({"tests": [{"args": [], "expected": 1}], "entry_point": "f(); import os"}, "`entry_point` must name it"),
    ],
)
def test_what_is_no_test_is_said(metadata: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=r"prompt 'p'.*") as caught:
        cases_of(prompt(**metadata))
    assert words in str(caught.value)


@pytest.mark.parametrize("metadata", [{}, {"tests": []}, {"tests": "assert f(1)"}, {"test": None}])
def test_a_prompt_may_have_no_tests(metadata: dict[str, Any]) -> None:
    assert cases_of(prompt(**metadata)) is None


@pytest.mark.parametrize(
    ("printed", "wanted", "same"),
    [
        ("1 2\n", "1 2", True),
        ("1 2  \n\n", "1 2\n", True),
        ("1  2", "1 2", False),
        ("1\n\n2", "1\n2", False),
        ("", "", True),
    ],
)
def test_what_a_script_prints_is_compared_line_by_line(printed: str, wanted: str, same: bool) -> None:
    assert same_text(printed, wanted) is same


SESSIONS = '''def f(x):
    """ Doubles.
    >>> f(2)
    4
    >>> f([1])
    [1, 1]

    >>> y = 3
    >>> f(y)
    6
    >>> f(None)
    Traceback (most recent call last):
    TypeError: no
    >>> f({2, 1}) """
'''


def test_sessions_in_the_prompt_are_tests() -> None:
    found = examples_of(prompt(prompt=SESSIONS, entry_point="f"))
    assert found is not None
    assert found.texts == (
        "assert __shown__((f(2)), '4')\nassert __shown__((f([1])), '[1, 1]')",
        "y = 3\nassert __shown__((f(y)), '6')\nf({2, 1})",
    )


@pytest.mark.parametrize(
    "line",
    [
        "f('a(', 2) == 'a(a('",
        "f('a(', 2) => 'a(a('",
        "f('a(', 2) ➞ 'a(a('",
        "For example, f('a(', 2) returns 'a(a(', as is plain.",
        "`f('a(', 2)` should return `'a(a('`.",
        "f('a(', 2) = 'a(a('  # so",
        "f('a(', 2)\nOutput: 'a(a('",
        "f('a(', 2) # => 'a(a('",
    ],
)
def test_lines_with_a_call_and_its_value_are_tests(line: str) -> None:
    found = examples_of(prompt(f"Write f.\n{line}\n", entry_point="f"))
    assert found is not None
    assert found.texts == ("""assert __shown__(f('a(', 2), "'a(a('")""",)


@pytest.mark.parametrize("text", ["Write f(x).", "f(x) is the double of x", "def f(x): return 1", "off(2) == 4", "f(2"])
def test_prose_is_no_example(text: str) -> None:
    assert examples_of(prompt(text, entry_point="f")) is None


@pytest.mark.parametrize(
    ("value", "wanted", "right"),
    [
        (1.0000001, 1.0, True),
        (1.00001, 1.0, False),
        (1e12 + 1, 1e12, True),
        ((1, {"a": (2,)}), [1, {"a": [2]}], True),
        ({1: "x"}, {"1": "x"}, True),
        (1, True, False),
        (2.0, 2, True),
        ("2", 2, False),
        (5.0, float("inf"), False),
        (float("-inf"), float("inf"), False),
        (float("inf"), float("inf"), True),
        (1e308, float("inf"), False),
        (float("inf"), 1e308, False),
        (float("nan"), float("nan"), True),
        (5.0, float("nan"), False),
        (float("nan"), 5.0, False),
        ([1], [1, 2], False),
        (None, 0, False),
        ({1, 2}, [1, 2], False),
    ],
)
def test_a_result_is_held_against_what_json_says(value: object, wanted: object, right: bool) -> None:
    assert same(value, wanted) is right
