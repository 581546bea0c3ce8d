"""The enumerable model: all its responses are listed, each once, and are what drawing from its folder gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bon.errors import UsageError
from bon.models.transformers import encode_chat, load_language_model, render_chat
from bon.testing.enumerable import save_enumerable

torch = pytest.importorskip("torch")


def test_every_response_is_listed_once_and_their_probabilities_sum_to_one(tmp_path: Path) -> None:
    world = save_enumerable(tmp_path, letters=3, length=3, seed=1)
    assert len(world.strings) == len(set(world.strings)) == 1 + 3 + 9 + 27
    assert len(set(world.rewards.tolist())) == len(world.strings)
    model = load_language_model(world.folder, device="cpu").model
    for prompt in ("", "a", "cab"):
        known = world.known(model, prompt)
        assert np.exp(known.log_p).sum() == pytest.approx(1)
        assert known.upto.max() == 1
        assert known.below.min() == 0
    assert np.abs(world.known(model, "a").log_p - world.known(model, "b").log_p).max() > 0.01
    assert world.reward("ba") == world.rewards[world.strings.index("ba")]
    assert len(save_enumerable(tmp_path / "larger", letters=6, length=5).strings) == 9_331


def test_the_probabilities_are_those_of_the_tokens_one_by_one(tmp_path: Path) -> None:
    """Against one pass a string: each letter, and the end unless the string was cut at its longest."""
    world = save_enumerable(tmp_path, letters=3, length=3, seed=1)
    loaded = load_language_model(world.folder, device="cpu")
    end = loaded.tokenizer.eos_token_id
    assert loaded.eos == {end}
    start = encode_chat(loaded.tokenizer, render_chat(loaded.tokenizer, [{"role": "user", "content": "ab"}]))
    assert start == [end, 0, 1]
    expected = []
    for text in world.strings:
        response = loaded.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert loaded.tokenizer.decode([*response, end], skip_special_tokens=True) == text
        response += [end] * (len(text) < world.length)
        with torch.no_grad():
            logits = loaded.model(torch.tensor([[*start, *response]])).logits[0, len(start) - 1 : -1]
        expected.append(float(torch.log_softmax(logits / 0.7, -1)[range(len(response)), response].sum()))
    with torch.no_grad():
        found = world.log_probs(loaded.model, "ab", temperature=0.7)
    assert found.tolist() == pytest.approx(expected, abs=1e-5)


def test_they_can_be_learned_from(tmp_path: Path) -> None:
    world = save_enumerable(tmp_path, letters=2, length=2)
    model = load_language_model(world.folder, device="cpu").model
    world.log_probs(model)[3].backward()
    assert all(weight.grad is not None for weight in model.parameters())
    assert float(model.get_input_embeddings().weight.grad[2].abs().sum()) > 0  # the start is no padding


def test_the_seed_decides(tmp_path: Path) -> None:
    first, again, other = (save_enumerable(tmp_path / str(k), letters=2, length=2, seed=k // 2) for k in range(3))
    weights = [(world.folder / "model.safetensors").read_bytes() for world in (first, again, other)]
    assert weights[0] == weights[1] != weights[2]
    assert first.rewards.tolist() == again.rewards.tolist() != other.rewards.tolist()


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="1 to 26 letters"):
        save_enumerable(tmp_path, letters=27)
    with pytest.raises(UsageError, match="'abc' is no string of at most 2 letters"):
        save_enumerable(tmp_path, letters=3, length=2).reward("abc")
