"""Loading backbones: what is read, what is merged, and what is refused because it would score at random."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tiny_backbones import CONTEXT, EVERY, save_backbone

from bon.errors import ModelError, UsageError
from bon.models.backbone import load_backbone
from bon.models.loading import quiet
from bon.models.weights import Weights
from bon.testing.checkpoints import save_tiny_adapter, save_tiny_model

torch = pytest.importorskip("torch", reason="the torch extra is not installed")
IDS = torch.tensor([list(range(10, 30))])


def states(model: Any) -> Any:
    with torch.inference_mode():
        return model(IDS.to(model.device)).last_hidden_state


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("base"), "qwen2")


def rewritten(source: Path, target: Path, change: Any) -> Path:
    """A copy of a folder whose tensors `change` has gone over, in place."""
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(source, target)
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("name", EVERY)
def test_a_backbone_is_read_back(tmp_path: Path, name: str) -> None:
    model = save_backbone(tmp_path, name)
    ours = load_backbone(tmp_path, device="cpu")
    torch.testing.assert_close(states(ours.model), states(model))
    assert not ours.model.training
    assert str(tmp_path) in repr(ours)
    assert len(repr(ours)) < 300


def test_what_is_known_of_it(tmp_path: Path) -> None:
    save_backbone(tmp_path, "llama")
    ours = load_backbone(tmp_path, device="cpu", dtype="bfloat16")
    assert (ours.name, ours.context, ours.causal) == (str(tmp_path), CONTEXT, True)
    assert ours.model.dtype == torch.bfloat16
    with pytest.raises(UsageError, match="int8"):
        load_backbone(tmp_path, dtype="int8")


def test_it_may_be_spread_over_the_devices_there_are(tmp_path: Path) -> None:
    model = save_backbone(tmp_path, "llama")
    ours = load_backbone(tmp_path, device="auto", dtype="float32")
    torch.testing.assert_close(states(ours.model).cpu(), states(model), atol=1e-3, rtol=1e-3)


def test_a_head_is_the_callers_or_it_is_left_over(base: Path) -> None:
    with pytest.raises(ModelError, match=r"1 left over \(lm_head\.weight\)"):
        load_backbone(base, device="cpu")
    ours = load_backbone(base, heads=("lm_head.weight",), device="cpu")
    from transformers import AutoModel

    with quiet():
        torch.testing.assert_close(states(ours.model), states(AutoModel.from_pretrained(base).eval()))


def test_a_pooler_is_the_callers(tmp_path: Path) -> None:
    import transformers

    config = transformers.BertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, vocab_size=400, num_labels=1
    )
    save_backbone(tmp_path, "bert")
    with quiet():
        transformers.BertForSequenceClassification(config).save_pretrained(tmp_path)
    heads = {"classifier.weight", "classifier.bias", "bert.pooler.dense.weight", "bert.pooler.dense.bias"}
    assert load_backbone(tmp_path, heads=heads, device="cpu").model.pooler is None
    with pytest.raises(ModelError, match=r"2 left over \(bert\.pooler"):
        load_backbone(tmp_path, heads=("classifier.weight", "classifier.bias"), device="cpu")


@pytest.mark.parametrize("by", ["files", "tensors"])
def test_left_over_missing_and_misshapen_tensors_are_errors(base: Path, tmp_path: Path, by: str) -> None:
    """Each would be a model that scores at random."""
    norm = "model.layers.1.input_layernorm.weight"
    given: dict[str, Any] = {"heads": ("lm_head.weight",), "device": "cpu"}
    if by == "tensors":
        given["tensors"] = dict

    def extra(tensors: dict[str, Any]) -> None:
        tensors["value_head.weight"] = torch.ones(1, 32)

    def lacking(tensors: dict[str, Any]) -> None:
        del tensors[norm]

    def misshapen(tensors: dict[str, Any]) -> None:
        tensors[norm] = torch.ones(31)

    for change, words in (
        (extra, r"left over \(value_head\.weight\)"),
        (lacking, r"missing \(layers\.1\.input_layernorm\.weight\)"),
        (misshapen, "layers.1.input_layernorm.weight"),
    ):
        folder = rewritten(base, tmp_path / change.__name__, change)
        with pytest.raises(ModelError, match=words):
            load_backbone(folder, **given)


def test_tensors_may_be_mapped_to_another_architecture(tmp_path: Path) -> None:
    """As InternLM2's are to Llama's: other names, and one matrix that becomes three."""
    import transformers

    model = save_backbone(tmp_path, "llama")
    config = model.config

    def fuse(tensors: dict[str, Any]) -> None:
        for layer in range(2):
            parts = [tensors.pop(f"layers.{layer}.self_attn.{name}_proj.weight") for name in "qkv"]
            tensors[f"layers.{layer}.attention.wqkv.weight"] = torch.cat(parts)
        tensors["tok_embeddings.weight"] = tensors.pop("embed_tokens.weight")
        tensors["v_head.weight"] = torch.ones(1, 32)

    folder = rewritten(tmp_path, tmp_path / "other", fuse)
    (folder / "config.json").write_text(json.dumps({"model_type": "other", "auto_map": {"AutoConfig": "x.Y"}}))

    def split(weights: Weights) -> Mapping[str, Any]:
        mapped = {}
        for name, tensor in weights.items():
            if name.endswith("wqkv.weight"):
                start = name.removesuffix("attention.wqkv.weight") + "self_attn."
                q, k, v = tensor.split([32, 16, 16])
                mapped |= {f"{start}q_proj.weight": q, f"{start}k_proj.weight": k, f"{start}v_proj.weight": v}
            elif name != "v_head.weight":
                mapped[name.replace("tok_embeddings", "embed_tokens")] = tensor
        return mapped

    with pytest.raises(ModelError):
        load_backbone(folder, device="cpu")
    ours = load_backbone(folder, config=config, tensors=split, device="cpu")
    torch.testing.assert_close(states(ours.model), states(model))
    assert isinstance(ours.model, transformers.LlamaModel)


def test_a_file_that_is_not_whole_is_an_error(base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(base, tmp_path / "cut")
    whole = (folder / "model.safetensors").read_bytes()
    for size in (0, 100, len(whole) - 1):
        (folder / "model.safetensors").write_bytes(whole[:size])
        with pytest.raises(ModelError):
            load_backbone(folder, heads=("lm_head.weight",), device="cpu")


def test_shards_are_read(tmp_path: Path) -> None:
    model = save_backbone(tmp_path, "qwen3")
    (tmp_path / "model.safetensors").unlink()
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    torch.testing.assert_close(states(load_backbone(tmp_path, device="cpu").model), states(model))
    next(tmp_path.glob("model-00002*")).unlink()
    with pytest.raises(ModelError):
        load_backbone(tmp_path, device="cpu")


def test_an_adapter_is_merged(base: Path, tmp_path: Path) -> None:
    """One trained on the model with its head: its names have a prefix that those of the backbone lack."""
    import peft
    from transformers import AutoModelForCausalLM

    adapter = save_tiny_adapter(tmp_path / "adapter", base)
    with quiet():
        whole = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(adapter)).eval()
    ours = load_backbone(adapter, heads=("lm_head.weight",), device="cpu")
    torch.testing.assert_close(states(ours.model), states(whole.base_model.model.model), atol=1e-4, rtol=1e-4)
    bare = load_backbone(base, heads=("lm_head.weight",), device="cpu")
    assert (states(bare.model) - states(ours.model)).abs().max() > 0.01
    assert not any("lora" in name for name, _ in ours.model.named_parameters())


def test_an_adapters_head_is_the_callers_and_what_belongs_nowhere_is_an_error(base: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    adapter = save_tiny_adapter(tmp_path / "adapter", base)
    path, head = adapter / "adapter_model.safetensors", "base_model.model.score.weight"
    tensors = load_file(path)
    save_file({**tensors, head: torch.ones(1, 32)}, path)
    with pytest.raises(ModelError, match=r"left over \(base_model\.model\.score\.weight\)"):
        load_backbone(adapter, heads=("lm_head.weight",), device="cpu")
    for name in (head, "score.weight"):
        load_backbone(adapter, heads=("lm_head.weight", name), device="cpu")
    lost = next(iter(tensors))
    save_file({name: tensor for name, tensor in tensors.items() if name != lost}, path)
    with pytest.raises(ModelError, match="missing"):
        load_backbone(adapter, heads=("lm_head.weight",), device="cpu")
    path.unlink()
    with pytest.raises(ModelError, match="safetensors"):
        load_backbone(adapter, heads=("lm_head.weight",), device="cpu")


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.path),)


def test_pickles_and_code_never_run(tmp_path: Path) -> None:
    folder, touched = tmp_path / "model", tmp_path / "touched"
    save_backbone(folder, "llama")
    (folder / "model.safetensors").unlink()
    torch.save({"embed_tokens.weight": Bomb(str(touched))}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pickled"):
        load_backbone(folder, device="cpu")
    save_backbone(folder, "llama")
    (folder / "own.py").write_text(f"from pathlib import Path\nPath({str(touched)!r}).touch()\nclass C: pass\n")
    config = json.loads((folder / "config.json").read_text())
    own = {"AutoConfig": "own.C", "AutoModel": "own.C"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "own", "auto_map": own}))
    with pytest.raises(ModelError):
        load_backbone(folder, device="cpu")
    assert not touched.exists()


def test_what_cannot_be_a_backbone_says_so(tmp_path: Path) -> None:
    import transformers

    with pytest.raises(ModelError, match="there is no model folder"):
        load_backbone(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"config\.json"):
        load_backbone(tmp_path)
    save_backbone(tmp_path, "llama")
    transformers.T5Config(d_model=32).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="encoder-decoder"):
        load_backbone(tmp_path)


def test_a_hub_id_that_cannot_be_reached_is_a_model_error() -> None:
    """In a process of its own: the switch is read when the library is imported."""
    code = (
        "from bon.models.backbone import load_backbone; import bon.errors as e\n"
        "try: load_backbone('nobody/nothing-of-this-name', revision='v1')\n"
        "except e.ModelError as error: assert 'hub id' in str(error) and 'v1' in str(error); print('refused')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "refused", done.stderr


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_without_the_extra_the_error_names_it(package: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from bon.models.backbone import load_backbone; import bon.errors as e\n"
        "try: load_backbone('x')\n"
        "except e.MissingExtra as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'bon[torch]'" in done.stdout, done.stderr


def test_nothing_of_it_reaches_the_terminal(base: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from transformers.utils import logging

    before = logging.get_verbosity()
    load_backbone(base, heads=("lm_head.weight",), device="cpu")
    assert logging.get_verbosity() == before
    assert tuple(capfd.readouterr()) == ("", "")


@pytest.mark.slow
def test_the_memory_comes_back(tmp_path: Path) -> None:
    """Resident memory after a model of 200 MB was loaded, read with and let go of: in a process of its own."""
    code = f"""
import os, sys, torch, transformers
from pathlib import Path
from bon.testing.checkpoints import tiny_tokenizer
from bon.models.backbone import load_backbone
from bon.models.loading import quiet, release
from bon.models.reading import Reader, Row

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

folder = {str(tmp_path)!r}
config = dict(hidden_size=512, intermediate_size=2048, num_attention_heads=8, vocab_size=4096)
with quiet():
    for layers in (1, 12):
        model = transformers.AutoModel.from_config(transformers.LlamaConfig(num_hidden_layers=layers, **config))
        model.save_pretrained(f"{{folder}}/{{layers}}")
        tiny_tokenizer().save_pretrained(f"{{folder}}/{{layers}}")
del model
release()

def used(layers):
    reader = Reader(load_backbone(f"{{folder}}/{{layers}}", device="cpu"))
    reader.read([Row(ids=tuple(range(3, 300 + k)), at=(5,)) for k in range(16)])
    return resident()

used(1)  # what libraries take once
release()
before = resident()
full = used(12)
release()
print(before, full, resident())
"""
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc to see how much memory is resident")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    before, full, after = map(float, done.stdout.split())
    assert full - before > 180, "megabytes of weights, and more"
    assert after - before < 0.15 * (full - before)
