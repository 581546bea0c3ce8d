"""Log-probabilities of responses: of their own tokens alone, as a pass over each row by itself says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from online_parts import one_by_one, probabilities

from bon.errors import UsageError
from bon.models.transformers import load_language_model
from bon.testing.checkpoints import save_tiny_model
from bon.testing.enumerable import save_enumerable
from bon.train.policy.logprobs import collate, full_kl, sequence_log_probs, spreads, token_log_probs

torch = pytest.importorskip("torch")

PROMPTS = [[5, 6, 7], [9] * 14, [3, 4]]
RESPONSES = [[8, 9], [10, 11, 12, 13, 14, 15], [7]]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_language_model(save_tiny_model(tmp_path_factory.mktemp("logprobs") / "llama"), device="cpu")


def of(model: Any, prompts: Any, responses: Any, **more: Any) -> tuple[Any, Any]:
    with torch.no_grad():
        return token_log_probs(model, prompts, responses, **more)


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "mistral", "gpt2"])
def test_a_batch_says_what_each_row_says_by_itself(tmp_path: Path, family: str) -> None:
    model = load_language_model(save_tiny_model(tmp_path, family), device="cpu").model
    found, mask = of(model, PROMPTS, RESPONSES, temperature=0.7)
    assert found.dtype == torch.float32
    assert mask.tolist() == [[1, 1, 0, 0, 0, 0], [1] * 6, [1, 0, 0, 0, 0, 0]]
    for row, (prompt, response) in enumerate(zip(PROMPTS, RESPONSES, strict=True)):
        alone = one_by_one(model, prompt, response, 0.7)
        assert torch.allclose(found[row, : len(response)], alone, atol=1e-5)
    assert (found[~mask] == 0).all()


def test_neither_prompt_nor_padding_is_counted(llama: Any) -> None:
    """The sum over a response is log pi of it given the prompt: what the prompt's own tokens are worth is not in it."""
    prompt, response = [5, 6, 7, 8], [9, 10]
    found, _ = of(llama.model, [prompt, [4] * 9], [response, [3] * 7])
    assert found[0].sum() == pytest.approx(float(one_by_one(llama.model, prompt, response).sum()), abs=1e-5)
    whole = one_by_one(llama.model, prompt[:1], [*prompt[1:], *response])
    assert abs(float(whole.sum() - found[0].sum())) > 1


def test_the_first_and_the_last_token_are_the_right_ones(llama: Any) -> None:
    """A mask that is shifted by one would read the prompt's last token, or leave out the answer's."""
    found, _ = of(llama.model, [[5, 6]], [[7, 8, 9]])
    with torch.no_grad():
        steps = torch.log_softmax(llama.model(input_ids=torch.tensor([[5, 6, 7, 8, 9]])).logits[0], dim=-1)
    assert found[0].tolist() == pytest.approx([float(steps[1, 7]), float(steps[2, 8]), float(steps[3, 9])], abs=1e-5)


def test_an_end_token_that_is_also_the_padding_is_counted_once(llama: Any) -> None:
    """Where padding and end are one token, a mask by value would lose the true end, or count the padding."""
    (eos,) = llama.eos
    llama.model.config.pad_token_id = eos
    ended, mask = of(llama.model, [[5, 6], [5, 6]], [[7, eos], [7, 8, 9, 10]])
    assert mask[0].tolist() == [True, True, False, False]
    assert torch.allclose(ended[0, :2], one_by_one(llama.model, [5, 6], [7, eos]), atol=1e-5)
    cut, mask = of(llama.model, [[5, 6]], [[7]])
    assert cut[0].sum() > ended[0].sum()  # the end, where it was drawn, has a price
    zero, _ = of(llama.model, [[0, 0, 5], [0] * 6], [[0, 0], [7] * 3])  # 0 is what rows are padded with
    assert torch.allclose(zero[0, :2], one_by_one(llama.model, [0, 0, 5], [0, 0]), atol=1e-5)


def test_sequences_are_sums_and_not_means(llama: Any) -> None:
    with torch.no_grad():
        sums = sequence_log_probs(llama.model, PROMPTS, RESPONSES)
    alone = [float(one_by_one(llama.model, *row).sum()) for row in zip(PROMPTS, RESPONSES, strict=True)]
    assert sums.tolist() == pytest.approx(alone, abs=1e-4)


def test_what_else_is_in_the_batch_does_not_matter(llama: Any) -> None:
    together, _ = of(llama.model, PROMPTS, RESPONSES)
    for row in range(3):
        alone, _ = of(llama.model, PROMPTS[row : row + 1], RESPONSES[row : row + 1])
        assert torch.allclose(together[row, : alone.shape[1]], alone[0], atol=1e-5)


def test_gradients_flow_from_response_tokens_alone(llama: Any) -> None:
    llama.model.zero_grad()
    embedded = llama.model.get_input_embeddings().weight
    token_log_probs(llama.model, [[5, 6], [7, 8, 9, 10]], [[11], [12, 13]])[0].sum().backward()
    moved = {int(row) for row in embedded.grad.abs().sum(1).nonzero()}
    assert moved <= {5, 6, 7, 8, 9, 10, 12}  # 0, what rows are padded with, and the last tokens predict nothing
    assert 0 not in moved


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_full_kl_is_the_divergence_of_the_enumerated_laws(tmp_path: Path, temperature: float) -> None:
    """Over all strings, weighed by how likely they are, the sum of token divergences is the divergence of strings."""
    world = save_enumerable(tmp_path / "one", letters=2, length=3, seed=0)
    save_enumerable(tmp_path / "other", letters=2, length=3, seed=1)
    ours, theirs = (load_language_model(tmp_path / name, device="cpu") for name in ("one", "other"))
    p, q = (probabilities(world, lm.model, temperature=temperature) for lm in (ours, theirs))
    (eos,) = ours.eos
    rows = [[*map("ab".index, text), *([eos] if len(text) < 3 else [])] for text in world.strings]
    with torch.no_grad():
        each = full_kl(ours.model, theirs.model, [[eos]] * len(rows), rows, temperature=temperature)
    assert float((each.numpy() * p).sum()) == pytest.approx(float((p * np.log(p / q)).sum()), rel=1e-4)
    assert (each >= 0).all()
    with torch.no_grad():
        assert full_kl(ours.model, ours.model, [[eos]] * len(rows), rows).abs().max() == 0


def test_entropies_and_divergences_are_those_of_the_tempered_distributions() -> None:
    logits = torch.tensor([[[0.0, 1.0, 2.0], [5.0, 5.0, 5.0]]])
    others = torch.tensor([[[1.0, 1.0, 0.0], [0.0, 1.0, 2.0]]])
    mask = torch.tensor([[True, False]])
    p, q = torch.softmax(logits[0, 0] / 0.5, dim=-1), torch.softmax(others[0, 0] / 0.5, dim=-1)
    entropy, kl = spreads(logits, others, mask, temperature=0.5)
    assert entropy.tolist() == [pytest.approx([float(-(p * p.log()).sum()), 0.0])]
    assert kl.tolist() == [pytest.approx([float((p * (p / q).log()).sum()), 0.0])]


def test_a_prompt_without_tokens_is_refused(llama: Any) -> None:
    with pytest.raises(UsageError, match="nothing to go on from"):
        collate(llama.model, [[]], [[1]])
