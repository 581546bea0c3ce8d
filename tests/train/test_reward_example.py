"""A reward model of real pairs, on the embedded model: it knows more than the length of answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bon.testing.checkpoints import save_tiny_model

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("BON_DATA") or ROOT / "../shared/data")

needs_data = pytest.mark.skipif(not (DATA / "sentiment").is_dir(), reason=f"there is no {DATA}/sentiment (BON_DATA)")


def reports(*arguments: str | Path, timeout: float = 250, **environment: str) -> list[dict[str, Any]]:
    command = [sys.executable, ROOT / "examples" / "reward_model.py", "--json", *arguments]
    told = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=timeout, env={**os.environ, **environment}
    )
    rows: list[dict[str, Any]] = json.loads(told.stdout)
    return rows


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize("data", ["sentiment", "pandalm"])
def test_the_example_runs_on_both_data_sets(tmp_path: Path, data: str) -> None:
    base = save_tiny_model(tmp_path / "tiny", "llama", context=2048)
    found = reports("--base", base, "--data", data, "--pairs", "60", "--seeds", "2")
    assert len(found) == 2
    for report in found:
        assert report["train"] + report["watched"] + report["held_out"] + sum(report["left_out"].values()) == 60
        assert report["held_out"] > 10


@needs_data
@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_it_beats_the_length_of_answers_on_pairs_that_people_rated(embedded_source: Path) -> None:
    (report,) = reports("--pairs", "500", "--seeds", "1", timeout=2900, BON_MODEL=str(embedded_source))
    assert report["probes"]["over_length"]["low"] > 0
    assert report["figures"]["accuracy"]["low"] > 0.5
