"""Builders for runs that are only planned: they fetch, load and ask for nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from bon.errors import ModelError, SpecError, UsageError
from bon.ledger import FREE, Price
from bon.registry import Config
from bon.registry.builder import Builder, DryBuilder
from bon.registry.undrawn import Undrawn
from bon.types import Prompt, as_messages


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "MY_KEY", "BON_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BON_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("spec", "name", "charges"),
    [
        ("local", "local:SmolLM2-135M-Instruct", False),
        ("hf:some/model", "hf:some/model", False),
        ("openai:gpt-4.1-mini", "openai:gpt-4.1-mini", True),
        ("openai:m@http://127.0.0.1:9/v1?key_env=MY_KEY", "openai:m", True),
        ("ollama:m", "ollama:m", True),
    ],
)
def test_no_model_and_no_key_is_needed(spec: str, name: str, charges: bool, tmp_path: Path) -> None:
    built = DryBuilder(cache="off").generator(spec)
    assert built.name == name
    assert built.charges
    assert built.defaults["max_tokens"] == 512
    with pytest.raises(UsageError, match="draws nothing"):
        built(Prompt(id="p", messages=as_messages("?")), 1)
    assert not (tmp_path / "cache").exists()


def test_what_is_built_for_a_plan_has_the_spec_and_the_defaults_of_the_thing(tmp_path: Path) -> None:
    config = Config(defaults={"temperature": 0.3}, prices={"m": Price(prompt=1e-6, completion=2e-6)})
    spec = "openai:m@http://127.0.0.1:9/v1?max_tokens=7&slots=3&use_n=false&top_k=4"
    real, dry = (kind(config, cache="off").generator(spec) for kind in (Builder, DryBuilder))
    assert (dry.spec, dry.name, dict(dry.defaults), dry.price) == (
        real.spec,
        real.name,
        dict(real.defaults),
        real.price,
    )
    assert dry.price == Price(prompt=1e-6, completion=2e-6)
    real.close()


def test_one_that_draws_spares_says_so() -> None:
    assert DryBuilder(cache="off").generator("openai:m@http://127.0.0.1:9/v1?hedge=true").at_once == 2


@pytest.mark.parametrize(
    ("spec", "error", "says"),
    [
        ("opneai:x", SpecError, "did you mean 'openai'"),
        ("local?maxtokens=3", SpecError, "no option 'maxtokens'"),
        ("hf:x?devise=cuda", SpecError, "did you mean 'device'"),
        ("gguf:none.gguf", ModelError, "there is no"),
        ("openai:m@http://127.0.0.1:9/v1?key=sk-1", SpecError, "key_env=MY_KEY"),
        ("openai:m@http://127.0.0.1:9/v1?slots=0", SpecError, "slots"),
        ("openai:m@http://127.0.0.1:9/v1?hedge=2", SpecError, "hedge is 2"),
        ("openai:", SpecError, "needs a model"),
        ("openai:m@http://", UsageError, "must look like"),
    ],
)
def test_what_cannot_be_built_cannot_be_planned(spec: str, error: type[Exception], says: str) -> None:
    for builder in (Builder(cache="off"), DryBuilder(cache="off")):
        with pytest.raises(error, match=says):
            builder.generator(spec)


def test_composites_are_made_of_what_stands_for_their_parts() -> None:
    named = {
        "generators": {
            "several": {"kind": "mixture", "generators": ["local", "openai:gpt-4.1"]},
            "safe": {"kind": "fallback", "generators": ["openai:gpt-4.1", "local"]},
            "twisted": {"kind": "variations", "generator": "several"},
        }
    }
    builder = DryBuilder(Config(named=named), cache="off")
    mixture, fallback, variations = (builder.generator(name).thing for name in ("several", "safe", "twisted"))
    assert [part.name for part in mixture.generators] == ["local:SmolLM2-135M-Instruct", "openai:gpt-4.1"]
    assert [part.price for part in fallback.generators][1] == FREE
    assert isinstance(fallback.generators[0].thing, Undrawn)
    assert variations.inner.thing.name == mixture.name
