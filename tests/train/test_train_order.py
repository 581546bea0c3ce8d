"""Which rows a step takes, in which passes, and at what learning rate."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon.errors import UsageError
from bon.train.order import learning_rate, met, passes, rows_of, seed_of, steps_an_epoch, steps_in_all
from bon.train.recipe import Recipe


@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 3), st.integers(0, 5))
def test_each_epoch_meets_each_row_once(rows: int, batch: int, epochs: int, seed: int) -> None:
    recipe = Recipe(batch=batch, epochs=epochs, seed=seed)
    each = steps_an_epoch(rows, recipe)
    assert steps_in_all(rows, recipe) == epochs * each
    for epoch in range(epochs):
        met = [row for step in range(each) for row in rows_of(epoch * each + step, rows, recipe)]
        assert sorted(met) == list(range(rows))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return rows_of(epoch, 50, Recipe(batch=50, seed=seed))

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed in (-1, 0, 1) for epoch in (0, 1)}) == 6


@given(st.lists(st.integers(1, 100), min_size=1, max_size=40), st.integers(1, 300))
def test_passes_hold_every_row_once_within_the_budget(lengths: list[int], tokens: int) -> None:
    cuts = passes(lengths, tokens)
    assert sorted(place for cut in cuts for place in cut) == list(range(len(lengths)))
    assert all(len(cut) == 1 or max(lengths[i] for i in cut) * len(cut) <= tokens for cut in cuts)


@given(rows=st.integers(1, 60), batch=st.integers(1, 20), steps=st.integers(1, 8), seed=st.integers(-3, 3))
def test_what_the_steps_do_not_reach_is_not_met(rows: int, batch: int, steps: int, seed: int) -> None:
    every = list(range(rows))
    recipe = Recipe(batch=batch, steps=steps, epochs=1000, seed=seed)
    some = met(every, recipe)
    assert len(some) == min(rows, steps * batch)
    assert list(some) == sorted(set(some))
    taken = {some[place] for step in range(steps) for place in rows_of(step, len(some), recipe)}
    assert taken == set(some)
    assert met(every, replace(recipe, steps=None)) is every


def test_without_a_budget_a_step_is_one_pass() -> None:
    assert passes([5, 1, 9], None) == [[0, 1, 2]]


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("warmup", [0.0, 0.25])
def test_learning_rates_are_those_of_transformers(schedule: str, warmup: float) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    steps = 20
    name = "constant_with_warmup" if schedule == "constant" else schedule
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    theirs = transformers.get_scheduler(name, optimizer, int(warmup * steps), steps)
    for step in range(steps):
        recipe = Recipe(lr=0.5, schedule=schedule, warmup=warmup)  # type: ignore[arg-type]
        assert learning_rate(step, steps, recipe) == pytest.approx(theirs.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        theirs.step()


def test_seeds_of_places_differ_and_stay() -> None:
    assert seed_of(0, 1, 2) == seed_of(0, 1, 2) != seed_of(0, 2, 1)
    assert 0 <= seed_of(7, 3) < 2**63
    assert seed_of("rollouts", 0, 3) == 2346425905056718168  # the same on every machine and in every release


@given(*[st.lists(st.integers(-9, 9) | st.sampled_from(["samples", "answers"]), max_size=4)] * 2)
def test_seeds_of_other_words_lengths_and_signs_are_others(one: list[int | str], other: list[int | str]) -> None:
    assert (seed_of(*one) == seed_of(*other)) == (one == other)
    assert seed_of(*one) != seed_of(*one, 0) != seed_of(*one, 0, 0)
    assert seed_of("samples", *one) != seed_of("answers", *one) != seed_of(*one)


@pytest.mark.parametrize(
    "wrong", [{"lr": 0.0}, {"batch": 0}, {"epochs": 0}, {"warmup": 1.0}, {"clip": 0.0}, {"patience": 0}]
)
def test_a_recipe_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Recipe(**wrong)  # type: ignore[arg-type]
