"""Heads that are not whole, or of another model, are refused by name before anything is scored."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the torch extra is not installed")

from reward_checkpoints import (  # noqa: E402
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
from torch import nn  # noqa: E402
from transformers import LlamaConfig  # noqa: E402

import bon  # noqa: E402
from bon.errors import ModelError  # noqa: E402
from bon.score.reward.layers import chain, fitted, layers_of  # noqa: E402
from bon.testing import pool_of  # noqa: E402

Tensors = dict[str, Any]
Spoil = Callable[[Tensors], None]


def deep(*sizes: int, root: str = "score", every: int = 2) -> Tensors:
    """The tensors of linear layers from one size to the next, numbered with what lies between them."""
    made: Tensors = {}
    for place, (inputs, outputs) in enumerate(pairwise(sizes)):
        layer = linear(outputs, inputs, seed=place)
        made |= {f"{root}.{every * place}.weight": layer.weight, f"{root}.{every * place}.bias": layer.bias}
    return made


def without(*names: str) -> Spoil:
    return lambda tensors: [tensors.pop(name) for name in names] and None


@pytest.mark.parametrize(
    ("head", "spoil", "said"),
    [
        (deep(32, 32, 1), without("score.0.weight"), r"lacks tensors of its head: score\.0\.weight"),
        (deep(32, 32, 1), without("score.0.weight", "score.0.bias"), r"lacks tensors of its head: score\.0\.weight;"),
        (deep(32, 32, 1), without("score.2.weight"), r"lacks tensors of its head: score\.2\.weight"),
        (deep(32, 32, 32, 1), without("score.2.weight", "score.2.bias"), r"lacks tensors .* score\.2\.weight"),
        (deep(32, 32, 1), lambda t: t.update({"score.scale": torch.ones(1)}), r"of no linear layer: score\.scale"),
        (deep(32, 20, 1), lambda t: t.update(deep(32, 21, 1) | {"score.2.weight": torch.ones(1, 20)}), "given 21"),
        ({"score.weight": torch.ones(1, 40)}, lambda _: None, r"score\.weight .*\(1, 40\), and is given 32 numbers"),
    ],
)
async def test_a_head_that_is_not_whole_is_an_error_that_names_what_is_wrong(
    tmp_path: Path, head: Tensors, spoil: Spoil, said: str
) -> None:
    tokenizer = tokenizer_of(LLAMA3, template=LLAMA3_TEMPLATE, bos="<|begin_of_text|>", pad="[PAD]")
    model = backbone_of(LlamaConfig(vocab_size=len(tokenizer), pad_token_id=4, max_position_embeddings=256, **SIZES))
    tensors = dict(head)
    spoil(tensors)
    folder = save(tmp_path, prefixed(model, "model.") | tensors, stated(model, "INFORM"), tokenizer)
    with bon.scorer(f"rm:{folder}", device="cpu") as scorer, pytest.raises(ModelError, match=said) as caught:
        await scorer(pool_of(["a", "b"]))
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_a_whole_head_runs_as_torch_runs_it(every: int, depth: int) -> None:
    head = deep(*[8] * depth, 1, every=every)
    between = [nn.ReLU(), nn.Dropout(0.5)][: every - 1]
    layers: list[nn.Module] = []
    for place in range(depth):
        layer = nn.Linear(8, 1 if place == depth - 1 else 8)
        layer.load_state_dict({name: head[f"score.{every * place}.{name}"] for name in ("weight", "bias")})
        layers += [layer, *(between if place < depth - 1 else [])]
    states = torch.randn(3, 8)
    expected = nn.Sequential(*layers).eval()(states)
    found = chain(head, "score", states, between=None if every > 1 else lambda x: x)
    assert torch.allclose(found, expected, atol=1e-6)


def test_layers_in_their_order_beyond_ten() -> None:
    head = deep(*[4] * 7, root="a.b")
    assert layers_of(head, "a.b") == [f"a.b.{n}" for n in (0, 2, 4, 6, 8, 10)]
    fitted(head, layers_of(head, "a.b"), size=4)
    with pytest.raises(ModelError, match="is given 5 numbers"):
        fitted(head, layers_of(head, "a.b"), size=5)
