"""The examples run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_gain_is_measured_on_the_embedded_model(embedded_model: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "gain.py", "-n", "4", "--problems", "3", "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=200,
        env={**os.environ, "BON_MODEL": str(embedded_model)},
    )
    rows = json.loads(done.stdout)
    assert [row["rule"] for row in rows] == ["greedy", "selfcertainty", "agreement", "math"] * 2
    assert all(0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1 and row["tokens"] > 0 for row in rows)
    for known, *chosen in (rows[3::-1], rows[:3:-1]):
        assert known["rule"] == "math"
        assert all(row["accuracy"] <= known["accuracy"] for row in chosen if row["rule"] != "greedy")


def test_both_sets_have_twenty_problems() -> None:
    code = "import gain; print(*(len(prompts) for prompts in gain.problem_sets(99).values()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=EXAMPLES, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["20", "20"]
