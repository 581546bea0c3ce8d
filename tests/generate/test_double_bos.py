"""Tiny GGUF files on the local engines: one BOS is read, and what is said of it is what transformers say."""

from __future__ import annotations

import asyncio
import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from bon.generate.embedded import EmbeddedGenerator, reads
from bon.generate.llamacpp import LlamaCppGenerator
from bon.models.gguf import read_header
from bon.testing.checkpoints import save_tiny_gguf, save_tiny_model
from bon.types import Candidate, Message, Prompt

torch = pytest.importorskip("torch", reason="the torch extra is not installed: it makes the tiny models")
transformers = pytest.importorskip("transformers", reason="the torch extra is not installed: it makes the tiny models")
pytest.importorskip("gguf", reason="the local extra is not installed")

Opened = EmbeddedGenerator | LlamaCppGenerator

CHATS: tuple[tuple[Message, ...], ...] = (
    ({"role": "user", "content": "Why is the sky blue?"},),
    (
        {"role": "system", "content": "Answer with one word."},
        {"role": "user", "content": "One and two are?"},
        {"role": "assistant", "content": "Three."},
        {"role": "user", "content": "Über den Wolken: 天空 is blue 🙂?"},
    ),
)
NEARBY = 0.2
"""Nats a token, on average, that an engine in bfloat16 may be away from float32; a wrong token more is nats away."""

CONVERT = """
import sys
from bon.generate.embedded.load import forbid_telemetry
forbid_telemetry()
import openvino, transformers
from openvino_tokenizers import convert_tokenizer
tokenizer = transformers.AutoTokenizer.from_pretrained(sys.argv[1])
for made, name in zip(convert_tokenizer(tokenizer, with_detokenizer=True), ("tokenizer", "detokenizer")):
    openvino.save_model(made, f"{sys.argv[2]}/openvino_{name}.xml")
"""
"""In a process of its own, in which OpenVINO cannot call home."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A place for models, and for what the embedded engine makes of them."""
    made = tmp_path_factory.mktemp("bos")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BON_CACHE", str(made / "cache"))
        yield made


@pytest.fixture(scope="module")
def opened(folder: Path) -> Iterator[Callable[[type[Opened], str], Opened]]:
    """Opens the tiny model of a family with an engine, each once; skips where the engine is not installed."""
    made: dict[tuple[type[Opened], str], Opened] = {}

    def open_(engine: type[Opened], family: str) -> Opened:
        library = "openvino_genai" if engine is EmbeddedGenerator else "xllamacpp"
        if find_spec(library) is None:  # not imported: openvino_genai would be free to call home in this process
            pytest.skip(f"needs {library}: pip install 'bon[local]'")
        path = folder / f"{family}.gguf"
        if not path.exists():
            save_tiny_gguf(path, family)
        if (engine, family) not in made:
            defaults = {"temperature": 1.0, "max_tokens": 12, "return_token_ids": True}
            made[engine, family] = engine(path, defaults=defaults, threads=1)
        return made[engine, family]

    yield open_
    for generator in made.values():
        generator.close()


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> Callable[[str], Path]:
    """The same model as the GGUF of its family, as transformers keep it."""

    def saved(family: str) -> Path:
        place = folder / family
        return place if place.exists() else save_tiny_model(place, family)

    return saved


def read(place: Path, messages: tuple[Message, ...]) -> list[int]:
    """The prompt's tokens by transformers, whose chat templates write all the special tokens there are."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    ids: list[int] = tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, return_dict=False)
    return ids


async def drawn(generator: Opened, messages: tuple[Message, ...], n: int = 1) -> list[Candidate]:
    draws = [draw async for draw in generator(Prompt(id="p", messages=messages), n)]
    assert all(isinstance(draw, Candidate) for draw in draws), draws
    return [draw for draw in draws if isinstance(draw, Candidate)]


def test_the_tiny_llama_invites_a_double_bos(folder: Path, checkpoint: Callable[[str], Path]) -> None:
    """Its file asks for a BOS and its template writes one: tokenised the usual way, the rendered chat has two."""
    metadata = read_header(save_tiny_gguf(folder / "invites.gguf", "llama")).metadata
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint("llama"))
    assert metadata["tokenizer.ggml.add_bos_token"] is True
    assert metadata["tokenizer.ggml.bos_token_id"] == tokenizer.bos_token_id
    assert "{{ bos_token }}" in metadata["tokenizer.chat_template"]
    rendered = tokenizer.apply_chat_template(list(CHATS[0]), add_generation_prompt=True, tokenize=False)
    assert tokenizer(rendered).input_ids == [tokenizer.bos_token_id, *read(checkpoint("llama"), CHATS[0])]


@pytest.mark.parametrize("messages", CHATS, ids=["question", "conversation"])
@pytest.mark.parametrize(
    ("engine", "family", "bos"),
    [
        (EmbeddedGenerator, "llama", 1),
        (EmbeddedGenerator, "qwen2", 0),
        (LlamaCppGenerator, "llama", 1),
        (LlamaCppGenerator, "gpt2", 0),
    ],
)
async def test_a_prompt_has_one_bos_or_none(
    opened: Callable[[type[Opened], str], Opened],
    checkpoint: Callable[[str], Path],
    engine: type[Opened],
    family: str,
    bos: int,
    messages: tuple[Message, ...],
) -> None:
    """A BOS is read once where the model has one, and not at all where it has none."""
    expected = read(checkpoint(family), messages)
    start = transformers.AutoTokenizer.from_pretrained(checkpoint("llama")).bos_token_id  # has one id in all families
    assert expected.count(start) == bos
    (draw,) = await drawn(opened(engine, family), messages)
    assert draw.usage is not None
    assert draw.usage.prompt_tokens == len(expected)


async def test_a_tokenizer_that_adds_a_bos_adds_no_second_one(
    opened: Callable[[type[Opened], str], Opened], checkpoint: Callable[[str], Path], folder: Path
) -> None:
    """An OpenVINO folder's does; what openvino-genai makes of a GGUF's tokenizer never adds one, asked or not."""
    if find_spec("openvino_tokenizers") is None:
        pytest.skip("needs openvino_tokenizers: pip install 'bon[local]'")
    await drawn(opened(EmbeddedGenerator, "llama"), CHATS[0])
    (converted,) = (folder / "cache").glob("openvino-*/llama.*")
    place = shutil.copytree(converted, folder / "openvino")
    command = [sys.executable, "-W", "ignore", "-c", CONVERT, str(checkpoint("llama")), str(place)]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    generator = EmbeddedGenerator(place, defaults={"max_tokens": 4}, threads=1)
    (draw,) = await drawn(generator, CHATS[0])
    generator.close()
    assert draw.usage is not None
    assert draw.usage.prompt_tokens == len(read(checkpoint("llama"), CHATS[0]))


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
async def test_every_family_says_what_transformers_say(
    opened: Callable[[type[Opened], str], Opened], checkpoint: Callable[[str], Path], folder: Path, family: str
) -> None:
    """Of its draws' tokens: the weights, the prompt with its BOS and the logits of the tiny model are the same."""
    generator = opened(EmbeddedGenerator, family)
    assert reads(folder / f"{family}.gguf")
    place: Any = checkpoint(family)
    model = transformers.AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32)
    prompt, away = read(place, CHATS[0]), list[float]()
    for draw in await drawn(generator, CHATS[0], n=4):
        assert draw.token_ids
        assert draw.logprobs is not None
        assert all(math.isfinite(value) and value <= 0 for value in draw.logprobs.tokens)
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *draw.token_ids]])).logits[0, len(prompt) - 1 : -1]
        picked = torch.log_softmax(logits, dim=-1)[range(len(draw.token_ids)), list(draw.token_ids)].tolist()
        away += [abs(one - other) for one, other in zip(draw.logprobs.tokens, picked, strict=True)]
    assert sum(away) / len(away) < NEARBY


def test_gpt2_is_not_for_the_embedded_engine(folder: Path) -> None:
    assert not reads(save_tiny_gguf(folder / "other.gguf"))
