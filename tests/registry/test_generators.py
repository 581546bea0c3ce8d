"""Generators by their specs: each really drawn from, the models made here."""

from __future__ import annotations

from pathlib import Path

import pytest

import bon
from bon.errors import ModelError, SpecError
from bon.generate.embedded import EmbeddedGenerator
from bon.generate.llamacpp import LlamaCppGenerator
from bon.generate.metered import Metered
from bon.generate.mixture import Mixture
from bon.generate.openai import OpenAIGenerator
from bon.generate.replay import Replay
from bon.generate.variations import Variations
from bon.ledger import FREE, Price
from bon.registry import Builder, Config
from bon.testing import Fault, FaultServer, Scripted
from bon.testing.checkpoints import save_tiny_adapter, save_tiny_gguf, save_tiny_model
from bon.types import Message

ASKED: list[Message] = [{"role": "user", "content": "Why?"}]


async def test_a_transformers_folder_and_an_adapter_on_it(tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "model")
    save_tiny_adapter(tmp_path / "adapter", tmp_path / "model")
    for spec in (f"hf:{tmp_path / 'model'}", f"hf:{tmp_path / 'adapter'}", f"hf:{tmp_path / 'model'}?dtype=bfloat16"):
        with bon.generator(spec, max_tokens=4) as generator:
            r = await bon.abest_of_n(ASKED, n=3, generator=generator, scorer="selfcertainty")
        assert len(r.pool) == 3
        assert r.best.generator == spec.partition("?")[0]
        assert r.pool.prompt.request["max_tokens"] == 4
        assert {score.reason for score in r.pool.scores["selfcertainty"]} == {r.pool.scores["selfcertainty"][0].reason}


async def test_a_gguf_that_openvino_does_not_read_runs_on_llama_cpp(tmp_path: Path) -> None:
    path = save_tiny_gguf(tmp_path / "tiny.gguf")
    with bon.generator(f"gguf:{path}", max_tokens=4) as generator:
        assert isinstance(generator.inner, LlamaCppGenerator)
        r = await bon.abest_of_n(ASKED, n=3, generator=generator, scorer="heuristic")
    assert len(r.pool) == 3
    assert r.best.generator == "gguf:tiny"


def test_the_embedded_model_by_its_spec(embedded_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BON_MODEL", str(embedded_model))
    for spec in ("local", f"gguf:{embedded_model}"):
        with Builder(Config()).generator(spec, temperature=0, deterministic=True) as generator:
            assert isinstance(generator.inner, EmbeddedGenerator)
            assert generator.defaults["temperature"] == 0
    assert Builder(Config()).generator("local").name == "local:SmolLM2-135M-Instruct"
    with pytest.raises(SpecError, match=r"'openvino' and 'llama.cpp'"):
        Builder(Config()).generator("local?engine=vllm")
    monkeypatch.setenv("BON_MODEL", str(embedded_model / "nothing"))
    with pytest.raises(ModelError, match="does not exist"):
        Builder(Config()).generator("local")


async def test_an_endpoint_gets_the_options_of_its_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "canary")
    async with FaultServer(answers=["4"]) as server:
        spec = f'openai:m@{server.url}?temperature=0.1&key_env=MY_KEY&chat_template_kwargs={{"enable_thinking":false}}'
        with bon.generator(spec) as generator:
            r = await bon.abest_of_n("2+2?", n=1, generator=generator, scorer="heuristic")
            assert "canary" not in repr(generator) + generator.spec
        (call,) = server.ledger.calls
    assert call.request["temperature"] == 0.1
    assert call.request["chat_template_kwargs"] == {"enable_thinking": False}
    assert r.best.generator == "openai:m"


async def test_a_hook_hears_of_retries_and_of_what_was_paid_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[bon.Event] = []
    async with FaultServer(answers=["4"], faults=[Fault(status=503), Fault(no_finish=True)]) as server:
        with bon.generator(f"openai:m@{server.url}") as generator:
            plan = bon.Plan(generator=generator, budget=bon.Fixed(1), hook=events.append)
            pool = await bon.run(bon.prompt("2+2?"), plan)
    kinds = [type(event).__name__ for event in events]
    assert kinds.count("Retried") == 2
    assert kinds.count("Drawn") == 1
    billed = sum(call.billed.total_tokens for call in server.ledger.calls)
    assert pool.spent.usage.total_tokens == billed


def test_ollama_is_an_endpoint_of_this_machine() -> None:
    with bon.generator("ollama:qwen3:8b") as generator:
        assert generator.name == "ollama:qwen3:8b"
        assert generator.endpoint.name.startswith("http://localhost:11434")
        assert generator.model == "qwen3:8b"


def test_what_charges_its_own_calls_is_passed_on_as_it_is_and_anything_else_is_metered() -> None:
    plain, builder = Scripted(["a"]), Builder(Config(prices={"scripted": Price(prompt=1, completion=2)}))
    built = builder.generator(plain)
    assert isinstance(built.thing, Metered)
    assert built.inner is plain
    assert built.price == Price(prompt=1, completion=2)
    own = OpenAIGenerator("m", url="http://localhost:1/v1")
    assert builder.generator(own).thing is own
    composite = Mixture([own, built])
    assert builder.generator(composite).thing is composite
    assert isinstance(builder.generator(Variations(plain)).thing, Metered), "its parts charge nothing: paid for as one"
    assert builder.generator(Replay([])).price == FREE
    assert Builder(Config()).generator(plain).price is None


@pytest.mark.parametrize(("written", "meant"), [("hegde", "hedge"), ("rmp", "rpm"), ("slot", "slots")])
def test_a_misspelt_option_of_an_endpoint_is_no_request_field(written: str, meant: str) -> None:
    with pytest.raises(SpecError, match=f"did you mean '{meant}'"):
        Builder(Config()).generator(f"openai:m@http://localhost:1/v1?{written}=2")


def test_a_key_in_the_place_of_its_name_is_not_repeated() -> None:
    with pytest.raises(SpecError, match="not set") as caught:
        Builder(Config()).generator("openai:m@http://localhost:1/v1?key_env=sk-canary-123")
    assert "canary" not in str(caught.value)
