"""The loop: exact resumption, early stopping, passes, and what stops it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bon.errors import ModelError, UsageError
from bon.train.loop import METRICS, fit
from bon.train.recipe import Done, Recipe, Step, Task

torch = pytest.importorskip("torch")

ROWS = [[((7 * i + 3 * j) % 11) / 11 - 0.5 for j in range(4)] + [((5 * i) % 7) / 7] for i in range(20)]
"""Twenty rows of four features and a target."""


def network(dropout: float = 0.2) -> Any:
    torch.manual_seed(3)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Dropout(dropout), torch.nn.Linear(8, 1))


def squares(model: Any, rows: Sequence[Sequence[float]]) -> tuple[Any, Mapping[str, Any]]:
    table = torch.tensor(rows)
    errors = model(table[:, :4])[:, 0] - table[:, 4]
    return errors**2, {"error": errors.abs()}


def mean_square(model: Any) -> dict[str, float]:
    return {"loss": float(squares(model, ROWS[:6])[0].mean())}


def task(**changes: Any) -> Task[Sequence[float]]:
    return Task(**{"rows": ROWS[6:], "objective": squares, "held_out": mean_square, **changes})


RECIPE = Recipe(epochs=4, batch=4, lr=0.02, seed=1)


class Stopped(Exception):
    """What stops a run in the middle."""


def stopping_at(step: int) -> Callable[[Step], None]:
    def hook(said: Step) -> None:
        if said.step == step:
            raise Stopped

    return hook


def same(one: Any, other: Any) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize(
    ("stops", "save_seconds"),
    [([0], 1e9), ([1], 1e9), ([5], 1e9), ([15], 1e9), ([2, 3, 9], 1e9), ([7], 0.0)],  # 0: a checkpoint a step
)
def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path, stops: list[int], save_seconds: float) -> None:
    recipe = replace(RECIPE, save_seconds=save_seconds)
    whole = network()
    expected = fit(whole, task(), recipe, folder=tmp_path / "whole")
    for step in stops:
        with pytest.raises(Stopped):
            fit(network(), task(), recipe, folder=tmp_path / "stopped", progress=stopping_at(step))
    resumed = network()
    assert fit(resumed, task(), recipe, folder=tmp_path / "stopped") == expected
    assert same(whole, resumed)
    assert (tmp_path / "stopped" / METRICS).read_bytes() == (tmp_path / "whole" / METRICS).read_bytes()


def test_a_run_that_is_done_gives_its_result_again(tmp_path: Path) -> None:
    first = network()
    done = fit(first, task(), RECIPE, folder=tmp_path)
    steps: list[Step] = []
    again = network()
    assert fit(again, task(), RECIPE, folder=tmp_path, progress=steps.append) == done
    assert same(first, again)
    assert steps == []


_KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from dataclasses import replace
from test_train_loop import RECIPE, fit, network, task
recipe = replace(RECIPE, epochs=60, save_seconds=0.0)
fit(network(), task(), recipe, folder=Path({folder!r}), progress=lambda step: print(step.step, flush=True))
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_to_the_same_end(tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=60, save_seconds=0.0)
    whole = network()
    expected = fit(whole, task(), replace(recipe, save_seconds=1e9), folder=tmp_path / "whole")
    folder = tmp_path / "killed"
    script = _KILLED.format(tests=str(Path(__file__).parent), folder=str(folder))
    reached = []
    for more in (9, 23, 40):
        process = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        assert process.stdout is not None
        for _ in range(more):
            line = process.stdout.readline()
        process.kill()
        process.wait()
        process.stdout.close()
        reached.append(int(line))
    assert 0 < reached[0] < reached[1] < reached[2] < expected.steps
    resumed = network()
    assert fit(resumed, task(), recipe, folder=folder) == expected
    assert same(whole, resumed)
    assert (folder / METRICS).read_bytes() == (tmp_path / "whole" / METRICS).read_bytes()


def test_the_steps_are_those_of_a_plain_loop_of_torch(tmp_path: Path) -> None:
    ours, theirs = network(0.0), network(0.0)
    recipe = Recipe(epochs=1, batch=14, steps=1, lr=0.05, clip=None, schedule="constant", weight_decay=0.1)
    fit(ours, task(held_out=None), recipe, folder=tmp_path)
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=0.05, weight_decay=0.1)
    squares(theirs, ROWS[6:])[0].mean().backward()
    optimizer.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(mine, other, atol=1e-7)


@pytest.mark.parametrize("tokens", [1, 7, 30, None])
def test_how_a_step_is_cut_into_passes_does_not_matter(tmp_path: Path, tokens: int | None) -> None:
    whole, cut = network(0.0), network(0.0)
    weighed = task(weight=lambda row: 1 + row[0], length=lambda row: 1 + int(10 * row[4]))
    one = fit(whole, weighed, RECIPE, folder=tmp_path / "whole")
    other = fit(cut, weighed, replace(RECIPE, tokens=tokens), folder=tmp_path / "cut")
    assert one.loss == pytest.approx(other.loss, abs=1e-6)
    for mine, theirs in zip(whole.parameters(), cut.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6)


def test_it_stops_early_with_the_best_weights(tmp_path: Path) -> None:
    said = iter([5.0, 4.0, 1.0, 2.0, 3.0, 0.5])
    seen: dict[int, Any] = {}
    model = network()

    def figures(trained: Any) -> dict[str, float]:
        seen[len(seen)] = [weight.clone() for weight in trained.parameters()]
        return {"loss": next(said)}

    done = fit(model, task(held_out=figures), replace(RECIPE, patience=2, evaluate=2), folder=tmp_path)
    assert (done.stopped, done.best_step, done.best, done.steps) == ("patience", 4, {"loss": 1.0}, 8)
    assert done.first == {"loss": 5.0}
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), seen[2], strict=True))


def test_more_can_be_better(tmp_path: Path) -> None:
    said = iter([0.1, 0.9, 0.3, 0.2, 0.4])
    watched = task(held_out=lambda _: {"accuracy": next(said)}, watch="accuracy", higher=True)
    assert fit(network(), watched, RECIPE, folder=tmp_path).best == {"accuracy": 0.9}


def test_a_training_that_helps_nothing_ends_where_it_began(tmp_path: Path) -> None:
    said = iter([1.0, 2.0, 2.0, 2.0, 2.0])
    model = network()
    done = fit(model, task(held_out=lambda _: {"loss": next(said)}), RECIPE, folder=tmp_path)
    assert done.best_step == 0
    assert same(model, network())


def test_a_loss_that_is_no_number_stops_and_says_what_to_do(tmp_path: Path) -> None:
    def breaks(model: Any, rows: Sequence[Sequence[float]]) -> tuple[Any, Mapping[str, Any]]:
        losses, logged = squares(model, rows)
        return (losses * float("nan") if ROWS[11] in rows else losses), logged

    model = network()
    with pytest.raises(ModelError, match=r"step \d+ of 16 has a loss of nan.*smaller lr \(0.002\)"):
        fit(model, task(objective=breaks), RECIPE, folder=tmp_path)
    assert all(torch.isfinite(weight).all() for weight in model.parameters())


def test_memory_that_runs_out_says_what_to_do(tmp_path: Path) -> None:
    def greedy(model: Any, rows: Sequence[Sequence[float]]) -> tuple[Any, Mapping[str, Any]]:
        return squares(model, rows) if torch.empty(1 << 60) is None else ([], {})

    with pytest.raises(ModelError, match=r"not enough memory on cpu for a step .*fewer tokens a pass"):
        fit(network(), task(objective=greedy), RECIPE, folder=tmp_path)


def test_other_errors_of_torch_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        fit(network(), task(rows=[[1.0] * 3]), RECIPE, folder=tmp_path)


def test_a_held_out_figure_that_is_no_number_stops(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="loss on held-out rows is nan after step 0"):
        fit(network(), task(held_out=lambda _: {"loss": float("nan")}), RECIPE, folder=tmp_path)


@pytest.mark.parametrize("change", [{"lr": 0.01}, {"seed": 2}, {"epochs": 5}])
def test_another_recipe_does_not_go_on_where_one_stopped(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(Stopped):
        fit(network(), task(), RECIPE, folder=tmp_path, progress=stopping_at(6))
    name, value = next(iter(change.items()))
    with pytest.raises(UsageError, match=f"{name} was .*, is now {value}"):
        fit(network(), task(), replace(RECIPE, **change), folder=tmp_path)


def test_other_data_does_not_either(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        fit(network(), task(), RECIPE, folder=tmp_path, identity={"data": "a"}, progress=stopping_at(6))
    with pytest.raises(UsageError, match="data was 'a', is now 'b'"):
        fit(network(), task(), RECIPE, folder=tmp_path, identity={"data": "b"})


def test_nothing_to_train_and_nothing_to_watch_are_said(tmp_path: Path) -> None:
    frozen = network().requires_grad_(False)
    with pytest.raises(UsageError, match="no weight of the model asks for gradients"):
        fit(frozen, task(), RECIPE, folder=tmp_path)
    with pytest.raises(UsageError, match="no rows"):
        fit(network(), task(rows=[]), RECIPE, folder=tmp_path)
    with pytest.raises(UsageError, match="no figure 'auc' to watch: there are loss"):
        fit(network(), task(watch="auc"), RECIPE, folder=tmp_path)


def test_frozen_weights_stay_and_callers_keep_their_random_numbers(tmp_path: Path) -> None:
    model = network()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    fit(model, task(), RECIPE, folder=tmp_path)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(model[0].weight, before)
    assert not torch.equal(model[3].weight, network()[3].weight)


def test_bfloat16_passes_train_weights_of_full_precision(tmp_path: Path) -> None:
    model = network()
    done = fit(model, task(), replace(RECIPE, precision="bfloat16"), folder=tmp_path)
    assert model[0].weight.dtype == torch.float32
    assert done.best["loss"] < done.first["loss"]


def test_hooks_hear_every_step(tmp_path: Path) -> None:
    steps: list[Step] = []
    done = fit(network(), task(), RECIPE, folder=tmp_path, progress=steps.append)
    assert isinstance(done, Done)
    assert [step.step for step in steps] == list(range(17))
    assert [step.step for step in steps if step.held_out] == [0, 4, 8, 12, 16]
    assert all({"loss", "error", "lr", "grad_norm"} <= step.figures.keys() for step in steps[1:])
    assert steps[-1].epoch == 4


_SHARED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import torch
from dataclasses import replace
from test_train_loop import RECIPE, fit, network, task
model = network(0.0)
done = fit(model, task(), replace(RECIPE, batch=5), folder=Path({folder!r}))
torch.save([weight.detach() for weight in model.parameters()], {folder!r} + f"/end-{{torch.distributed.get_rank()}}.pt")
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_share_the_work_of_one(tmp_path: Path) -> None:
    alone = network(0.0)
    fit(alone, task(), replace(RECIPE, batch=5), folder=tmp_path / "alone")
    script = tmp_path / "shared.py"
    script.write_text(_SHARED.format(tests=str(Path(__file__).parent), folder=str(tmp_path / "shared")))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    subprocess.run(command, check=True, env=environment, timeout=250)
    for process in (0, 1):
        ended = torch.load(tmp_path / "shared" / f"end-{process}.pt", weights_only=True)
        for mine, theirs in zip(alone.parameters(), ended, strict=True):
            assert torch.allclose(mine, theirs, atol=1e-6)
