"""What a folder says of the prompts it was trained on: written by every training, the same for the same messages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from enumerated_pools import drawn
from online_parts import asked, recipe, task

from bon.errors import DataError
from bon.testing.enumerable import Enumerable, save_enumerable
from bon.train.policy.choices import Choosing
from bon.train.policy.distil import Offline, train_offline
from bon.train.policy.facts import method_of
from bon.train.policy.learned import LEARNED, known_learned, prompt_digest, write_learned
from bon.train.policy.model import PolicySetup
from bon.train.policy.objectives import Aim
from bon.train.policy.online import train_online
from bon.train.recipe import Recipe
from bon.train.saving import TRAINING
from bon.types import Prompt

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Enumerable:
    return save_enumerable(tmp_path_factory.mktemp("learned") / "world", letters=2, length=3)


def digests(*prompts: Prompt) -> set[str]:
    return set(map(prompt_digest, prompts))


def test_a_prompt_is_known_by_its_messages_alone() -> None:
    one, other = asked("a", "b")
    assert prompt_digest(one) == prompt_digest(replace(one, id="x", request={"temperature": 2.0}))
    assert prompt_digest(one) != prompt_digest(other)
    system = {"role": "system", "content": "a"}
    assert len(digests(one, replace(one, messages=(system, *one.messages)), replace(one, messages=(system,)))) == 3


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    assert known_learned(tmp_path) is None
    write_learned(tmp_path, asked("a", "b", "a"))
    assert known_learned(tmp_path) == digests(*asked("a", "b"))
    assert (tmp_path / TRAINING / LEARNED).stat().st_size == 2 * 13
    (tmp_path / TRAINING / LEARNED).write_bytes(b"\xff")
    with pytest.raises(DataError, match="cannot be read"):
        known_learned(tmp_path)


def test_trainings_say_which_prompts_they_learned_from(world: Enumerable, tmp_path: Path) -> None:
    setup = PolicySetup(reference=str(world.folder), device="cpu")
    train_online(task(world, "", "a"), tmp_path / "online", setup=setup, recipe=recipe(world, episodes=16))
    assert known_learned(tmp_path / "online") == digests(*asked("", "a"))
    pools = drawn(world, 8, prompts=("", "a", "b", "ab"))
    train_offline(
        pools,
        Offline(kind="sft", choosing=Choosing(n=4), held_out=0.25),
        out=tmp_path / "offline",
        setup=setup,
        recipe=Recipe(epochs=1, lr=1e-3, batch=4, save_seconds=1e9),
    )
    # those that weights are chosen by are no test prompts either
    assert known_learned(tmp_path / "offline") == digests(*(pool.prompt for pool in pools))


@pytest.mark.parametrize(
    ("aim", "name"),
    [
        (Aim(kind="L", n=4), "vbon-l"),
        (Aim(kind="L", n=4, mode="authors"), "vbon-l-authors"),
        (Aim(kind="L1", n=4), "vbon-l1"),
        (Aim(kind="L1", n=4, mode="authors"), "vbon-l-authors"),
        (Aim(kind="eq5", n=4), "vbon-eq5"),
        (Aim(kind="eq5", n=4, mode="authors"), "vbon-eq5-authors"),
        (Aim(kind="reward", beta=0.1), "ppo"),
    ],
)
def test_what_the_released_code_does_has_a_name_of_its_own(world: Enumerable, aim: Aim, name: str) -> None:
    assert method_of(task(world, aim=aim)) == name
