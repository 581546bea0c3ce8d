"""The memory that models need against what is there: held to what a process really takes, and said in plain words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bon.errors import ModelError, UsageError
from bon.models.memory import Need, need_of, planned, there

GB = 10**9


def need(name: str = "rm:m", weights: int = 0, **given: int | str) -> Need:
    return Need(name=name, weights=weights, **given)  # type: ignore[arg-type]


def test_what_fits_is_said_in_a_line() -> None:
    needs = [need("local", GB), need("rm:m", 2 * GB, cache=GB, dtype="float32", tokens=8192)]
    line = planned(needs, 10 * GB)
    assert line == (
        "memory on cpu: 4.0 GB of 10.0 GB (local: 1.0 GB of weights; "
        "rm:m: 2.0 GB of weights in float32, 1.0 GB for batches of 8192 tokens)"
    )
    planned(needs, 4 * GB)  # exactly


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        ([need(weights=16 * GB, dtype="float32")], "What would fit: dtype=bfloat16; or"),
        ([need(weights=GB, cache=16 * GB, dtype="bfloat16", tokens=8192)], "What would fit: tokens=4096; or"),
        ([need(weights=GB, cache=70 * GB, dtype="bfloat16", tokens=8192)], "What would fit: tokens=1024;"),
        ([need("rm:A", 6 * GB, dtype="bfloat16"), need("b", 7 * GB)], "What would fit: 'rm:A' alone"),
        ([need(weights=160 * GB, dtype="float32")], "there "),
    ],
)
def test_what_does_not_fit_says_what_would(needs: list[Need], words: str) -> None:
    with pytest.raises(ModelError) as caught:
        planned(needs, 10 * GB, device="cuda:1")
    said = str(caught.value)
    assert words in said
    assert "10.0 GB are there" in said
    assert "cuda:1" in said
    assert all(need.name in said for need in needs)
    assert "a smaller model, or another device (device=)" in said


def test_nothing_is_promised_that_would_not_fit() -> None:
    with pytest.raises(ModelError) as caught:
        planned([need(weights=40 * GB, cache=40 * GB, dtype="float32", tokens=8192)], GB)
    assert "would fit" not in str(caught.value)


def test_there_is_some_memory() -> None:
    assert 1 << 20 < there("cpu") < 1 << 62


def test_a_need_grows_with_dtype_and_tokens(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the torch extra is not installed")
    from bon.models.weights import Weights
    from bon.testing.checkpoints import save_tiny_adapter, save_tiny_model

    base = save_tiny_model(tmp_path / "base", "qwen2")
    full, half = need_of(base, tokens=1000), need_of(base, dtype="bfloat16", tokens=1000)
    assert full.weights == sum(kept.size for kept in Weights(base).kept.values()) == 2 * half.weights
    assert full.cache == 2 * half.cache
    assert need_of(base, tokens=2000).cache == 2 * full.cache
    assert need_of(base, tokens=2000).activations > full.activations
    assert (full.name, full.dtype, full.tokens) == (str(base), "float32", 1000)
    adapter = save_tiny_adapter(tmp_path / "adapter", base)
    assert need_of(adapter, tokens=1000).weights == full.weights, "merged into its base"
    with pytest.raises(UsageError, match="int8"):
        need_of(base, dtype="int8")
    with pytest.raises(ModelError, match="no model folder"):
        need_of(tmp_path / "nowhere")


def test_attention_that_is_not_fused_is_counted(tmp_path: Path) -> None:
    """Gemma 2 has its scores of a whole row at one time: at 8,192 tokens that is more than all else."""
    pytest.importorskip("safetensors", reason="the torch extra is not installed")
    import numpy as np
    from safetensors.numpy import save_file

    save_file({"w": np.zeros(1, dtype=np.float32)}, tmp_path / "model.safetensors")
    config = {"hidden_size": 2304, "num_hidden_layers": 26, "num_attention_heads": 8, "max_position_embeddings": 8192}
    (tmp_path / "config.json").write_text(json.dumps(config))
    fused = need_of(tmp_path, dtype="bfloat16", tokens=8192)
    (tmp_path / "config.json").write_text(json.dumps({**config, "attn_logit_softcapping": 50.0}))
    whole = need_of(tmp_path, dtype="bfloat16", tokens=8192)
    assert whole.activations - fused.activations >= 2 * 8 * 8192 * 8192 * 2


@pytest.mark.slow
def test_an_estimate_is_what_a_process_takes(tmp_path: Path) -> None:
    """From above, and not from far above: the growth of a process's peak while it loads and reads full batches."""
    pytest.importorskip("torch", reason="the torch extra is not installed")
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc to see how much memory is resident")
    code = f"""
import torch, transformers
import transformers.models.llama.modeling_llama
from bon.testing.checkpoints import tiny_tokenizer
from bon.models.backbone import load_backbone
from bon.models.loading import quiet
from bon.models.memory import need_of
from bon.models.reading import Reader, Row
import subprocess, sys

folder = {str(tmp_path)!r}
made = '''
import transformers
from bon.testing.checkpoints import tiny_tokenizer
transformers.LlamaModel(transformers.LlamaConfig(hidden_size=512, intermediate_size=2048, num_hidden_layers=8,
    num_attention_heads=8, num_key_value_heads=8, vocab_size=8000)).save_pretrained({str(tmp_path)!r})
tiny_tokenizer().save_pretrained({str(tmp_path)!r})
'''
subprocess.run([sys.executable, "-c", made], check=True, capture_output=True)
peak = lambda: next(int(line.split()[1]) << 10 for line in open('/proc/self/status') if line.startswith('VmHWM'))
before = peak()
need = need_of(folder, tokens=2048)
reader = Reader(load_backbone(folder, device="cpu"), tokens=2048)
for p in range(3):
    prompt = tuple((7 * i + p) % 8000 for i in range(700))
    reader.read([Row(ids=prompt + tuple((5 * i + k) % 8000 for i in range(60)), at=(759,)) for k in range(8)])
reader.read([Row(ids=tuple((5 * i + k) % 8000 for i in range(500)), at=(3,)) for k in range(8)])
print((peak() - before) / need.total)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 0.4 < float(done.stdout) <= 1.0
