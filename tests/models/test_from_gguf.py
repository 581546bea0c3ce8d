"""A GGUF file as a transformers folder: the same model, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from bon.errors import ModelError
from bon.models.from_gguf import from_gguf, resolved
from bon.testing.checkpoints import save_tiny_gguf, save_tiny_model

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BON_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_it_says_what_the_model_in_the_file_says(tmp_path: Path, family: str) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    plain = AutoModelForCausalLM.from_pretrained(save_tiny_model(tmp_path / "plain", family))
    folder = resolved(f"gguf:{save_tiny_gguf(tmp_path / 'model.gguf', family)}")
    found = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    words, theirs = AutoTokenizer.from_pretrained(folder), AutoTokenizer.from_pretrained(tmp_path / "plain")
    text = theirs.apply_chat_template([{"role": "user", "content": "Why is the sky blue?"}], tokenize=False)
    ids = words(text, add_special_tokens=False)["input_ids"]
    assert ids == theirs(text, add_special_tokens=False)["input_ids"]
    assert words.chat_template == theirs.chat_template
    assert not hasattr(found.config, "quantization_config")
    with torch.no_grad():
        one, other = (model(input_ids=torch.tensor([ids])).logits for model in (plain, found))
    assert torch.allclose(one, other, atol=2e-2)  # the file holds matrices in half precision


def test_it_is_made_once_and_anew_for_another_file(tmp_path: Path, cache: Path) -> None:
    file = save_tiny_gguf(tmp_path / "model.gguf", "qwen2")
    first = from_gguf(file)
    made = (first / "model.safetensors").stat().st_mtime_ns
    assert from_gguf(file) == first
    assert (first / "model.safetensors").stat().st_mtime_ns == made
    save_tiny_gguf(file, "qwen2", seed=1)
    assert from_gguf(file) != first
    assert first.parent == cache


def test_what_was_half_made_is_made_again(tmp_path: Path) -> None:
    file = save_tiny_gguf(tmp_path / "model.gguf", "qwen2")
    folder = from_gguf(file)
    names = {path.name for path in folder.iterdir()}
    part = folder.with_name(f".{folder.name}.part")
    folder.rename(part)
    (part / "model.safetensors").unlink()
    assert {path.name for path in from_gguf(file).iterdir()} == names
    assert not part.exists()


def test_nothing_is_said_on_the_way(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from_gguf(save_tiny_gguf(tmp_path / "model.gguf", "qwen2"))
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")


def test_files_that_are_none_are_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.gguf.*cannot be read"):
        resolved(f"gguf:{tmp_path / 'none.gguf'}")
    (tmp_path / "text.gguf").write_text("no model")
    with pytest.raises(ModelError, match=r"text\.gguf"):
        resolved(f"gguf:{tmp_path / 'text.gguf'}")


def test_what_transformers_cannot_make_of_a_file_is_said(tmp_path: Path, cache: Path) -> None:
    file = save_tiny_gguf(tmp_path / "model.gguf", "gpt2")  # of 256 positions, which transformers takes for 1,024
    with pytest.raises(ModelError, match=r"transformers cannot read .*model\.gguf.*as it was published"):
        from_gguf(file)
    assert [path for path in cache.iterdir() if path.is_dir()] == []


def test_other_sources_stay_what_they_are() -> None:
    assert resolved("owner/name") == "owner/name"
    assert resolved(Path("folder")) == "folder"


@pytest.mark.slow
def test_quantised_weights_are_unpacked(embedded_source: Path, cache: Path) -> None:
    from bon.models.backbone import load_backbone

    backbone = load_backbone(resolved(f"gguf:{embedded_source}"))
    weight = backbone.model.layers[0].mlp.up_proj.weight
    assert weight.dtype == torch.float32
    assert weight.shape == (1536, 576)
    blocks = weight.reshape(-1, 32)  # Q4_1 has 16 levels a block of 32
    assert max(len(block.unique()) for block in blocks[:200]) <= 16
    assert (cache / "f16").exists() is False
