"""The GSM8K example runs on the embedded model, and its figures fit each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bon.store.pools import read_pools

EXAMPLES = Path(__file__).parents[1] / "examples"
DATA = Path(os.environ.get("BON_DATA", Path(__file__).parents[2] / "shared" / "data"))


def run(*arguments: object, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, EXAMPLES / "gsm8k.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        timeout=290,
        env={**os.environ, **environment},
    ).stdout


@pytest.mark.slow
def test_three_problems_are_drawn_verified_and_measured_on_the_embedded_model(
    embedded_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pools.jsonl"
    arguments = ("-n", 4, "--problems", 3, "--max-tokens", 64, "-o", out, "--json")
    rows = {
        (row["metric"], row["scorer"], row["k"]): row
        for row in json.loads(run(*arguments, BON_MODEL=str(embedded_model)))
    }
    passed = {k: row["value"] for (metric, _, k), row in rows.items() if metric == "pass_at_k"}
    assert sorted(passed) == [1, 4]
    assert passed[1] <= passed[4]
    chosen = {scorer: row for (metric, scorer, k), row in rows.items() if metric == "best_at_k"}
    assert set(chosen) == {"selfcertainty", "heuristic"}
    assert all(row["value"] <= passed[4] + 1e-12 and row["n"] == 3 for row in chosen.values())
    assert any(metric == "majority_at_k" and k == 4 for metric, _, k in rows)
    pools = list(read_pools(out))
    assert [len(pool) for pool in pools] == [4, 4, 4]
    assert sum(value == 1 for pool in pools for value in pool.values("math")) / 12 == pytest.approx(passed[1])


ANSWERS = """
from bon.testing import Scripted

answers = Scripted(lambda prompt, index: f"Answer: {15 if index % 4 == 0 else 36}")
"""


def test_the_sizes_that_are_shown_are_those_of_the_literature(tmp_path: Path) -> None:
    (tmp_path / "stand_in.py").write_text(ANSWERS)
    out = run(
        "--generator", "stand_in:answers", "--problems", 2, "--scorer", "heuristic", "--json", PYTHONPATH=str(tmp_path)
    )
    rows = {(row["metric"], row["k"]): row["value"] for row in json.loads(out)}
    assert set(rows) == {
        *(("pass_at_k", k) for k in (1, 10, 50, 100)),
        *(("best_at_k", k) for k in (10, 50)),
        ("majority_at_k", 10),
    }
    assert rows["pass_at_k", 1] == pytest.approx(0.5)  # a quarter of one problem's draws, three of the other's
    assert rows["pass_at_k", 100] == 1
    assert rows["best_at_k", 10] == pytest.approx(0.5)
    table = run("--generator", "stand_in:answers", "--problems", 2, "-n", 10, PYTHONPATH=str(tmp_path))
    assert "pass@10" in table
    assert "best@10 by heuristic" in table
    assert "majority@10" in table


def test_the_published_problems_are_asked(tmp_path: Path) -> None:
    data = DATA / "gsm8k" / "test.jsonl"
    if not data.is_file():
        pytest.skip("the problems of GSM8K are not there: set BON_DATA to the folder with the test data")
    (tmp_path / "stand_in.py").write_text(ANSWERS)
    out = run(
        *("--generator", "stand_in:answers", "--data", data, "--problems", 3, "-n", 2, "--json"),
        *("--scorer", "heuristic"),
        PYTHONPATH=str(tmp_path),
    )
    assert {row["n"] for row in json.loads(out)} == {3}
