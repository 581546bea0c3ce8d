"""What makes two trainings of a policy the same: the files of the reference, and settings that are used."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from enumerated_pools import drawn
from online_parts import recipe, task

from bon.errors import UsageError
from bon.testing.checkpoints import save_tiny_model
from bon.testing.enumerable import Enumerable, save_enumerable
from bon.train.policy.choices import Choosing
from bon.train.policy.distil import Offline, train_offline
from bon.train.policy.identity import recipe_used, reference_files, setup_used
from bon.train.policy.model import POLICY, PolicySetup
from bon.train.policy.online import train_online
from bon.train.policy.online_recipe import OnlineRecipe
from bon.train.policy.outcome import PolicyReport
from bon.train.policy.report import holds_policy, read_run
from bon.train.recipe import Recipe
from bon.train.saving import TRAINING

torch = pytest.importorskip("torch")

Train = Callable[..., PolicyReport]
"""(out, progress=) -> the report of a training from the world's folder."""


@pytest.fixture
def world(tmp_path: Path) -> Enumerable:
    return save_enumerable(tmp_path / "reference", letters=2, length=3)


@pytest.fixture(params=["online", "offline"])
def train(request: pytest.FixtureRequest, world: Enumerable) -> Train:
    pools = drawn(world, 16, prompts=("a", "b"))

    def online(out: Path, *, progress: Any = None, **setup: Any) -> PolicyReport:
        how = recipe(world, save_seconds=0.0)
        return train_online(task(world), out, setup=setup_of(world, **setup), recipe=how, progress=progress)

    def offline(out: Path, *, progress: Any = None, **setup: Any) -> PolicyReport:
        asked = Offline(kind="dpo", choosing=Choosing(n=4))
        how = Recipe(epochs=2, batch=4, lr=1e-3, save_seconds=0.0)
        return train_offline(pools, asked, out=out, setup=setup_of(world, **setup), recipe=how, progress=progress)

    return online if request.param == "online" else offline


def setup_of(world: Enumerable, **changes: Any) -> PolicySetup:
    return PolicySetup(**{"reference": str(world.folder), "device": "cpu", **changes})


def replace_weights(folder: Path) -> None:
    """Other weights of the same shapes, in a file of the same name and size."""
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    size = file.stat().st_size
    save_file({name: tensor * 1.1 for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})
    assert file.stat().st_size == size
    os.utime(file, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns + 10**9))  # clocks of file systems are coarse


class Stopped(Exception):
    """What stops a training in the middle."""


def stop(step: Any) -> None:
    if getattr(step, "step", 0) == 2:
        raise Stopped


def test_another_reference_under_the_same_path_is_another_training(
    world: Enumerable, train: Train, tmp_path: Path
) -> None:
    report = train(tmp_path / "out")
    assert train(tmp_path / "out") == report
    replace_weights(world.folder)
    with pytest.raises(UsageError, match="files of that have changed since"):
        train(tmp_path / "out")


def test_a_training_does_not_go_on_beside_another_reference(world: Enumerable, train: Train, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        train(tmp_path / "out", progress=stop)
    replace_weights(world.folder)
    with pytest.raises(UsageError, match="reference_files was"):
        train(tmp_path / "out")


def test_settings_of_another_way_to_adapt_do_not_matter(train: Train, tmp_path: Path) -> None:
    report = train(tmp_path / "out", rank=4, layers=7)
    assert train(tmp_path / "out") == report
    with pytest.raises(UsageError, match="trained otherwise"):
        train(tmp_path / "out", adapt="last", layers=1)


def test_figures_are_told_in_the_order_they_were_made_in(train: Train, tmp_path: Path) -> None:
    report = train(tmp_path / "out")
    again = train(tmp_path / "out")
    assert (list(again.first), list(again.last)) == (list(report.first), list(report.last))
    assert list(report.last) != sorted(report.last)  # or the order would say nothing


def test_a_manifest_without_a_model_is_no_policy(train: Train, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = train(out)
    for name in ("config.json", "model.safetensors"):
        (out / name).unlink()
        assert (out / POLICY).is_file()
        assert not holds_policy(out)
        with pytest.raises(UsageError, match="or no model beside it"):
            read_run(out)
        again = train(out)
        assert holds_policy(out)
        assert again.last["grad_norm"] == report.last["grad_norm"]  # it was trained, and came to the same
    assert (out / TRAINING).is_dir()


def test_files_are_known_by_size_and_time_wherever_they_lie(world: Enumerable, tmp_path: Path) -> None:
    known = reference_files(str(world.folder))
    assert known is not None
    (world.folder / "trained" / "here").mkdir(parents=True)
    (world.folder / "trained" / "here" / "model.safetensors").write_bytes(b"x" * 100)
    (world.folder / "README.md").write_text("A card.")
    assert reference_files(str(world.folder)) == known
    shutil.copytree(world.folder, tmp_path / "copied")  # with its times
    shutil.move(world.folder, tmp_path / "moved")
    assert reference_files(str(tmp_path / "copied")) == reference_files(str(tmp_path / "moved")) == known
    config = tmp_path / "moved" / "config.json"
    os.utime(config, ns=(0, config.stat().st_mtime_ns + 10**9))
    assert reference_files(str(tmp_path / "moved")) != known


def test_what_is_no_folder_has_the_files_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF")
    found = reference_files(f"gguf:{tmp_path / 'tiny.gguf'}")
    assert found is not None
    assert found["size"] == 4
    (tmp_path / "local").mkdir()
    monkeypatch.chdir(tmp_path)
    assert reference_files("local") is None
    assert reference_files("owner/name") is None


def test_under_adapters_the_base_counts_too(tmp_path: Path) -> None:
    base = save_tiny_model(tmp_path / "base", "qwen2")
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    known = reference_files(str(adapter))
    replace_weights(base)
    assert reference_files(str(adapter)) != known


def test_what_is_taken_where_nothing_is_said_is_the_same_as_saying_it() -> None:
    assert setup_used(PolicySetup(adapt="lora", rank=4)) != setup_used(PolicySetup(adapt="lora"))
    assert setup_used(PolicySetup(adapt="last", layers=1)) != setup_used(PolicySetup(adapt="last"))
    plain = OnlineRecipe(algorithm="ppo", rollouts=32)
    said = OnlineRecipe(algorithm="ppo", rollouts=32, epochs=4, minibatch=32, whiten=True, save_seconds=1.0)
    assert recipe_used(plain) == recipe_used(said)
    assert recipe_used(OnlineRecipe(gamma=0.5)) == recipe_used(OnlineRecipe())
    assert recipe_used(OnlineRecipe(algorithm="ppo", gamma=0.5)) != recipe_used(OnlineRecipe(algorithm="ppo"))


def test_more_than_there_is_is_refused(world: Enumerable, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the last 99 layers are asked for, and the model has"):
        train_online(
            task(world), tmp_path / "out", setup=setup_of(world, adapt="last", layers=99), recipe=recipe(world)
        )
    with pytest.raises(UsageError, match="a minibatch of 33 answers is more than the 32 rollouts"):
        OnlineRecipe(rollouts=32, minibatch=33)
