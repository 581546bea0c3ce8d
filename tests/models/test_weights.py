"""Tensors by their published names: read when asked for, known before that, refused when the file is not whole."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from bon.errors import ModelError
from bon.models.weights import Weights, folder_of

torch = pytest.importorskip("torch", reason="the torch extra is not installed")
TENSORS = {
    "a": torch.arange(6.0).reshape(2, 3),
    "b": torch.ones(4, dtype=torch.bfloat16),
    "c.d": torch.zeros((), dtype=torch.int64),
}


def save(path: Path, names: str = "a b c.d") -> Path:
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: TENSORS[name] for name in names.split()}, path, metadata={"format": "pt"})
    return path


def sharded(folder: Path) -> Path:
    save(folder / "model-1.safetensors", "a")
    save(folder / "model-2.safetensors", "b c.d")
    index = {"a": "model-1.safetensors", "b": "model-2.safetensors", "c.d": "model-2.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    return folder


@pytest.mark.parametrize("kind", ["one", "other", "shards", "adapter", "file"])
def test_tensors_come_by_name(tmp_path: Path, kind: str) -> None:
    match kind:
        case "shards":
            source = sharded(tmp_path)
        case "file":
            source = save(tmp_path / "head.safetensors")
        case _:
            source = save(tmp_path / {"one": "model", "other": "any", "adapter": "adapter_model"}[kind]).parent
            next(source.iterdir()).rename(next(source.iterdir()).with_suffix(".safetensors"))
    weights = Weights(source)
    assert sorted(weights) == sorted(TENSORS)
    assert len(weights) == 3
    assert all(
        torch.equal(weights[name], tensor) and weights[name].dtype == tensor.dtype for name, tensor in TENSORS.items()
    )
    assert {name: (kept.dtype, kept.shape, kept.size) for name, kept in weights.kept.items()} == {
        "a": ("F32", (2, 3), 24),
        "b": ("BF16", (4,), 8),
        "c.d": ("I64", (), 8),
    }
    assert "a" in weights
    assert "e" not in weights
    with pytest.raises(KeyError):
        weights["e"]


def test_what_is_not_whole_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "model.safetensors")
    whole = path.read_bytes()
    for broken in (b"", whole[:4], whole[:20], struct.pack("<Q", 1 << 60) + whole[8:], struct.pack("<Q", 4) + b"[1] "):
        path.write_bytes(broken)
        with pytest.raises(ModelError, match=r"model\.safetensors"):
            Weights(tmp_path)
    path.write_bytes(whole[:-1])
    with pytest.raises(ModelError, match="cannot be read"):
        Weights(tmp_path)["a"]


def test_shards_that_are_not_there_are_named(tmp_path: Path) -> None:
    sharded(tmp_path)
    (tmp_path / "model-2.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model-2\.safetensors"):
        Weights(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(ModelError, match="no index"):
        Weights(tmp_path)


def test_several_files_without_an_index_are_not_guessed(tmp_path: Path) -> None:
    for name in ("x", "y"):
        save(tmp_path / f"{name}.safetensors")
    with pytest.raises(ModelError, match=r"2 \.safetensors files"):
        Weights(tmp_path)


def test_folders_are_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    save(tmp_path / "m" / "model.safetensors")
    (tmp_path / "m" / "config.json").write_text("{}")
    assert folder_of(tmp_path / "m") == tmp_path / "m"
    assert folder_of("~/m") == tmp_path / "m"
    for gone in (tmp_path / "gone", "./gone", "a/b/c", "~/gone"):
        with pytest.raises(ModelError, match="there is no model folder"):
            folder_of(gone)
