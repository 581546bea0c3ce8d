"""Policies: what of them is trained, the reference beside them, and folders that `hf:` loads."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bon.errors import ModelError, UsageError
from bon.models.transformers import load_language_model
from bon.testing.checkpoints import save_tiny_adapter, save_tiny_model
from bon.train.policy.logprobs import sequence_log_probs
from bon.train.policy.model import POLICY, Policy, PolicySetup, load_policy, save_policy

torch = pytest.importorskip("torch")

PROMPTS, RESPONSES = [[5, 6, 7], [9] * 12, [3, 4]], [[8, 9], [10, 11, 12, 13], [7]]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("policy") / "llama")


def loaded(base: Path, **setup: Any) -> Policy:
    return load_policy(PolicySetup(reference=str(base), device="cpu", **setup), seed=0)


def shaken(policy: Policy) -> None:
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in policy.model.parameters():
            if weight.requires_grad:
                weight.add_(0.1 * torch.randn_like(weight))


def said(model: Any) -> Any:
    with torch.no_grad():
        return sequence_log_probs(model, PROMPTS, RESPONSES)


@pytest.mark.parametrize("adapt", ["full", "last", "lora"])
def test_what_is_saved_is_what_hf_loads_and_the_reference_stays(base: Path, tmp_path: Path, adapt: str) -> None:
    policy = loaded(base, adapt=adapt, layers=1, rank=4)
    before = said(load_language_model(base, device="cpu").model)
    assert torch.equal(said(policy.model), before)  # nothing is changed by what will be trained
    shaken(policy)
    trained = said(policy.model)
    assert (trained - before).abs().max() > 0.1
    with policy.referring() as reference:
        assert torch.equal(said(reference), before)
    assert torch.equal(said(policy.model), trained)  # and adapters are on again
    save_policy(tmp_path, policy, card="a card", manifest={"method": "ppo"})
    again = load_language_model(tmp_path, device="cpu")
    assert torch.allclose(said(again.model), trained, atol=1e-4)
    assert again.tokenizer.decode([5, 6, 7]) == policy.tokenizer.decode([5, 6, 7])
    assert again.eos == policy.eos
    assert json.loads((tmp_path / POLICY).read_text()) == {"method": "ppo"}
    assert (tmp_path / "adapter_model.safetensors").exists() == (adapt == "lora")
    assert not list(tmp_path.glob("result*"))


def test_an_adapter_on_an_adapter_is_merged(base: Path, tmp_path: Path) -> None:
    first = save_tiny_adapter(tmp_path / "first", base)
    policy = loaded(first, adapt="lora", rank=2)
    before = said(load_language_model(first, device="cpu").model)
    with policy.referring() as reference:
        assert torch.allclose(said(reference), before)
    shaken(policy)
    trained = said(policy.model)
    save_policy(tmp_path / "out", policy, card="", manifest={})
    assert (tmp_path / "out" / "model.safetensors").exists()
    assert torch.allclose(said(load_language_model(tmp_path / "out", device="cpu").model), trained, atol=1e-4)


@pytest.mark.parametrize("size", [3e-3, 3e-2])
def test_adapters_on_a_base_in_bfloat16_are_merged_without_rounding_what_was_learned(
    base: Path, tmp_path: Path, size: float
) -> None:
    """However little was learned: adapters this small are below the steps of bfloat16 for most weights."""
    policy = replace(loaded(base, adapt="lora", rank=4, precision="bfloat16"), merge=True)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in policy.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, size)
    exactly = copy.deepcopy(policy.model).float()  # the same policy, asked in float32
    trained = said(exactly)
    with exactly.disable_adapter():
        moved = (trained - said(exactly)).abs().max()
    save_policy(tmp_path, policy, card="", manifest={})
    again = load_language_model(tmp_path, dtype="float32", device="cpu").model
    assert (said(again) - trained).abs().max() < min(1e-5, moved / 100)


def test_last_trains_layers_and_the_norm_behind_them_alone(base: Path) -> None:
    policy = loaded(base, adapt="last", layers=1)
    names = {name for name, weight in policy.model.named_parameters() if weight.requires_grad}
    assert names
    assert all(name.startswith(("model.layers.1.", "model.norm.")) for name in names)
    assert "model.norm.weight" in names


@pytest.mark.parametrize("adapt", ["full", "last", "lora"])
def test_the_reference_asks_for_no_gradients(base: Path, adapt: str) -> None:
    policy = loaded(base, adapt=adapt)
    with policy.referring() as reference:
        assert not sequence_log_probs(reference, PROMPTS, RESPONSES).requires_grad
    assert sequence_log_probs(policy.model, PROMPTS, RESPONSES).requires_grad


def test_there_is_no_dropout_in_any_mode(tmp_path: Path) -> None:
    base = save_tiny_model(tmp_path / "gpt2", "gpt2")
    file = base / "config.json"
    file.write_text(
        json.dumps({**json.loads(file.read_text()), "attn_pdrop": 0.5, "resid_pdrop": 0.5, "embd_pdrop": 0.5})
    )
    plain = load_language_model(base, device="cpu").model.train()
    assert not torch.equal(said(plain), said(plain))  # the model has some
    policy = loaded(base)
    policy.model.train()
    assert torch.equal(said(policy.model), said(policy.model))
    with policy.referring() as reference:
        assert torch.equal(said(reference.train()), said(policy.model))


def test_adapters_follow_from_the_seed(base: Path) -> None:
    setup = PolicySetup(reference=str(base), adapt="lora", device="cpu")

    def began(seed: int) -> Any:
        found = [weight for name, weight in load_policy(setup, seed=seed).model.named_parameters() if "lora_A" in name]
        return torch.cat([weight.flatten() for weight in found])

    assert torch.equal(began(0), began(0))
    assert not torch.equal(began(0), began(1))


def test_activations_computed_twice_change_nothing(base: Path) -> None:
    grads = []
    for checkpointing in (False, True):
        policy = loaded(base, checkpointing=checkpointing)
        policy.model.train()
        sequence_log_probs(policy.model, PROMPTS, RESPONSES).sum().backward()
        grads.append(torch.cat([weight.grad.flatten() for weight in policy.model.parameters()]))
    assert torch.allclose(*grads, atol=1e-5)


def test_what_cannot_be_is_refused(base: Path) -> None:
    with pytest.raises(UsageError, match="device 'auto'"):
        PolicySetup(device="auto")
    with pytest.raises(UsageError, match="layers is 0"):
        PolicySetup(layers=0)
    with pytest.raises(ModelError, match="no model folder"):
        load_policy(replace(PolicySetup(device="cpu"), reference="/nowhere/at/all"), seed=0)
