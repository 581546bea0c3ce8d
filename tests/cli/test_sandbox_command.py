"""`bon sandbox selftest`: it says what it tried and what holds, and refuses where nothing does."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bon.errors import NoSandbox
from bon.sandbox import Backend, available, choose
from bon.sandbox.choosing import first_that_holds

Bon = Callable[..., subprocess.CompletedProcess[str]]


def test_it_says_what_holds_and_what_is_used(bon: Bon) -> None:
    if not [*available()]:
        pytest.skip("nothing here confines programs")
    done = bon("sandbox", "selftest", "--json")
    said = json.loads(done.stdout)
    assert said["used"] == str(choose())
    for row in said["sandboxes"]:
        assert row["holds"] == all(finding["held"] for finding in row["findings"])
        names = [finding["name"] for finding in row["findings"]]
        assert len(names) >= 20
        assert "an object that equals everything fails" in names
    assert "held  runs a program" in done.stderr


def test_a_sandbox_that_confines_nothing_is_found_out(bon: Bon) -> None:
    """A `bwrap` that runs what it is given as it is: what must not be possible is seen to be, and it is not used."""
    if not [*available()]:
        pytest.skip("nothing here confines programs")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # for nobody too
        script = Path(folder, "bwrap")
        script.write_text('#!/bin/sh\nwhile [ "$1" != "--" ]; do shift; done\nshift\nexec "$@"\n')
        script.chmod(0o755)
        done = bon("sandbox", "selftest", "--json", check=False, PATH=f"{folder}:{os.environ['PATH']}")
    said = json.loads(done.stdout)
    row = next(row for row in said["sandboxes"] if row["sandbox"].startswith("bubblewrap"))
    assert not row["holds"]
    broken = {finding["name"] for finding in row["findings"] if not finding["held"]}
    assert {"never reads a file of ours", "never reaches a port of this machine", "never starts a process"} <= broken
    assert "leaves our files alone" in broken
    assert not (said["used"] or "").startswith("bubblewrap")
    assert "BROKEN" in done.stderr


NEITHER = """
import os, struct, sys
from bon.sandbox.inside.confine import filter_calls
lines = [(0x20, 0, 0, 0)]
for number in (444, 272, 165, 155):  # Landlock, unshare, mount, pivot_root: as in a container that allows none of them
    lines += [(0x15, 0, 1, number), (0x06, 0, 0, 0x50001)]
filter_calls(b"".join(struct.pack("=HBBI", *line) for line in [*lines, (0x06, 0, 0, 0x7FFF0000)]))
os.execv(sys.executable, [sys.executable, "-m", "bon", *sys.argv[1:]])
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of calls are those of x86-64")
def test_a_machine_that_allows_neither_way_runs_no_program_and_says_why(tmp_path: Path) -> None:
    if not [*available()]:
        pytest.skip("nothing here confines programs")
    pool = {
        "id": "d",
        "messages": [{"role": "user", "content": "Write f."}],
        "metadata": {"entry_point": "f", "tests": ["assert f(2) == 4"]},
        "candidates": [{"index": 0, "text": "def f(x): return 2 * x"}],
    }
    (tmp_path / "p.jsonl").write_text(json.dumps(pool) + "\n")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", NEITHER, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    done = run("score", "p.jsonl", "-s", "code", "-o", "out.jsonl")
    assert done.returncode == 2
    assert "programs are not run, since nothing confines them here" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.jsonl").exists()
    tried = run("sandbox", "selftest")
    assert tried.returncode == 1
    assert "they are not run" in tried.stdout
    assert "Traceback" not in tried.stdout + tried.stderr


def test_where_nothing_holds_programs_are_refused() -> None:
    absent = Backend("bubblewrap", Path("/no/such/python"))
    with pytest.raises(NoSandbox, match="bubblewrap with /no/such/python does not hold: runs a program"):
        first_that_holds([absent])
    with pytest.raises(NoSandbox, match="apt-get install bubblewrap"):
        first_that_holds([])
