"""Memory: what is said before a model is loaded, a model that cannot fit, and memory that is given back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the torch extra is not installed")

import bon  # noqa: E402
from bon.api.job import make_job  # noqa: E402
from bon.errors import ModelError  # noqa: E402
from bon.models.memory import there  # noqa: E402
from bon.registry import Builder  # noqa: E402
from bon.score.reward import Options, RewardModel  # noqa: E402
from bon.testing.checkpoints import save_tiny_reward_model  # noqa: E402
from bon.types import Candidate, Pool, Prompt, as_messages  # noqa: E402

POOL = Pool(
    prompt=Prompt(id="p", messages=as_messages("Why is the sky blue?")),
    candidates=(Candidate(index=0, text="Because the air scatters blue light."),),
)


def save_huge(folder: Path, *, size: int, architecture: str = "LlamaForSequenceClassification") -> Path:
    """A model whose files say that it has `size` bytes in bfloat16, and hold none of them."""
    save_tiny_reward_model(folder)
    count = size // 2
    tensors: dict[str, Any] = {
        "score.weight": {"dtype": "BF16", "shape": [1, 32], "data_offsets": [0, 64]},
        "model.embed_tokens.weight": {"dtype": "BF16", "shape": [count], "data_offsets": [64, 64 + 2 * count]},
    }
    if architecture.endswith("CausalLM"):
        del tensors["score.weight"]
    header = json.dumps(tensors).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": [architecture]}))
    return folder


async def test_what_is_needed_and_what_is_there_is_said_before_loading(tmp_path: Path) -> None:
    said: list[str] = []
    folder = save_tiny_reward_model(tmp_path)
    model = RewardModel(folder, name="rm:tiny", options=Options(device="cpu"), say=said.append)
    assert not said
    await model(POOL)
    await model(POOL)
    model.close()
    [line] = said
    assert line.startswith("memory on cpu: ")
    assert "rm:tiny: " in line
    assert "of weights in float32" in line


async def test_a_model_that_cannot_fit_is_not_loaded_and_says_what_would(tmp_path: Path) -> None:
    folder = save_huge(tmp_path, size=int(1.5 * there()))
    with (
        bon.scorer(f"rm:{folder}?device=cpu&dtype=bfloat16") as scorer,
        pytest.raises(ModelError, match=r"need .* on cpu, and .* are there \(.*a smaller model"),
    ):
        await scorer(POOL)


async def test_a_narrower_type_is_named_where_it_would_do(tmp_path: Path) -> None:
    folder = save_huge(tmp_path, size=int(0.7 * there()))
    with (
        bon.scorer(f"rm:{folder}?device=cpu") as scorer,
        pytest.raises(ModelError, match=r"What would fit: dtype=bfloat16"),
    ):
        await scorer(POOL)


def test_generator_and_reward_model_are_planned_together(tmp_path: Path) -> None:
    half = int(0.6 * there())
    generator = save_huge(tmp_path / "lm", size=half, architecture="LlamaForCausalLM")
    scorer = save_huge(tmp_path / "rm", size=half)
    hf, rm = f"hf:{generator}?dtype=bfloat16&device=cpu", f"rm:{scorer}?dtype=bfloat16&device=cpu"
    make_job(Builder(), generator=hf).close()  # each by itself would fit
    make_job(Builder(), generator="ollama:nobody", scorer=rm).close()
    with pytest.raises(ModelError, match=r"'hf:.*' and 'rm:.*' need .*What would fit: .* alone"):
        make_job(Builder(), generator=hf, scorer=rm)


def test_what_fits_together_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save_tiny_reward_model(tmp_path)
    builder = Builder()
    generator = builder.generator(f"hf:{folder}?device=cpu")
    scorer = builder.scorer(f"rm:{folder}?device=cpu")
    make_job(builder, generator=generator, scorer=scorer)
    make_job(builder, generator=generator, scorer=scorer)  # they may be loaded by now
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("bon: memory on cpu: ")
    generator.close()
    scorer.close()


_CLOSING = """
import asyncio, sys
from pathlib import Path
from bon.score.reward import Options, RewardModel
from bon.types import Candidate, Pool, Prompt, as_messages

pool = Pool(prompt=Prompt(id="p", messages=as_messages("Why?")), candidates=(Candidate(index=0, text="So."),))

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

def used(folder):
    model = RewardModel(folder, options=Options(device="cpu"), say=lambda line: None)
    asyncio.run(model(pool))
    return model

used(sys.argv[1]).close()  # libraries are loaded now
before = resident()
model = used(sys.argv[2])
loaded = resident()
model.close()
print(loaded - before, resident() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_close_gives_the_memory_back(tmp_path: Path) -> None:
    from reward_checkpoints import (
        LLAMA3,
        LLAMA3_TEMPLATE,
        SIZES,
        backbone_of,
        linear,
        prefixed,
        save,
        stated,
        tokenizer_of,
    )
    from transformers import LlamaConfig

    small = save_tiny_reward_model(tmp_path / "small")
    sizes = {**SIZES, "hidden_size": 1024, "intermediate_size": 2048}
    model = backbone_of(LlamaConfig(vocab_size=32_000, max_position_embeddings=256, **sizes))
    tensors = prefixed(model, "model.") | {"score.weight": linear(1, 1024, bias=False).weight}
    tokenizer = tokenizer_of(LLAMA3, template=LLAMA3_TEMPLATE, bos="<|begin_of_text|>", pad="[PAD]")
    large = save(tmp_path / "large", tensors, stated(model, "LlamaForSequenceClassification", num_labels=1), tokenizer)
    command = [sys.executable, "-c", _CLOSING, str(small), str(large)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    taken, kept = map(int, done.stdout.split())
    assert taken > 50e6  # the layers; of the embeddings only what is looked up is read
    assert kept < 0.2 * taken
