"""Trainings from pools by the one-call API: files and pools in, and SFT in rounds that go on where they stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import bon
from bon.api.files import Progress
from bon.api.policies_offline import Rounds
from bon.errors import UsageError
from bon.testing.enumerable import Enumerable, save_enumerable
from bon.train.policy.model import PolicySetup
from bon.train.policy.report import read_run
from bon.train.recipe import Recipe
from bon.types import Pool, Prompt

torch = pytest.importorskip("torch")

RECIPE = Recipe(epochs=2, lr=5e-3, batch=8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Enumerable:
    return save_enumerable(tmp_path_factory.mktemp("model") / "reference", letters=3, length=3)


class Rewarding:
    """A scorer that counts what it is asked for."""

    name = "reward"

    def __init__(self, model: Enumerable) -> None:
        self.model, self.asked = model, 0

    async def __call__(self, pool: Pool) -> list[bon.Score]:
        self.asked += len(pool)
        return [bon.Score(value=self.model.reward(candidate.text)) for candidate in pool.candidates]


@pytest.fixture(scope="module")
def pools(model: Enumerable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty draws of each of four prompts, by `hf:` itself, scored; as a file."""
    from bon.generate.hf import HFGenerator

    request = {"temperature": 1.0, "top_p": 1.0, "max_tokens": model.length, "seed": 5}
    generator = HFGenerator(model.folder, defaults={})
    prompts = [
        Prompt(id=letters, messages=({"role": "user", "content": letters},), request=request)
        for letters in ("a", "b", "c", "ab")
    ]
    drawn = bon.api.blocking.run(_drawn(generator, prompts))
    generator.close()
    scored = [
        pool.with_scores("reward", [bon.Score(value=model.reward(one.text)) for one in pool.candidates])
        for pool in drawn
    ]
    path = tmp_path_factory.mktemp("pools") / "ref.jsonl"
    bon.write_pools(path, scored)
    return path


async def _drawn(generator: Any, prompts: list[Prompt]) -> list[Pool]:
    return [Pool(prompt=prompt, candidates=tuple([draw async for draw in generator(prompt, 20)])) for prompt in prompts]


def setup_of(model: Enumerable, **more: Any) -> PolicySetup:
    return PolicySetup(reference=str(model.folder), device="cpu", **more)


def mean_reward(path: Path) -> float:
    values = [value for pool in bon.read_pools(path) for value in pool.values("reward")]
    return sum(value for value in values if value is not None) / len(values)


def test_files_and_pools_are_the_same_training(model: Enumerable, pools: Path, tmp_path: Path) -> None:
    one = bon.train_dpo(pools, out=tmp_path / "file", n=4, setup=setup_of(model), recipe=RECIPE)
    other = bon.train_dpo(
        list(bon.read_pools(pools)), out=tmp_path / "pools", n=4, setup=setup_of(model), recipe=RECIPE
    )
    assert replace(other, out=one.out, cost=one.cost) == one
    best = bon.train_bonbon(pools, out=tmp_path / "bonbon", n=4, alpha=0.5, setup=setup_of(model), recipe=RECIPE)
    assert best.settings["alpha"] == 0.5


def rounds_of(scorer: Any, **more: Any) -> Rounds:
    return Rounds(**{"count": 3, "scorer": scorer, **more})


@pytest.mark.slow
def test_each_round_learns_from_what_the_last_one_drew(model: Enumerable, pools: Path, tmp_path: Path) -> None:
    told: list[tuple[int, Progress]] = []
    scorer = Rewarding(model)
    out = tmp_path / "out"
    options = {"n": 4, "setup": setup_of(model), "recipe": RECIPE}
    report = bon.train_sft(pools, out=out, rounds=rounds_of(scorer, drawn=lambda n, p: told.append((n, p))), **options)
    rewards = [mean_reward(pools), *(mean_reward(out / "rounds" / number / "pools.jsonl") for number in "23")]
    assert rewards[0] + 0.2 < rewards[1] < rewards[2]
    assert scorer.asked == 2 * 4 * 20
    assert {number for number, _ in told} == {2, 3}
    (again, *_) = bon.read_pools(out / "rounds" / "2" / "pools.jsonl")
    assert (again.prompt.request["temperature"], again.prompt.request["seed"]) == (1.0, 6)
    assert all(candidate.token_ids for candidate in again.candidates)
    assert report.reference == str(model.folder)  # what it is measured against is where the first round began
    assert (report.settings["round"], report.settings["rounds"]) == (3, 3)
    assert report.episodes == 3 * 2 * 20  # rounds, epochs, and groups of 4 of 80 draws
    assert report.cost["preprocessing"].draws == 80
    assert report.cost["inference"].draws == 160
    assert report.cost["inference"].seconds > 0
    (note,) = report.notes  # of the first round, whose pools have no tokens; those of the others have
    assert note.startswith("20 of 20 answers carried no token ids")
    assert bon.train_sft(pools, out=out, rounds=rounds_of(Rewarding(model)), **options) == report
    with pytest.raises(UsageError, match="was trained in 3 rounds, not 2"):
        bon.train_sft(pools, out=out, rounds=rounds_of(scorer, count=2), **options)


@pytest.mark.slow
@pytest.mark.parametrize("adapt", ["full", "lora"])
def test_rounds_that_were_stopped_go_on_to_the_same_end(
    model: Enumerable, pools: Path, tmp_path: Path, adapt: str
) -> None:
    options = {"n": 4, "setup": setup_of(model, adapt=adapt, rank=2), "recipe": RECIPE}
    whole = bon.train_sft(pools, out=tmp_path / "whole", rounds=rounds_of(Rewarding(model)), **options)
    stops: list[Callable[[Any], None]] = [_stopping(4), _stopping(9), _stopping(9)]  # one in each round
    for stop in stops:
        with pytest.raises(Stopped):
            bon.train_sft(pools, out=tmp_path / "parts", rounds=rounds_of(Rewarding(model)), progress=stop, **options)
    parts = bon.train_sft(pools, out=tmp_path / "parts", rounds=rounds_of(Rewarding(model)), **options)
    assert replace(parts, out=whole.out, cost=whole.cost) == whole
    texts = [
        [
            candidate.text
            for pool in bon.read_pools(tmp_path / name / "rounds/3/pools.jsonl")
            for candidate in pool.candidates
        ]
        for name in ("whole", "parts")
    ]
    assert texts[0] == texts[1]
    assert read_run(tmp_path / "parts") == parts


class Stopped(Exception):
    """What stops a run in the middle."""


def _stopping(after: int) -> Callable[[Any], None]:
    """Stops at the `after`-th event of a run."""
    seen = 0

    def hook(_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == after:
            raise Stopped

    return hook


def test_rounds_are_scored_by_the_scorer_of_the_pools(model: Enumerable, pools: Path, tmp_path: Path) -> None:
    rounds = rounds_of("heuristic")
    with pytest.raises(UsageError, match="by 'reward', and new rounds would be scored by 'heuristic'"):
        bon.train_sft(pools, out=tmp_path / "out", by="reward", n=4, setup=setup_of(model), rounds=rounds)
    with pytest.raises(UsageError, match="no scores by 'heuristic'; it has 'reward'"):
        bon.train_sft(pools, out=tmp_path / "out", n=4, setup=setup_of(model), rounds=rounds)
    assert not (tmp_path / "out").exists()


def test_rounds_are_for_one_process(
    model: Enumerable, pools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="without torchrun"):
        bon.train_sft(pools, out=tmp_path / "out", n=4, setup=setup_of(model), rounds=rounds_of(Rewarding(model)))


def test_numbers_of_rounds_that_mean_nothing_are_refused(model: Enumerable) -> None:
    with pytest.raises(UsageError, match="count of rounds is 0"):
        Rounds(count=0, scorer="heuristic")


def test_pools_that_are_not_scored_are_refused(model: Enumerable, pools: Path, tmp_path: Path) -> None:
    bare = [replace(pool, scores={}) for pool in bon.read_pools(pools)]
    for train in (bon.train_sft, bon.train_dpo, bon.train_bonbon):
        with pytest.raises(UsageError, match="'a' has no scores: score it first"):
            train(bare, out=tmp_path / "out", setup=setup_of(model))
