"""`bon sandbox selftest`: it says what it tried and what holds, and refuses where nothing does."""

from __future__ import annotations

import json
import os
import subprocess
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


def test_where_nothing_holds_programs_are_refused() -> None:
    absent = Backend("bubblewrap", Path("/no/such/python"))
    with pytest.raises(NoSandbox, match="bubblewrap with /no/such/python does not hold: runs a program"):
        first_that_holds([absent])
    with pytest.raises(NoSandbox, match="apt-get install bubblewrap"):
        first_that_holds([])
