"""The exact frontier's example: a small run of all six methods, which is not done twice, and its figures by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("altair")

ROOT = Path(__file__).parents[3]
SMALL = ("--seeds", "0", "--updates", "2", "--batch", "16", "--samples", "1024")


def run(out: Path, *more: str) -> str:
    command = [sys.executable, str(ROOT / "examples" / "vbon_exact.py"), "--out", str(out), *SMALL, *more]
    told = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=280, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    return told.stdout


@pytest.mark.slow
def test_all_methods_are_measured_beside_best_of_n(tmp_path: Path) -> None:
    told: dict[str, Any] = json.loads(run(tmp_path, "--json"))
    runs: dict[str, int] = {}
    for row in told["rows"]:
        runs[row["method"]] = runs.get(row["method"], 0) + 1
        assert row["kl"] > 0
        assert 0 < row["win_rate"] < 1
    assert runs == dict.fromkeys(("vBoN", "L", "BoNBoN", "BoN-SFT", "DPO", "PPO"), 4)
    best = told["curves"]["best-of-N"]
    assert best[0]["N"] == 1
    assert best[0]["kl"] == pytest.approx(0, abs=1e-9)
    assert best[0]["win_rate"] == pytest.approx(0.5)
    assert sorted(best, key=lambda point: point["kl"]) == best
    page = (tmp_path / "frontier.html").read_text()
    assert "vega" in page
    assert "https://cdn" not in page

    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/exact.json")}
    assert len(kept) == 24
    table = run(tmp_path)
    assert table.count("\n| vBoN | ") == 4
    assert "Share of the Pareto front, mean reward" in table
    assert {path: path.stat().st_mtime_ns for path in kept} == kept  # nothing was trained again


def test_a_gap_is_what_best_of_n_has_more_at_the_same_kl() -> None:
    sys.path.insert(0, str(ROOT / "examples"))
    from exact_figures import gap, shares, table

    best = [{"kl": 0.0, "win_rate": 0.5, "reward": 0.0}, {"kl": 1.0, "win_rate": 0.9, "reward": 2.0}]
    row = {"method": "vBoN", "value": 4.0, "seed": 0, "kl": 0.5, "win_rate": 0.65, "reward": 1.25}
    other = {**row, "method": "L", "kl": 0.6, "win_rate": 0.6}
    assert gap(row, "win_rate", best) == pytest.approx(0.05)
    assert gap(row, "reward", best) == pytest.approx(-0.25)
    assert shares([row, other])["win_rate"]["vBoN"][0] == 1.0
    assert "| vBoN | 4 | 0.500 | 0.650 | 1.250 | 5.00 (5.00 to 5.00) | -0.250 |" in table(
        [row, other], {"best-of-N": best}
    )
