"""Leave-one-out, GAE, whitening and the clipped losses, against loops that are written out."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bon.train.policy.advantages import gae, rloo, whiten
from bon.train.policy.clipped import policy_losses, value_losses

torch = pytest.importorskip("torch")

numbers = st.floats(-5, 5, allow_nan=False, width=32)


@given(st.lists(st.tuples(numbers, st.integers(0, 3), st.booleans()), min_size=2, max_size=12))
def test_an_answer_is_compared_with_the_others_of_its_group(rows: list[tuple[float, int, bool]]) -> None:
    returns = torch.tensor([row[0] for row in rows], dtype=torch.float64)
    groups = torch.tensor([row[1] for row in rows])
    weights = torch.tensor([float(row[2]) for row in rows], dtype=torch.float64)
    found = rloo(returns, groups, weights)
    for place, (value, group, counts) in enumerate(rows):
        others = [row for at, row in enumerate(rows) if at != place and row[2]]
        like = [row[0] for row in others if row[1] == group] or [row[0] for row in others]
        expected = value - (math.fsum(like) / len(like) if like else 0.0) if counts else 0.0
        assert float(found[place]) == pytest.approx(expected, abs=1e-9)


def test_the_baseline_does_not_know_the_answer_it_is_taken_from() -> None:
    returns = torch.tensor([1.0, 2.0, 3.0, 10.0])
    groups = torch.zeros(4, dtype=torch.long)
    more = returns.clone()
    more[0] += 100
    assert rloo(more, groups)[0] - rloo(returns, groups)[0] == 100


@settings(max_examples=60)
@given(st.data(), st.floats(0, 1), st.floats(0, 1))
def test_gae_is_the_loop_of_its_definition(data: Any, gamma: float, lam: float) -> None:
    lengths = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    width = max(lengths) + 1
    table = st.lists(numbers, min_size=width, max_size=width)
    rewards, values = ([data.draw(table) for _ in lengths] for _ in range(2))
    mask = torch.tensor([[at < length for at in range(width)] for length in lengths])
    found = gae(
        torch.tensor(rewards, dtype=torch.float64),
        torch.tensor(values, dtype=torch.float64),
        mask,
        gamma=gamma,
        lam=lam,
    )
    for row, length in enumerate(lengths):
        errors = [
            rewards[row][at] + (gamma * values[row][at + 1] if at + 1 < length else 0.0) - values[row][at]
            for at in range(length)
        ]
        for at in range(length):
            expected = math.fsum((gamma * lam) ** (later - at) * errors[later] for later in range(at, length))
            assert float(found[row, at]) == pytest.approx(expected, abs=1e-9)
        assert (found[row, length:] == 0).all()


def test_with_lambda_1_an_advantage_is_the_return_less_the_value() -> None:
    rewards, values = torch.tensor([[0.5, 0.0, 2.0]]), torch.tensor([[1.0, -1.0, 0.25]])
    found = gae(rewards, values, torch.ones(1, 3, dtype=torch.bool), gamma=1.0, lam=1.0)
    assert found.tolist() == [pytest.approx([2.5 - 1.0, 2.0 + 1.0, 2.0 - 0.25])]


def test_whitening_sees_no_padding() -> None:
    values = torch.tensor([[1.0, 3.0, 777.0], [5.0, -555.0, 333.0]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    found = whiten(values, mask)
    assert found[mask].mean() == pytest.approx(0, abs=1e-6)
    assert found[mask].std(unbiased=False) == pytest.approx(1, abs=1e-6)
    assert (found[~mask] == 0).all()
    assert (whiten(torch.full((2, 3), 4.0), mask) == 0).all()
    assert (whiten(values, torch.zeros_like(mask)) == 0).all()


def test_at_the_old_policy_the_gradient_is_reinforce() -> None:
    new = torch.tensor([-1.0, -2.0], requires_grad=True)
    advantages = torch.tensor([3.0, -0.5])
    losses, clipped = policy_losses(new, new.detach(), advantages, clip=0.2)
    losses.sum().backward()
    assert new.grad is not None
    assert new.grad.tolist() == (-advantages).tolist()
    assert clipped.sum() == 0


def test_what_has_gone_far_enough_is_clipped() -> None:
    """Schulman et al. 2017, figure 1: flat where it would gain by going further, and only there."""
    old = torch.zeros(4)
    new = torch.tensor([1.5, 1.5, 0.5, 0.5]).log().requires_grad_()
    losses, clipped = policy_losses(new, old, torch.tensor([1.0, -1.0, 1.0, -1.0]), clip=0.2)
    assert losses.tolist() == pytest.approx([-1.2, 1.5, -0.5, 0.8])
    assert clipped.tolist() == [1, 0, 0, 1]
    losses.sum().backward()
    assert new.grad is not None
    assert new.grad.tolist() == pytest.approx([0.0, 1.5, -0.5, 0.0])


def test_values_are_clipped_by_the_larger_loss() -> None:
    new, old = torch.tensor([1.0, 0.1, -1.0]), torch.zeros(3)
    found = value_losses(new, old, torch.tensor([1.0, 1.0, 1.0]), clip=0.2)
    assert found.tolist() == pytest.approx([0.5 * 0.8**2, 0.5 * 0.9**2, 0.5 * 2.0**2])
