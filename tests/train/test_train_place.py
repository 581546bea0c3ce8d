"""Where a training runs: processes that find each other, and those that would take themselves for the only one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

_PLACE = """
import os
from bon.errors import UsageError
from bon.train.place import Place
{before}
os.environ["WORLD_SIZE"] = "2"
try:
    Place()
except UsageError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "before",
    ["", "from accelerate import Accelerator; Accelerator(cpu=True)"],
    ids=["nobody to find", "alone since before"],
)
def test_who_finds_no_others_does_not_train_as_if_it_were_alone(tmp_path: Path, before: str) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in {"RANK", "LOCAL_RANK", "MASTER_ADDR"}}
    done = subprocess.run(
        [sys.executable, "-c", _PLACE.format(before=before)],
        capture_output=True,
        text=True,
        timeout=250,
        cwd=tmp_path,
        env={**kept, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("WORLD_SIZE says that 2 processes train together, and this one does not find")
    assert "torchrun --nproc-per-node 2 -m bon train" in done.stdout
