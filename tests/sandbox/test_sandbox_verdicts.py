"""Verdicts: each kind for what earns it, each assert a test of its own, and failures of ours never the program's."""

from __future__ import annotations

import pytest

from bon.sandbox import Backend, Limits, Sandbox, Tests

DOUBLE = Tests(texts=("assert double(2) == 4\nassert double('a') == 'aa'",), entry_point="double")


def test_a_right_program_passes(sandbox: Sandbox) -> None:
    verdict = sandbox.check("def double(x): return 2 * x", DOUBLE)
    assert (verdict.kind, verdict.parts, verdict.share) == ("pass", (True, True), 1.0)


def test_every_assert_is_a_test_of_its_own(sandbox: Sandbox) -> None:
    verdict = sandbox.check("def double(x): return x + 2", DOUBLE)
    assert (verdict.kind, verdict.parts, verdict.share) == ("fail", (True, False), 0.5)
    assert verdict.reason.startswith("double('a') == 'aa': TypeError")


def test_asserts_in_loops_count_once_and_must_always_hold(sandbox: Sandbox) -> None:
    tests = Tests(texts=("for i in range(5):\n    assert f(i) < 4\nassert f(0) == 0",))
    assert sandbox.check("def f(x): return x", tests).parts == (False, True)


def test_what_is_not_reached_does_not_count_where_the_tests_came_to_their_end(sandbox: Sandbox) -> None:
    text = "try:\n    f(-1)\n    assert False\nexcept ValueError:\n    assert True\nif f(1) > 100: assert f(2)"
    verdict = sandbox.check("def f(x):\n    if x < 0: raise ValueError\n    return x", Tests(texts=(text,)))
    assert (verdict.kind, verdict.parts) == ("pass", (None, True, None))


def test_what_was_never_reached_fails_where_the_tests_stopped_early(sandbox: Sandbox) -> None:
    tests = Tests(texts=("assert f(1) == 1\nvalue = f(1)['a']\nassert value == 2", "assert f(3) == 3"))
    verdict = sandbox.check("def f(x): return x", tests)
    assert (verdict.kind, verdict.parts) == ("fail", (True, False, True))
    assert "TypeError" in verdict.reason


LOOP = Tests(texts=("def check(f):\n    for i in range(5):\n        y = f(i)\n        assert y == 2 * i",), check="check", entry_point="f")  # fmt: skip  # noqa: E501


@pytest.mark.parametrize(
    ("then", "kind"),
    [("raise ValueError", "fail"), ("import os; os._exit(0)", "crash"), ("import time; time.sleep(60)", "timeout")],
)
def test_an_assert_that_held_once_does_not_hold_where_the_tests_did_not_come_to_their_end(
    then: str, kind: str, backend: Backend
) -> None:
    with Sandbox(backend=backend, limits=Limits(seconds=1.0), workers=1) as sandbox:
        verdict = sandbox.check(f"def f(x):\n    if x:\n        {then}\n    return 0", LOOP)
        after = sandbox.check("def f(x): return [1][x - 1]", Tests(texts=("assert f(1) == 1\nf(7)",)))
    assert (verdict.kind, verdict.parts, verdict.share) == (kind, (False,), 0.0)
    assert (after.kind, after.parts) == ("fail", (False,))


def test_a_crash_that_the_tests_would_not_notice_is_no_pass(sandbox: Sandbox) -> None:
    tests = Tests(texts=("assert f(1) == 1\ntry: f(2)\nexcept: pass",))
    verdict = sandbox.check("import os\ndef f(x): return x if x == 1 else os._exit(0)", tests)
    assert (verdict.kind, verdict.parts) == ("crash", (False,))


@pytest.mark.parametrize(
    "text",
    [
        "import unittest\nclass T(unittest.TestCase):\n    def test(self): self.assertEqual(sum([1]), 5)",
        "assert sum([1, 2]) == 3",  # without an entry point the name is Python's
        "import unheard_of\nassert f(1) == 1",
    ],
)
def test_tests_that_do_not_test_the_program_are_no_verdict_on_it(text: str, sandbox: Sandbox) -> None:
    verdict = sandbox.check("def f(x): return x\ndef sum(x): return 0", Tests(texts=(text,)))
    assert (verdict.kind, verdict.reason[:9]) == ("sandbox-error", "the tests" if "unit" not in text else "tests wit")
    broken = sandbox.check("def f(x): raise ImportError('unheard_of')", Tests(texts=("y = f(1)\nassert y",)))
    assert broken.kind == "fail"  # what the program raises is its own


def test_objects_of_the_program_are_asked_where_they_are(sandbox: Sandbox) -> None:
    program = (
        "class Stack:\n    def __init__(self): self.items = []\n    def push(self, x): self.items.append(x)\n"
        "    def pop(self): return self.items.pop()\n    def __eq__(self, other): return True\n"
        "def adder(n): return lambda x: x + n\ndef size(stack): return len(stack.items)"
    )
    text = (
        "s = Stack()\ns.push(4)\ns.push((5, 6))\nassert size(s) == 2\nassert s.pop() == (5, 6)\nassert s.items == [4]\n"
        "assert adder(3)(4) == 7\nassert s != 4\nassert Stack() != Stack()"
    )
    assert sandbox.check(program, Tests(texts=(text,))).parts == (True,) * 6
    wrong = sandbox.check(program.replace("x + n", "x").replace("items.pop()", "items[0]"), Tests(texts=(text,)))
    assert wrong.parts == (True, False, False, False, True, True)
    lost = Tests(texts=("assert Stack().nothing\ns = Stack()\ns.items = [7]\nassert s.items == [7]",))
    assert sandbox.check(program, lost).parts == (False, False)


@pytest.mark.parametrize(
    "gives", ["raise ValueError('\\ud800')", "return '\\ud800'", "return 10 ** 5000", "return -(10 ** 5000)"]
)
def test_what_cannot_be_written_down_is_wrong_all_the_same(gives: str, sandbox: Sandbox) -> None:
    program = f"def f(x):\n    if x == 2: return 2\n    {gives}"
    verdict = sandbox.check(program, Tests(texts=("assert f(1) == 1\nassert f(2) == 2",)))
    assert (verdict.kind, verdict.parts) == ("fail", (False, True))
    verdict.reason.encode()


def test_tests_that_assert_nothing_do_not_pass(sandbox: Sandbox) -> None:
    tests = Tests(texts=("for x in f(): assert x > 0",))
    assert sandbox.check("def f(): return []", tests).kind == "fail"
    assert sandbox.check("def f(): return [1]", tests).kind == "pass"
    raising = Tests(texts=("if f() != [1]: raise ValueError('no')",))  # tests without asserts are one test
    assert sandbox.check("def f(): return [1]", raising).parts == (True,)
    assert sandbox.check("def f(): return [2]", raising).parts == (False,)


def test_a_check_is_called_with_the_function_under_test(sandbox: Sandbox) -> None:
    tests = Tests(texts=("def check(candidate):\n    assert candidate(3) == 9",), entry_point="square", check="check")
    assert sandbox.check("def square(x): return x * x", tests).kind == "pass"
    assert sandbox.check("def square(x): return x", tests).kind == "fail"


@pytest.mark.parametrize("entry", ["rev", "check"])
def test_the_program_may_have_a_function_of_the_tests_name(entry: str, sandbox: Sandbox) -> None:
    tests = Tests(texts=("def check(candidate):\n    assert check(73) == True",), entry_point=entry, check="check")
    program = "def rev(n): return int(str(n)[::-1])\ndef check(n): return 2 * rev(n) == n + 1"
    assert sandbox.check(program, tests).kind == "pass"
    assert sandbox.check(program.replace("n + 1", "n + 2"), tests).kind == "fail"


def test_helpers_modules_and_other_functions_of_the_program_are_there(sandbox: Sandbox) -> None:
    tests = Tests(
        texts=("assert f(encode('ab')) == 'ab'\nassert math.isclose(g(), math.pi)",),
        setup="def encode(text): return text[::-1]",
        entry_point="f",
    )
    program = "import math\ndef f(text): return text[::-1]\ndef g(): return math.pi\ndef encode(text): return 'cheat'"
    assert sandbox.check(program, tests).kind == "pass"


def test_values_cross_with_their_types(sandbox: Sandbox) -> None:
    text = (
        "assert f((1, {2, 3})) == (1, {2, 3})\nassert f({(1, 2): [None, b'x']}) == {(1, 2): [None, b'x']}\n"
        "assert isinstance(f((1,)), tuple)\nassert f(True) is True\nassert list(g(3)) == [0, 1, 2]\n"
        "assert h('aab') == {'a': 2, 'b': 1}\nassert m('ab')\nassert not m('b')\nassert f(2 ** 200) == 2 ** 200"
    )
    program = (
        "import re, collections\ndef f(x): return x\ndef g(n): yield from range(n)\n"
        "h = collections.Counter\ndef m(x): return re.match('a', x)"
    )
    verdict = sandbox.check(program, Tests(texts=(text,)))
    assert (verdict.kind, len(verdict.parts)) == ("pass", 9)


def test_exceptions_cross_as_the_nearest_of_pythons_own(sandbox: Sandbox) -> None:
    text = (
        "def kind(x):\n    try:\n        f(x)\n    except ValueError as error:\n        return str(error)\n"
        "    except Exception as error:\n        return type(error).__name__\n"
        "assert kind(0) == 'mine'\nassert kind(1) == 'KeyError'\nassert kind(2) == 'Foreign'\nassert kind(3)"
    )
    program = (
        "class Mine(ValueError): pass\nclass Strange(Exception): pass\n"
        "def f(x):\n    raise [Mine('mine'), KeyError('k'), Strange(), UnicodeDecodeError('utf8', b'', 0, 1, 'r')][x]"
    )
    assert sandbox.check(program, Tests(texts=(text,))).kind == "pass"


def test_an_exception_that_ends_loops_does_not_hide_asserts(sandbox: Sandbox) -> None:
    tests = Tests(texts=("assert all(map(f, [1, 2]))\nassert list(map(f, [1, 2])) == []",))
    assert sandbox.check("def f(x): raise StopIteration", tests).parts == (False, False)


@pytest.mark.parametrize(
    ("program", "kind"),
    [
        ("import time\ndef double(x): time.sleep(60)", "timeout"),
        ("def double(x): return len(bytearray(1 << 33))", "memory"),
        ("def double(x):\n    while True: print('x' * 1000)", "output"),
        ("import os\ndef double(x): os._exit(3)", "crash"),
        ("import os, signal\ndef double(x): os.abort()", "crash"),
        ("def double(x: return", "fail"),
        ("", "fail"),
    ],
)
def test_the_kinds_of_verdicts(program: str, kind: str, backend: Backend) -> None:
    with Sandbox(backend=backend, limits=Limits(seconds=1.5, memory=256 << 20), workers=1) as sandbox:
        verdict = sandbox.check(program, DOUBLE)
    assert verdict.kind == kind
    assert verdict.reason
    assert len(verdict.parts) == 2
    assert verdict.share == 0.0


def test_what_ended_early_keeps_the_tests_it_had_passed(backend: Backend) -> None:
    program = "import time\ndef double(x):\n    if x == 'a': time.sleep(60)\n    return 2 * x"
    with Sandbox(backend=backend, limits=Limits(seconds=1.5), workers=1) as sandbox:
        verdict = sandbox.check(program, DOUBLE)
    assert (verdict.kind, verdict.parts) == ("timeout", (True, False))


@pytest.mark.parametrize(
    ("tests", "reason"),
    [
        (Tests(texts=("assert f(",)), "the tests cannot be run: SyntaxError"),
        (Tests(texts=("assert f(lambda: 1)",)), "the tests pass on what cannot cross"),
        (Tests(texts=("assert f(1)",), setup="1 / 0"), "the tests cannot be run: ZeroDivisionError"),
        (Tests(texts=("import os\nos._exit(0)",)), "ended without a verdict"),
    ],
)
def test_what_is_wrong_with_the_tests_is_no_fail_of_the_program(tests: Tests, reason: str, sandbox: Sandbox) -> None:
    verdict = sandbox.check("def f(x): return x", tests)
    assert verdict.kind == "sandbox-error"
    assert reason in verdict.reason
    assert sandbox.check("def double(x): return 2 * x", DOUBLE).kind == "pass"


def test_tests_that_hang_are_ended_and_the_next_ones_run(backend: Backend) -> None:
    with Sandbox(backend=backend, limits=Limits(seconds=1.0), workers=1) as sandbox:
        assert sandbox.check("def f(x): return x", Tests(texts=("while True: f(1)",))).kind == "timeout"
        assert sandbox.check("def f(x): return x", Tests(texts=("while True: pass",))).kind == "timeout"
        assert sandbox.check("def double(x): return 2 * x", DOUBLE).kind == "pass"


def test_one_set_of_tests_leaves_nothing_to_the_next(sandbox: Sandbox) -> None:
    poison = "import builtins, os\nbuiltins.hash = lambda x: 4\nos.environ['X'] = '1'\nassert hash(f(1)) == 4"
    assert sandbox.check("def f(x): return x", Tests(texts=(poison,))).kind == "pass"
    for _ in range(4):  # whichever process it lands in
        assert sandbox.check("def f(x): return x", Tests(texts=("assert hash(f(7)) == 7",))).kind == "pass"


def test_files_of_one_set_of_tests_are_not_there_for_the_next(bubblewrap: Backend) -> None:
    write = "assert f(open('/tmp/colorsys.py', 'w').write('rgb_to_hls = lambda *a: 5'))\n"
    write += "import os\nos.makedirs('/tmp/a/b')\nos.chmod('/tmp/a/b', 0)\nassert f(1) == 1"
    with Sandbox(backend=bubblewrap, workers=1) as sandbox:
        assert sandbox.check("def f(x): return x", Tests(texts=(write,))).kind == "pass"
        text = "import os\nassert colorsys.rgb_to_hls(0.1, 0.2, 0.3) != f(5)\nassert os.listdir('/tmp') == []"
        assert sandbox.check("def f(x): return x", Tests(texts=(text,))).kind == "pass"


def test_what_a_program_prints_is_kept_and_bounded(sandbox: Sandbox) -> None:
    verdict = sandbox.check("print('loaded')\ndef double(x):\n    print('y' * 9000)\n    return 2 * x", DOUBLE)
    assert verdict.kind == "pass"
    assert verdict.printed.endswith("yyy\n")
    assert len(verdict.printed) <= 4000


def test_a_script_reads_and_prints(sandbox: Sandbox) -> None:
    output = sandbox.execute("for line in open(0): print(int(line) * 2)", "1\n2\n")
    assert (output.kind, output.stdout) == ("pass", "2\n4\n")
    large = "7\n" * 200_000
    assert sandbox.execute("import sys; print(sum(map(int, sys.stdin)))", large).stdout == "1400000\n"
    assert sandbox.execute("print('never read')", large).stdout == "never read\n"


@pytest.mark.parametrize(
    ("program", "kind", "reason"),
    [
        ("1 / 0", "fail", "ZeroDivisionError"),
        ("import sys; sys.exit('no')", "fail", "no"),
        ("import sys; sys.exit(7)", "crash", "exit code 7"),
        ("held = bytearray(1 << 34)", "memory", "MemoryError"),
        ("import os; os.abort()", "crash", "SIG"),
        ("x = (", "fail", "SyntaxError"),
    ],
)
def test_a_script_that_goes_wrong(program: str, kind: str, reason: str, sandbox: Sandbox) -> None:
    output = sandbox.execute(program)
    assert output.kind == kind
    assert reason in output.reason


def test_a_program_runs_as_main_only_as_a_script(sandbox: Sandbox) -> None:
    program = "import dataclasses\n@dataclasses.dataclass\nclass P:\n    x: int = 4\ndef double(x): return x * 2\n"
    program += "if __name__ == '__main__': print('main', P())"
    assert sandbox.execute(program).stdout == "main P(x=4)\n"
    assert sandbox.check(program, DOUBLE).kind == "pass"
    assert sandbox.check(program, DOUBLE).printed == ""


def test_an_event_loop_runs_without_a_network(sandbox: Sandbox) -> None:
    program = (
        "import asyncio\nasync def main():\n    await asyncio.sleep(0.01)\n    return 7\nprint(asyncio.run(main()))"
    )
    assert sandbox.execute(program).stdout == "7\n"


def test_both_sides_of_a_fork_that_answer_are_right_only_where_the_answers_are(bubblewrap: Backend) -> None:
    program = "import os\nos.fork()\ndef double(x): return 7 if os.getpid() > 1 else 4"
    with Sandbox(backend=bubblewrap, workers=1, limits=Limits(processes=4, seconds=3)) as sandbox:
        for _ in range(5):
            verdict = sandbox.check(program, DOUBLE)
            assert verdict.kind in ("fail", "timeout", "crash")
            assert verdict.parts[1:] == (False,)


def test_threads_are_allowed_and_processes_where_limits_say_so(bubblewrap: Backend) -> None:
    threads = (
        "import sys, threading\nsys.setrecursionlimit(200000)\nthreading.stack_size(64 << 20)\n"
        "def deep(n): return 0 if n == 0 else 1 + deep(n - 1)\n"
        "t = threading.Thread(target=lambda: print(deep(20000)))\nt.start(); t.join()"
    )
    forks = "import subprocess; print(subprocess.run(['/bin/echo', 'hello'], capture_output=True).stdout)"
    with Sandbox(backend=bubblewrap, workers=1) as sandbox:
        assert sandbox.execute(threads).stdout == "20000\n"
        assert "PermissionError" in sandbox.execute(forks).reason
    with Sandbox(backend=bubblewrap, workers=1, limits=Limits(processes=2)) as sandbox:
        assert sandbox.execute(forks).stdout == "b'hello\\n'\n"
        many = (
            "import os, time\nfor n in range(99):\n    try: child = os.fork()\n    except OSError: break\n"
            "    if not child: time.sleep(60)\nprint(n)"
        )
        assert int(sandbox.execute(many).stdout) < 8
        many = (
            "import os, time\nfor n in range(99):\n    try: child = os.fork()\n    except OSError: break\n"
            "    if not child: time.sleep(60)\nprint(n)"
        )
        assert int(sandbox.execute(many).stdout) < 8


@pytest.mark.parametrize("name", ["seconds", "memory", "output", "files", "processes"])
def test_limits_are_above_zero(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Limits(**{name: 0})  # type: ignore[arg-type]
