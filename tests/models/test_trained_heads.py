"""Heads that bon trains: what they compute, and that they come back as they were saved."""

from __future__ import annotations

from pathlib import Path

import pytest

from bon.errors import ModelError, UsageError
from bon.models.heads import HEADS, load_head, make_head, save_head

torch = pytest.importorskip("torch", reason="the torch extra is not installed")
STATES = torch.randn(5, 7, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_a_head_comes_back_as_it_was_saved(tmp_path: Path, kind: str, outputs: int, bias: bool) -> None:
    head = make_head(kind, size=16, outputs=outputs, bias=bias)
    save_head(tmp_path / "head.safetensors", head)
    again = load_head(tmp_path)
    assert not again.training
    with torch.inference_mode():
        assert again(STATES).shape == (5, 7, outputs)
        torch.testing.assert_close(again(STATES), head.eval()(STATES))


def test_a_head_computes_what_its_name_says() -> None:
    linear, mlp = make_head("linear", size=16), make_head("mlp", size=16).eval()
    with torch.inference_mode():
        torch.testing.assert_close(linear(STATES), STATES @ linear.weight.T + linear.bias)
        inner = (STATES @ mlp[0].weight.T + mlp[0].bias).clamp(min=0)
        assert inner.shape[-1] == 512
        torch.testing.assert_close(mlp(STATES), inner @ mlp[3].weight.T + mlp[3].bias)
    mlp.train()
    assert not torch.equal(mlp(STATES), mlp(STATES)), "dropout"


def test_what_is_no_head_says_so(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    with pytest.raises(UsageError, match="'deep'"):
        make_head("deep", size=16)
    with pytest.raises(ModelError, match="there is no head"):
        load_head(tmp_path)
    for tensors in (
        {"other": torch.ones(2)},
        {"weight": torch.ones(2)},
        {"0.weight": torch.ones(512, 16)},
        {"weight": torch.ones(1, 16), "more": torch.ones(1)},
    ):
        save_file(tensors, tmp_path / "head.safetensors")
        with pytest.raises(ModelError, match="no head of bon"):
            load_head(tmp_path)
