"""Checkpoints are whole or not there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bon.train.checkpoints import BEST, WEIGHTS, latest, save

torch = pytest.importorskip("torch")


def made(folder: Path, step: int, *, best: Path | None = None) -> None:
    save(folder, step, {"step": step}, {WEIGHTS: {"w": torch.full((4,), float(step))}}, best=best)


def test_the_newest_is_read_and_older_ones_go(tmp_path: Path) -> None:
    made(tmp_path, 9)
    made(tmp_path, 10, best=tmp_path / "step-0000000009" / BEST)
    found = latest(tmp_path)
    assert found is not None
    assert found.state["step"] == 10
    assert found.tensors(WEIGHTS)["w"].tolist() == [10.0] * 4
    assert found.tensors(BEST)["w"].tolist() == [9.0] * 4
    assert [place.name for place in tmp_path.iterdir()] == ["step-0000000010"]


def test_there_is_none_in_an_empty_folder_or_in_none(tmp_path: Path) -> None:
    assert latest(tmp_path) is None
    assert latest(tmp_path / "nowhere") is None


@pytest.mark.parametrize("harm", ["cut", "changed", "gone", "stateless"])
def test_one_that_is_not_whole_is_passed_over(tmp_path: Path, harm: str) -> None:
    made(tmp_path, 1)
    aside = tmp_path / "aside"
    (tmp_path / "step-0000000001").rename(aside)
    made(tmp_path, 2)
    aside.rename(tmp_path / "step-0000000001")
    victim = tmp_path / "step-0000000002" / ("state.json" if harm == "stateless" else WEIGHTS)
    data = victim.read_bytes()
    if harm == "gone":
        victim.unlink()
    else:
        victim.unlink()  # BEST is a link to the same bytes
        victim.write_bytes(data[:-3] if harm in ("cut", "stateless") else data[:-1] + b"\x7f")
    with pytest.warns(UserWarning, match="step-0000000002 is not whole"):
        found = latest(tmp_path)
    assert found is not None
    assert found.state["step"] == 1


def test_one_that_was_being_written_is_none(tmp_path: Path) -> None:
    made(tmp_path, 1)
    (tmp_path / "step-0000000001").rename(tmp_path / "step-0000000001.part")
    assert latest(tmp_path) is None


_FULL = """
import resource, signal, sys
from pathlib import Path
import torch
from bon.errors import StoreError
from bon.train.checkpoints import WEIGHTS, latest, save
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path(sys.argv[1])
save(folder, 1, {}, {WEIGHTS: {"w": torch.ones(4)}}, best=None)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
try:
    save(folder, 2, {}, {WEIGHTS: {"w": torch.ones(40_000)}}, best=None)
except StoreError as error:
    assert "make room" in str(error), error
else:
    raise SystemExit("nothing was raised")
assert [place.name for place in folder.iterdir()] == ["step-0000000001"]
assert latest(folder).tensors(WEIGHTS)["w"].tolist() == [1.0] * 4
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are POSIX")
def test_a_disk_that_refuses_leaves_the_one_before(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", _FULL, str(tmp_path / "run")], check=True, env=dict(os.environ), timeout=120)
