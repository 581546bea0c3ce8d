from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import numpy as np
import pytest

from bon.errors import ModelError
from bon.models.gguf import architecture, as_f16, read_header

gguf = pytest.importorskip("gguf", reason="needs the gguf package: pip install 'bon[local]'")

KINDS = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "BF16", "F16", "F32"]
"""What the gguf package can also write, so that a test can make it."""


def write(
    path: Path, tensors: dict[str, tuple[np.ndarray, str]], *, arch: str = "llama", file_type: int | None = 2
) -> Path:
    writer = gguf.GGUFWriter(path, arch)
    writer.add_uint32(f"{arch}.context_length", 4096)
    if file_type is not None:
        writer.add_file_type(file_type)
    writer.add_array("tokenizer.ggml.tokens", ["<s>", "a", "ü", "語"])
    writer.add_array("tokenizer.ggml.scores", [0.0, -1.5, -2.5, 3.0])
    writer.add_string("tokenizer.chat_template", "{{ messages }}")
    writer.add_bool("tokenizer.ggml.add_bos_token", False)
    for name, (values, kind) in tensors.items():
        number = gguf.GGMLQuantizationType[kind]
        data = gguf.quantize(values, number)
        writer.add_tensor(name, data, raw_shape=data.shape, raw_dtype=number)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def weights() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(48, 64)).astype(np.float32)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BON_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_header_says_architecture_context_and_whether_it_is_quantised(tmp_path: Path, weights: np.ndarray) -> None:
    path = write(tmp_path / "m.gguf", {"a": (weights, "Q8_0"), "norm": (weights[0], "F32")}, arch="qwen2")
    header = read_header(path)
    assert (architecture(path), header.context_length, header.quantised) == ("qwen2", 4096, True)
    assert header.tensor_types == {"a": 8, "norm": 0}
    assert header.metadata["tokenizer.chat_template"] == "{{ messages }}"
    assert header.metadata["tokenizer.ggml.add_bos_token"] is False


@pytest.mark.parametrize("kind", KINDS)
def test_dequantised_values_are_the_quantised_ones(tmp_path: Path, weights: np.ndarray, kind: str) -> None:
    norm = np.linspace(0.001, 70_000, 32, dtype=np.float32)  # F16 ends at 65,504: a norm stays F32
    path = write(tmp_path / "m.gguf", {"w": (weights, kind), "norm": (norm, "F32"), "q": (weights, "Q8_0")})
    reader = gguf.GGUFReader(as_f16(path))
    found = {tensor.name: tensor for tensor in reader.tensors}
    assert list(found) == ["w", "norm", "q"]
    assert (found["w"].tensor_type.name, found["norm"].tensor_type.name) == ("F16", "F32")
    assert found["w"].data.shape == weights.shape
    np.testing.assert_array_equal(found["norm"].data, norm)
    number = gguf.GGMLQuantizationType[kind]
    expected = gguf.dequantize(gguf.quantize(weights, number), number).astype(np.float16)
    np.testing.assert_array_equal(found["w"].data, expected)
    steps = {
        "Q4_0": 0.5,
        "Q4_1": 0.4,
        "Q5_0": 0.25,
        "Q5_1": 0.2,
        "Q8_0": 0.02,
        "BF16": 0.02,
        "F16": 0.002,
        "F32": 0.002,
    }
    assert np.abs(found["w"].data.astype(np.float32) - weights).max() < steps[kind]


def test_metadata_and_tokenizer_are_kept(tmp_path: Path, weights: np.ndarray) -> None:
    path = write(tmp_path / "m.gguf", {"w": (weights, "Q4_0")})
    before, after = gguf.GGUFReader(path), gguf.GGUFReader(as_f16(path))
    ours = {"GGUF.version", "GGUF.tensor_count", "GGUF.kv_count", "general.file_type"}
    for name in set(before.fields) - ours:
        assert after.fields[name].contents() == before.fields[name].contents(), name
        assert after.fields[name].types == before.fields[name].types, name
    assert after.fields["general.file_type"].contents() == 1


def test_an_f16_file_runs_as_it_is(tmp_path: Path, weights: np.ndarray, cache: Path) -> None:
    path = write(tmp_path / "m.gguf", {"w": (weights, "F16"), "n": (weights[0], "F32")}, file_type=1)
    assert as_f16(path) == path
    assert not cache.exists()


@pytest.mark.parametrize(("kind", "file_type"), [("F32", 0), ("BF16", 32), ("F16", None)])
def test_other_floats_and_files_that_do_not_say_become_f16(
    tmp_path: Path, weights: np.ndarray, kind: str, file_type: int | None
) -> None:
    path = write(tmp_path / "m.gguf", {"w": (weights, kind), "n": (weights[0], "F32")}, file_type=file_type)
    made = as_f16(path)
    assert made != path
    assert read_header(made).f16
    (values,) = [tensor.data for tensor in gguf.GGUFReader(made).tensors if tensor.name == "w"]
    np.testing.assert_allclose(values.astype(np.float32), weights, rtol=1e-2, atol=1e-2)


def test_each_content_is_dequantised_once(tmp_path: Path, weights: np.ndarray) -> None:
    first = write(tmp_path / "m.gguf", {"w": (weights, "Q8_0")})
    told: list[tuple[str, int, int | None]] = []
    made = as_f16(first, progress=lambda *step: told.append(step))
    assert told
    assert told[-1] == ("dequantising", told[-1][2], told[-1][2])
    stamp = made.stat().st_mtime_ns
    assert as_f16(first, progress=lambda *step: pytest.fail("dequantised again")) == made
    assert made.stat().st_mtime_ns == stamp
    (tmp_path / "other").mkdir()
    other = write(tmp_path / "other" / "m.gguf", {"w": (-weights, "Q8_0")})
    assert as_f16(other) != made


def test_many_at_once_make_one_whole_file(tmp_path: Path, weights: np.ndarray, cache: Path) -> None:
    path = write(tmp_path / "m.gguf", {f"w{i}": (weights + i, "Q4_1") for i in range(8)})
    digests: list[str] = []
    threads = [
        threading.Thread(target=lambda: digests.append(hashlib.sha256(as_f16(path).read_bytes()).hexdigest()))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(digests) == 6
    assert len(set(digests)) == 1
    assert [file.suffix for file in (cache / "f16").iterdir() if not file.name.startswith(".")] == [".gguf"]


@pytest.mark.parametrize("kept", [3, 40, 200, 1000])
def test_a_file_cut_short_is_an_error_and_leaves_nothing(
    tmp_path: Path, weights: np.ndarray, cache: Path, kept: int
) -> None:
    path = write(tmp_path / "m.gguf", {"w": (weights, "Q8_0")})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelError, match=r"m\.gguf"):
        as_f16(path)
    assert not [file for file in cache.rglob("*") if file.is_file() and not file.name.endswith(".lock")]


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"PK\x03\x04 not a model")
    with pytest.raises(ModelError, match="not a GGUF file: it begins with b'PK"):
        read_header(tmp_path / "x.gguf")
    with pytest.raises(ModelError, match=r"cannot read the model .*gone\.gguf"):
        read_header(tmp_path / "gone.gguf")
    (tmp_path / "empty.gguf").touch()
    with pytest.raises(ModelError, match=r"empty\.gguf"):
        read_header(tmp_path / "empty.gguf")


def test_one_part_of_a_split_model_is_refused(tmp_path: Path, weights: np.ndarray) -> None:
    writer = gguf.GGUFWriter(tmp_path / "m-00001-of-00002.gguf", "llama")
    writer.add_uint16("split.count", 2)
    data = gguf.quantize(weights, gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("w", data, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelError, match="merge the parts first"):
        as_f16(tmp_path / "m-00001-of-00002.gguf")
