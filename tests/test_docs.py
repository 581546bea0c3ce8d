"""The documentation is true: its code runs, its links lead somewhere, what is made from the code is current."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SLOW = {"README.md", "index.md", "policies.md", "reward_models.md", "training.md"}
"""Pages that run or train models for more than some seconds."""
LINK = re.compile(r"\]\(([^)#]+?)(?:#[^)]*)?\)")


def blocks(page: Path, *languages: str) -> list[tuple[str, str]]:
    return [(language, code) for language, code in BLOCK.findall(page.read_text()) if language in languages]


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.slow] if page.name in SLOW else [], id=page.name)
        for page in PAGES
        if blocks(page, "python", "sh")
    ],
)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path, embedded_model: Path) -> None:
    """In order, in one folder; the Python blocks of a page share their names, as a reader would type them."""
    script = tmp_path / "page.py"
    environment = {
        **os.environ,
        "BON_MODEL": str(embedded_model),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    code = ""
    for language, block in blocks(page, "python", "sh"):
        if language == "sh":
            subprocess.run(["bash", "-euc", block], cwd=tmp_path, env=environment, check=True, timeout=240)
        else:
            code += block
    script.write_text(code)
    done = subprocess.run(  # noqa: PLW1510  # what it said is worth more than its exit code
        [sys.executable, "-W", "error", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name
)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_is_left_to_be_written(page: Path) -> None:
    text = page.read_text()
    assert not any(mark in text for mark in ("RESULTS", "TODO", "FIXME", "TBD"))
    assert len(text) > 500


@pytest.mark.parametrize("name", ["docs/cli.md", "docs/api.md", "ARCHITECTURE.md"])
def test_what_is_made_from_the_code_is_current(name: str) -> None:
    made = subprocess.run(
        [sys.executable, ROOT / "scripts" / "reference.py", Path(name).name],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert (ROOT / name).read_text() == made.stdout, "run `make docs`"
