"""Loading transformers models: what is read, what is refused and with which words, and the shared-prefix cache."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bon.errors import ModelError, UsageError
from bon.generate.hf import HFGenerator
from bon.models.transformers import advance, load_language_model, prefill, quiet, select_rows
from bon.testing.checkpoints import save_tiny_adapter, save_tiny_model, tiny_tokenizer
from bon.types import Candidate, Prompt, as_messages

torch = pytest.importorskip("torch", reason="the torch extra is not installed")
FAMILIES = ("llama", "qwen2", "qwen3", "mistral", "gpt2")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("base"), "qwen2")


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_adapter(tmp_path_factory.mktemp("adapter"), base)


def logits_of(model: Any, ids: list[int]) -> Any:
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits[0]


async def greedy(generator: HFGenerator) -> str:
    request = {"temperature": 0, "max_tokens": 24}
    prompt = Prompt(id="p", messages=as_messages("Why is the sky blue?"), request=request)
    [draw] = [draw async for draw in generator(prompt, 1)]
    assert isinstance(draw, Candidate)
    return draw.text


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_model_is_read_back(tmp_path: Path, family: str) -> None:
    lm = load_language_model(save_tiny_model(tmp_path, family, context=64), device="cpu")
    assert lm.context == 64
    assert lm.eos == {lm.tokenizer.convert_tokens_to_ids("<|im_end|>")}
    assert lm.model.dtype == torch.float32
    assert not lm.model.training
    assert str(tmp_path) in repr(lm)
    assert len(repr(lm)) < 300


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    state = torch.get_rng_state()
    one, same, other = (
        load_language_model(save_tiny_model(tmp_path / str(place), seed=seed), device="cpu").model.state_dict()
        for place, seed in enumerate((1, 1, 2))
    )
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(torch.get_rng_state(), state), "the caller's random state is left alone"


def test_a_tiny_tokenizer_keeps_every_text() -> None:
    for text in ("Why?", " two  spaces", "żółć 天空 🙂 \x00\t", ""):
        for bos in (False, True):
            tokenizer = tiny_tokenizer(bos=bos)
            ids = tokenizer(text)["input_ids"]
            assert tokenizer.decode(ids, skip_special_tokens=True) == text
            assert (ids[:1] == [tokenizer.bos_token_id]) == bos


def test_dtype_and_device_are_chosen(base: Path) -> None:
    assert load_language_model(base, dtype="bfloat16", device="cpu").model.dtype == torch.bfloat16
    assert load_language_model(base, device="auto").model.device.type in ("cpu", "cuda", "mps")
    for dtype in ("int8", "manual_seed", "float"[:3]):
        with pytest.raises(UsageError, match="floating-point"):
            load_language_model(base, dtype=dtype)


async def test_an_adapter_folder_is_laid_on_its_base(base: Path, adapter: Path) -> None:
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    with quiet():
        unmerged = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).eval()
    ids = list(range(10, 30))
    by_name = load_language_model(adapter, device="cpu")
    by_option = load_language_model(base, adapter=adapter, device="cpu")
    bare = load_language_model(base, device="cpu")
    for lm in (by_name, by_option):
        torch.testing.assert_close(logits_of(lm.model, ids), logits_of(unmerged, ids), atol=1e-4, rtol=1e-4)
        assert not any("lora" in name for name, _ in lm.model.named_parameters()), "merged: a token costs no more"
    assert (logits_of(bare.model, ids) - logits_of(unmerged, ids)).abs().max() > 0.1
    texts = [await greedy(HFGenerator(model, device="cpu")) for model in (adapter, base)]
    assert texts[0] == await greedy(HFGenerator(base, adapter=adapter, device="cpu"))
    assert texts[0] != texts[1]


def test_an_adapters_base_may_lie_beside_it(base: Path, adapter: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "base")
    moved = shutil.copytree(adapter, tmp_path / "adapter")
    config = json.loads((moved / "adapter_config.json").read_text())
    (moved / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "../base"}))
    lm = load_language_model(moved, device="cpu")
    expected = load_language_model(adapter, device="cpu")
    assert torch.equal(logits_of(lm.model, [5, 6, 7]), logits_of(expected.model, [5, 6, 7]))


def test_an_adapter_without_its_base_says_so(adapter: Path, tmp_path: Path) -> None:
    lost = shutil.copytree(adapter, tmp_path / "lost")
    config = json.loads((lost / "adapter_config.json").read_text())
    for name, words in ((None, "names no base"), (str(tmp_path / "gone"), "gone")):
        (lost / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": name}))
        with pytest.raises(ModelError, match=words):
            load_language_model(lost, device="cpu")


def test_an_adapter_that_does_not_fit_says_so(adapter: Path, base: Path, tmp_path: Path) -> None:
    other = save_tiny_model(tmp_path / "gpt2", "gpt2")
    with pytest.raises(ModelError, match="does not fit"):
        load_language_model(other, adapter=adapter, device="cpu")
    with pytest.raises(ModelError, match="adapter_config"):
        load_language_model(base, adapter=tmp_path, device="cpu")
    pickled = shutil.copytree(adapter, tmp_path / "pickled")
    (pickled / "adapter_model.safetensors").rename(pickled / "adapter_model.bin")
    with pytest.raises(ModelError, match="pickled"):
        load_language_model(pickled, device="cpu")


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.path),)


def test_a_pickled_checkpoint_is_never_read(base: Path, tmp_path: Path) -> None:
    folder, touched = shutil.copytree(base, tmp_path / "model"), tmp_path / "touched"
    (folder / "model.safetensors").unlink()
    torch.save({"lm_head.weight": Bomb(str(touched))}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        load_language_model(folder, device="cpu")
    assert not touched.exists()
    (folder / "extra.safetensors").write_bytes(b"")  # some safetensors file is not the model's
    with pytest.raises(ModelError):
        load_language_model(folder, device="cpu")
    assert not touched.exists()


def test_code_that_comes_with_a_model_does_not_run(base: Path, tmp_path: Path) -> None:
    folder, touched = shutil.copytree(base, tmp_path / "model"), tmp_path / "touched"
    code = f"from pathlib import Path\nPath({str(touched)!r}).touch()\n"
    (folder / "own.py").write_text(code + "class Own: pass\nclass OwnConfig: pass\n")
    config = json.loads((folder / "config.json").read_text())
    own = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.Own"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "own", "auto_map": own}))
    with pytest.raises(ModelError):
        load_language_model(folder, device="cpu")
    with pytest.raises(UsageError, match="revision"):
        load_language_model(folder, device="cpu", trust_remote_code=True)
    assert not touched.exists()


def test_what_is_not_there_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model folder"):
        load_language_model(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"config\.json"):
        load_language_model(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "no-such-thing"}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="save_pretrained"):
        load_language_model(tmp_path)


@pytest.mark.parametrize("name", ["./nowhere", "../nowhere", "~/nowhere", "nowhere/", "a/b/nowhere", "/nowhere"])
def test_what_can_only_be_a_folder_is_looked_for_on_no_hub(name: str) -> None:
    with pytest.raises(ModelError, match=f"there is no model folder '{name}'"):
        load_language_model(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nowhere", "nobody/nothing"])
def test_a_mistyped_name_is_asked_for_twice_where_no_hub_is_reached(name: str) -> None:
    """In a process of its own: where the hub lies is read when the library is imported."""
    code = (
        "from bon.models.transformers import load_language_model; import bon.errors as e\n"
        f"try: load_language_model({name!r})\n"
        "except e.ModelError as error: print(error)"
    )
    there = {"HF_ENDPOINT": "http://127.0.0.1:9"}  # a port that nobody listens on
    done = subprocess.run([sys.executable, "-c", code], env=there, capture_output=True, text=True, check=False)
    assert f"there is no folder {name!r}" in done.stdout, done.stderr
    assert "OWNER/NAME" in done.stdout
    assert done.stderr.count("Retrying in") == 1


def test_a_hub_id_that_cannot_be_reached_is_a_model_error() -> None:
    """In a process of its own: the switch is read when the library is imported."""
    code = (
        "import bon.models.transformers as m, bon.errors as e\n"
        "try: m.load_language_model('nobody/nothing-of-this-name')\n"
        "except e.ModelError as error: assert 'hub id' in str(error); print('refused')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "refused", done.stderr


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_without_the_extra_the_error_names_it(package: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "import bon.models.transformers as m, bon.errors as e\n"
        "try: m.load_language_model('x')\n"
        "except e.MissingExtra as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'bon[torch]'" in done.stdout, done.stderr
    assert package in done.stdout


def test_progress_bars_do_not_reach_the_terminal(base: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    load_language_model(base, device="cpu")
    assert logging.is_progress_bar_enabled() == shown
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_of_a_shared_prefix_equal_full_forwards(tmp_path: Path, family: str) -> None:
    """Expanded, reordered and dropped rows each go on from their own history."""
    lm = load_language_model(save_tiny_model(tmp_path, family), device="cpu")
    prompt = [int(token) for token in torch.randint(3, 300, (20,), generator=torch.Generator().manual_seed(1))]
    rows: list[list[int]] = [[], [], []]
    with torch.inference_mode():
        prefix = prefill(lm.model, prompt)
        select_rows(prefix, [0, 0, 0])
        for step, (keep, tokens) in enumerate([((0, 1, 2), (7, 8, 9)), ((2, 0, 2), (4, 5, 6)), ((1,), (3,))]):
            if step:
                select_rows(prefix, keep)
            rows = [[*rows[row], token] for row, token in zip(keep, tokens, strict=True)]
            advance(lm.model, prefix, torch.tensor(tokens))
            expected = torch.stack([logits_of(lm.model, [*prompt, *row])[-1] for row in rows])
            torch.testing.assert_close(prefix.logits, expected, atol=1e-4, rtol=1e-4)
    assert rows == [[7, 5, 3]]


def test_unknown_families_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="qwen3"):
        save_tiny_model(tmp_path, "bert")
