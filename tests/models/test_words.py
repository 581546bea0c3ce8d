"""Tokenizers: what a folder's own code says is not run, and what its tokenizer.json says is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bon.errors import ModelError
from bon.models.words import load_tokenizer
from bon.testing.checkpoints import tiny_tokenizer

pytest.importorskip("transformers", reason="the torch extra is not installed")


def save_with_code(folder: Path) -> Path:
    """A tokenizer as InternLM2 publishes one, whose class is code in the folder; returns what that code would make."""
    tiny_tokenizer(bos=True).save_pretrained(str(folder))
    stated = json.loads((folder / "tokenizer_config.json").read_text())
    stated["tokenizer_class"] = "InternLM2Tokenizer"
    names = ["tokenization_internlm2.InternLM2Tokenizer", "tokenization_internlm2_fast.InternLM2TokenizerFast"]
    stated["auto_map"] = {"AutoTokenizer": names}
    (folder / "tokenizer_config.json").write_text(json.dumps(stated))
    trace = folder / "ran"
    for name in ("tokenization_internlm2.py", "tokenization_internlm2_fast.py"):
        (folder / name).write_text(f"import pathlib\npathlib.Path({str(trace)!r}).touch()\n")
    return trace


def test_code_of_a_tokenizer_is_not_run_and_its_words_are_read(tmp_path: Path) -> None:
    trace = save_with_code(tmp_path)
    found, own = load_tokenizer(tmp_path), tiny_tokenizer(bos=True)
    text = "<|im_start|>user\nWhy is the sky blue?<|im_end|>\n"
    assert found(text)["input_ids"] == own(text)["input_ids"]
    assert found.chat_template == own.chat_template
    assert (found.bos_token_id, found.eos_token_id) == (own.bos_token_id, own.eos_token_id)
    assert not trace.exists()


def test_a_tokenizer_that_is_only_code_says_how_to_make_one_that_is_not(tmp_path: Path) -> None:
    save_with_code(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"code that comes.*trust_remote_code=True, revision=.*save_pretrained"):
        load_tokenizer(tmp_path)
