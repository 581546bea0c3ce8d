"""The command as people run it: in a process of its own, in a folder of its own, with a home that is empty."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Bon = Callable[..., subprocess.CompletedProcess[str]]

MODEL = '''
import itertools

from bon.testing import Scripted

WORDS = ["It is 3.", "The answer is 4.", "4", "I think 5?", "2 + 2 = 4", "four", "4", "5"]
model = Scripted(WORDS)


def drawn(prompt, index):
    """Nothing may be drawn here."""
    raise SystemExit("it was drawn")


drawn = Scripted(drawn)


def shortest(prompt, candidate):
    """Short is good."""
    return -len(candidate.text)
'''


@pytest.fixture
def bon(tmp_path: Path) -> Bon:
    """Runs `bon` with arguments; `tiny:model` is a scripted generator and `tiny:shortest` a scorer of ours."""
    (tmp_path / "tiny.py").write_text(MODEL)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("BON_", "OPENAI_", "COV_"))}

    def run(*args: str | Path, check: bool = True, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "bon", *map(str, args)],
            input=stdin,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**kept, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), **env},
            timeout=120,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run
