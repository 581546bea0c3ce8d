from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of published data sets that tests may read."""
    folder = Path(os.environ.get("BON_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"needs the data sets: no folder {folder} (BON_DATA names another)")
    return folder
