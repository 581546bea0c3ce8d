"""NLL, DPO and BoNBoN: by hand, against TRL's own trainers, and what the balance of BoNBoN's terms is."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon.errors import UsageError
from bon.models.transformers import load_language_model
from bon.testing.checkpoints import save_tiny_model
from bon.train.policy.examples import Example
from bon.train.policy.offline import balance, bonbon, dpo, nll, target_gap
from bon.train.policy.offline_task import Offline, loss_of
from bon.train.policy.referred import Referred, spoken

torch = pytest.importorskip("torch")


def test_bonbon_by_hand() -> None:
    """alpha (-log pi(best)) + (1 - alpha) (log ratio of the best - log ratio of the worst - (N - 1) H_(N-1))^2."""
    best, worst = torch.tensor([-3.0, -1.0]), torch.tensor([-4.0, -9.0])
    gap = torch.tensor([0.5, -2.0])  # log pi_ref(best) - log pi_ref(worst)
    found = bonbon(best, worst, gap, alpha=0.25, gap=18.15)
    by_hand = [0.25 * 3 + 0.75 * (1 - 0.5 - 18.15) ** 2, 0.25 * 1 + 0.75 * (8 + 2 - 18.15) ** 2]
    assert found.tolist() == pytest.approx(by_hand, rel=1e-6)


def test_the_target_is_that_of_the_paper() -> None:
    assert target_gap(8) == pytest.approx(18.15)  # not its reciprocal, 0.055
    assert target_gap(1) == 0
    assert target_gap(2) == 1
    assert target_gap(4) == 5.5
    with pytest.raises(UsageError, match="whole number from 1"):
        target_gap(0)


@pytest.mark.parametrize("n", [2, 4, 8])
def test_the_target_is_the_gap_of_log_ratios_between_the_best_and_the_worst(n: int) -> None:
    """log pi_bon / pi_ref is log n + (n - 1) log F where rewards do not tie, and F is uniform under the reference."""
    draws = np.sort(np.random.default_rng(n).random((200_000, n)), axis=1)
    gaps = (n - 1) * (np.log(draws[:, -1]) - np.log(draws[:, 0]))
    error = gaps.std() / math.sqrt(len(gaps))
    assert target_gap(n) == pytest.approx(gaps.mean(), abs=4 * error)


@given(st.floats(0.1, 500.0), st.integers(2, 64))
def test_both_terms_are_equal_before_the_first_step(likelihood: float, n: int) -> None:
    gap = target_gap(n)
    alpha = balance(likelihood, gap)
    assert 0 < alpha < 1
    assert alpha * likelihood == pytest.approx((1 - alpha) * gap**2)


def test_of_one_draw_nothing_is_learned() -> None:
    """N = 1 is the reference: no target, no weight of the likelihood, no gradient there."""
    assert balance(7.0, target_gap(1)) == 0
    best = torch.tensor([-3.0], requires_grad=True)
    bonbon(best, best, torch.zeros(1), alpha=0.0, gap=0.0).sum().backward()
    assert best.grad is not None
    assert best.grad.item() == 0


def test_dpo_by_hand() -> None:
    found = dpo(torch.tensor([-3.0]), torch.tensor([-4.0]), torch.tensor([0.5]), beta=0.2)
    assert found.item() == pytest.approx(math.log1p(math.exp(-0.2 * 0.5)))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Any]:
    """A policy, its reference, and their tokenizer."""
    folder = tmp_path_factory.mktemp("models")
    policy, reference = (
        load_language_model(save_tiny_model(folder / str(seed), seed=seed), device="cpu") for seed in (0, 1)
    )
    return policy.model, reference.model, policy.tokenizer


ROWS = [
    Example(prompt=(3, 4, 5), chosen=(6, 7, 2), rejected=(8, 2)),
    Example(prompt=(3, 9), chosen=(10, 11, 12, 13), rejected=(14, 15, 2)),
    Example(prompt=(20, 21, 22, 23, 24), chosen=(2,), rejected=(25, 26, 27, 28)),
]


TRL_WARNS = pytest.mark.filterwarnings("ignore::FutureWarning")
"""Of what transformers renames, and TRL 1.16 still calls by its old name."""


def trainer_of(
    trl: Any, name: str, folder: Path, models: tuple[Any, Any, Any], row: dict[str, str], **more: Any
) -> Any:
    """A trainer of TRL over one row of text, which it is made with and never sees again."""
    datasets = pytest.importorskip("datasets")
    policy, reference, tokenizer = models
    args = getattr(trl, f"{name}Config")(
        output_dir=str(folder), report_to=[], use_cpu=True, bf16=False, disable_tqdm=True, **more
    )
    other = {"ref_model": reference} if name == "DPO" else {}
    rows = datasets.Dataset.from_list([row])
    return getattr(trl, f"{name}Trainer")(
        model=policy, args=args, train_dataset=rows, processing_class=tokenizer, **other
    )


def gradients(model: Any, loss: Any) -> Any:
    model.zero_grad()
    loss.backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])


@TRL_WARNS
@pytest.mark.slow
def test_dpo_is_that_of_trl(models: tuple[Any, Any, Any], tmp_path: Path) -> None:
    """The loss and its gradient, from the same tokens: prompts of three lengths, one of them answered by an EOS."""
    trl = pytest.importorskip("trl")
    policy, reference, _ = models
    row = {"prompt": "Why", "chosen": " so", "rejected": " no"}
    trainer = trainer_of(trl, "DPO", tmp_path, models, row, beta=0.3, activation_checkpointing=False)
    names = {"prompt": "prompt_ids", "chosen": "chosen_ids", "rejected": "rejected_ids"}
    batch = trainer.data_collator(
        [{theirs: list(getattr(row, ours)) for ours, theirs in names.items()} for row in ROWS]
    )
    theirs = trainer.compute_loss(policy, batch)
    with torch.no_grad():
        chosen, rejected = spoken(reference, ROWS, temperature=1.0)
    ours = dpo(*spoken(policy, ROWS, temperature=1.0), chosen - rejected, beta=0.3).mean()
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    assert ours.item() != pytest.approx(math.log(2), abs=0.01)  # the two models do differ
    assert torch.allclose(gradients(policy, ours), gradients(policy, theirs), atol=1e-6, rtol=1e-3)


@TRL_WARNS
@pytest.mark.slow
def test_nll_over_the_tokens_is_that_of_trl(models: tuple[Any, Any, Any], tmp_path: Path) -> None:
    """Of a batch that is all of the data, ours (over the tokens that responses have on average) is theirs."""
    trl = pytest.importorskip("trl")
    policy, _, _ = models
    row = {"prompt": "Why", "completion": " so"}
    trainer = trainer_of(trl, "SFT", tmp_path, models, row, activation_checkpointing=False)
    rows = [Example(prompt=row.prompt, chosen=row.chosen) for row in ROWS]
    batch = trainer.data_collator(
        [
            {
                "input_ids": [*row.prompt, *row.chosen],
                "completion_mask": [0] * len(row.prompt) + [1] * len(row.chosen),
                "labels": [*[-100] * len(row.prompt), *row.chosen],
            }
            for row in rows
        ]
    )
    theirs = trainer.compute_loss(policy, batch)
    chosen, nothing = spoken(policy, rows, temperature=1.0)
    loss = loss_of(Offline(kind="sft"), None, [Referred(example=row) for row in rows])
    ours = nll(chosen).sum() / (len(rows) * loss.weight)
    assert nothing.tolist() == [0.0] * 3
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    assert torch.allclose(gradients(policy, ours), gradients(policy, theirs), atol=1e-6, rtol=1e-3)


def test_what_is_spoken_is_the_sum_over_the_tokens_of_the_response(models: tuple[Any, Any, Any]) -> None:
    policy, _, _ = models
    with torch.no_grad():
        chosen, rejected = spoken(policy, ROWS, temperature=0.7)
        for row, ours, theirs in zip(ROWS, chosen.tolist(), rejected.tolist(), strict=True):
            for response, found in ((row.chosen, ours), (row.rejected, theirs)):
                logits = policy(torch.tensor([[*row.prompt, *response]])).logits[0].double() / 0.7
                steps = torch.log_softmax(logits, dim=-1)
                at = len(row.prompt) - 1
                by_hand = sum(steps[at + place, token] for place, token in enumerate(response))
                assert found == pytest.approx(float(by_hand), rel=1e-5)
