"""Trainings from pools on a model whose every response is known: where they end, and that they end there again."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from enumerated_pools import divergence, drawn, law_of, laws

from bon.errors import UsageError
from bon.generate.hf import HFGenerator
from bon.models.transformers import load_language_model
from bon.testing.enumerable import Enumerable, save_enumerable
from bon.train.loop import METRICS
from bon.train.policy.choices import Choosing
from bon.train.policy.distil import Offline, train_offline
from bon.train.policy.model import PolicySetup
from bon.train.policy.outcome import PolicyReport
from bon.train.policy.report import read_run
from bon.train.recipe import Recipe, Step
from bon.types import Candidate, Pool

torch = pytest.importorskip("torch")

N = 4
LAWS = {"sft": (6000, 2, 1e-2), "bonbon": (4000, 3, 5e-3)}
"""Draws, epochs and learning rate with which each comes near the law of best-of-4."""
PROMPTS = ("", "a", "b", "c", "ab", "ba")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Enumerable:
    """Three letters, at most three of them: forty responses."""
    return save_enumerable(tmp_path_factory.mktemp("model") / "reference", letters=3, length=3)


@pytest.fixture(scope="module")
def few(model: Enumerable) -> list[Pool]:
    """Eight draws of each of six prompts."""
    return drawn(model, 8, prompts=PROMPTS)


def learn(kind: Any, **more: Any) -> Offline:
    return Offline(kind=kind, choosing=Choosing(n=N), **more)


def setup_of(model: Enumerable, **more: Any) -> PolicySetup:
    return PolicySetup(reference=str(model.folder), device="cpu", **more)


QUICK = Recipe(epochs=2, lr=3e-3, batch=4, save_seconds=1e9)


@pytest.fixture
def train(model: Enumerable, few: list[Pool], tmp_path: Path) -> Callable[..., PolicyReport]:
    """Trains on the few pools, quickly."""

    def run(out: str, kind: Any = "sft", *, pools: list[Pool] | None = None, **more: Any) -> PolicyReport:
        named = {"setup": setup_of(model, **more.pop("setup", {})), "recipe": more.pop("recipe", QUICK)}
        hook = more.pop("progress", None)
        return train_offline(
            few if pools is None else pools, learn(kind, **more), out=tmp_path / out, progress=hook, **named
        )

    return run


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sft", "bonbon"])
def test_the_law_of_best_of_n_is_approached(model: Enumerable, tmp_path: Path, kind: Any) -> None:
    count, epochs, lr = LAWS[kind]
    exact = laws(model, N)
    out = tmp_path / "out"
    train_offline(
        drawn(model, count),
        learn(kind),
        out=out,
        setup=setup_of(model),
        recipe=Recipe(epochs=epochs, lr=lr, batch=64),
    )
    found = law_of(model, out)
    assert divergence(exact.reference, exact.best) == pytest.approx(1.448, abs=0.001)
    assert divergence(found, exact.best) < 0.15
    assert found @ model.rewards == pytest.approx(exact.best @ model.rewards, abs=0.1)


@pytest.mark.slow
def test_dpo_raises_the_reward_the_more_the_less_it_is_held(model: Enumerable, tmp_path: Path) -> None:
    exact = laws(model, N)
    reached = {}
    for beta in (0.1, 5.0):
        out = tmp_path / str(beta)
        train_offline(
            drawn(model, 1000),
            learn("dpo", beta=beta),
            out=out,
            setup=setup_of(model),
            recipe=Recipe(lr=3e-3, batch=64),
        )
        law = law_of(model, out)
        reached[beta] = law @ model.rewards, divergence(law, exact.reference)
    before = exact.reference @ model.rewards
    assert reached[0.1][0] > reached[5.0][0] > before + 0.2
    assert reached[0.1][1] > reached[5.0][1]


@pytest.mark.slow
def test_equal_rewards_teach_sft_the_reference(model: Enumerable, tmp_path: Path) -> None:
    """A negative control: the best of equal draws is any of them."""
    (pool,) = drawn(model, 4000)
    flat = pool.with_scores("reward", [replace(score, value=1.0) for score in pool.scores["reward"]])
    out = tmp_path / "out"
    train_offline([flat], learn("sft"), out=out, setup=setup_of(model), recipe=Recipe(lr=3e-3, batch=64))
    assert divergence(law_of(model, out), law_of(model, model.folder)) < 0.08


def test_the_policy_is_the_reference_before_the_first_step(train: Callable[..., PolicyReport]) -> None:
    assert train("dpo", "dpo").first["loss"] == pytest.approx(math.log(2), rel=1e-6)
    whole = replace(QUICK, batch=1000, steps=1)
    report = train("bonbon", "bonbon", recipe=whole)
    assert report.settings["target_gap"] == pytest.approx(5.5)
    alpha = report.settings["alpha"]
    assert alpha * report.first["nll"] == pytest.approx((1 - alpha) * 5.5**2, rel=1e-5)
    assert report.first["loss"] == pytest.approx(2 * alpha * report.first["nll"], rel=1e-5)
    assert report.first["gap"] == pytest.approx(0, abs=1e-5)


def test_bonbon_of_one_draw_leaves_the_reference_as_it_is(model: Enumerable, few: list[Pool], tmp_path: Path) -> None:
    one = Offline(kind="bonbon", choosing=Choosing(n=1))
    train_offline(few, one, out=tmp_path / "out", setup=setup_of(model), recipe=QUICK)
    assert np.array_equal(law_of(model, tmp_path / "out"), law_of(model, model.folder))


def test_in_bfloat16_the_reference_is_read_as_the_policy_is(train: Callable[..., PolicyReport]) -> None:
    report = train("out", "dpo", setup={"precision": "bfloat16"})
    assert report.settings["precision"] == "bfloat16"
    assert report.first["loss"] == pytest.approx(math.log(2), abs=2e-3)


def test_patience_without_prompts_held_out_is_refused(train: Callable[..., PolicyReport]) -> None:
    with pytest.raises(UsageError, match="give held_out too"):
        train("out", recipe=replace(QUICK, patience=2))


def weights(folder: Path) -> dict[str, Any]:
    return dict(load_language_model(folder, device="cpu").model.state_dict())


class Stopped(Exception):
    """What stops a run in the middle."""


def stopping_at(step: int) -> Callable[[Any], None]:
    def hook(event: Any) -> None:
        if isinstance(event, Step) and event.step == step:
            raise Stopped

    return hook


@pytest.mark.parametrize(
    ("kind", "adapt"),
    [
        ("sft", "full"),
        pytest.param("dpo", "last", marks=pytest.mark.slow),
        pytest.param("bonbon", "lora", marks=pytest.mark.slow),
    ],
)
def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    train: Callable[..., PolicyReport], tmp_path: Path, kind: str, adapt: str
) -> None:
    options = {"setup": {"adapt": adapt, "layers": 1, "rank": 2}, "recipe": replace(QUICK, save_seconds=0.0)}
    whole = train("whole", kind, **options)
    for step in (0, 2):
        with pytest.raises(Stopped):
            train("parts", kind, progress=stopping_at(step), **options)
    kept = tmp_path / "parts" / "training" / "reference.safetensors"
    assert kept.is_file() == (kind != "sft")
    parts = train("parts", kind, **options)
    assert replace(parts, out=whole.out, cost=whole.cost) == whole
    assert parts.cost["optimisation"].seconds > 0
    assert (tmp_path / "parts" / "training" / METRICS).read_bytes() == (
        tmp_path / "whole" / "training" / METRICS
    ).read_bytes()
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not kept.exists()
    assert not list((tmp_path / "parts" / "training").glob("step-*"))


def test_a_run_that_goes_on_is_held_to_what_the_reference_said_first(
    train: Callable[..., PolicyReport], tmp_path: Path
) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    with pytest.raises(Stopped):
        train("out", "dpo", progress=stopping_at(0))
    file = tmp_path / "out" / "training" / "reference.safetensors"
    with safe_open(file, framework="pt") as opened:
        known = opened.metadata()
    said = load_file(file)["said"]
    said[:, 0] += 2.0  # as if another machine had read them
    save_file({"said": said}, file, metadata=known)
    assert train("out", "dpo").first["gap"] == pytest.approx(-2.0, abs=1e-5)


def test_a_folder_that_is_done_gives_its_report_again(train: Callable[..., PolicyReport], tmp_path: Path) -> None:
    report = train("out", "dpo")
    written = (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns
    assert train("out", "dpo") == report
    assert read_run(tmp_path / "out") == report
    assert (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns == written
    with pytest.raises(UsageError, match=r"trained otherwise .*beta"):
        train("out", "dpo", beta=0.3)
    with pytest.raises(UsageError, match=r"trained otherwise .*kind"):
        train("out", "sft")
    with pytest.raises(UsageError, match=r"trained otherwise .*recipe"):
        train("out", "dpo", recipe=replace(QUICK, lr=1e-4))


def test_other_pools_are_another_training(
    train: Callable[..., PolicyReport], model: Enumerable, few: list[Pool]
) -> None:
    with pytest.raises(Stopped):
        train("out", progress=stopping_at(1))
    with pytest.raises(UsageError, match="another training, which cannot be continued so: data was"):
        train("out", pools=drawn(model, 8, prompts=PROMPTS, seed=1))


async def test_the_folder_draws_and_says_what_it_is(
    train: Callable[..., PolicyReport], few: list[Pool], tmp_path: Path
) -> None:
    report = train("out", "bonbon")
    generator = HFGenerator(tmp_path / "out")
    draws = [draw async for draw in generator(few[0].prompt, 4)]
    generator.close()
    assert all(isinstance(draw, Candidate) for draw in draws)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "bonbon" in card
    assert "target_gap" in card
    assert report.method == "bonbon"
    assert report.settings["by"] == "reward"
    assert (report.prompts, report.settings["n"]) == (len(PROMPTS), N)


def test_costs_are_of_all_that_was_read(train: Callable[..., PolicyReport]) -> None:
    report = train("out", "dpo", recipe=replace(QUICK, epochs=3, batch=5))
    lines = [json.loads(line) for line in (Path(report.out) / "training" / METRICS).read_text().splitlines()]
    assert report.steps == len(lines) == lines[-1]["step"]
    assert report.cost["preprocessing"].draws == 8 * len(PROMPTS)
    assert report.cost["optimisation"].draws == report.episodes
    assert report.episodes % 6 == 0  # three epochs of two responses a pair
    assert report.cost["optimisation"].tokens > 2 * report.episodes  # a start token and one of the response, at least
    assert report.last == {name: value for name, value in lines[-1].items() if name != "step"}


def test_only_the_last_layers_are_trained_where_that_is_asked_for(
    train: Callable[..., PolicyReport], model: Enumerable, tmp_path: Path
) -> None:
    train("out", setup={"adapt": "last", "layers": 1})
    before, after = weights(model.folder), weights(tmp_path / "out")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(".layers.1." in name or name == "model.norm.weight" for name in changed)


def test_adapters_are_left_as_an_adapter(train: Callable[..., PolicyReport], model: Enumerable, tmp_path: Path) -> None:
    train("out", setup={"adapt": "lora", "rank": 2})
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file()
    assert not np.array_equal(law_of(model, tmp_path / "out"), law_of(model, model.folder))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sft", "dpo", "bonbon"])
def test_how_a_step_is_cut_into_passes_does_not_matter(
    train: Callable[..., PolicyReport], tmp_path: Path, kind: str
) -> None:
    train("whole", kind, recipe=replace(QUICK, batch=8))
    train("cut", kind, recipe=replace(QUICK, batch=8, tokens=12))
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.allclose(one[name], other[name], atol=1e-4) for name in one)


@pytest.mark.parametrize("kind", ["sft", "dpo", "bonbon"])
def test_held_out_prompts_choose_the_weights(
    train: Callable[..., PolicyReport], model: Enumerable, tmp_path: Path, kind: str
) -> None:
    """A learning rate at which it only gets worse: the weights of no step are kept, and those are the reference's."""
    recipe = replace(QUICK, lr=1.0, clip=None, epochs=1)
    said: list[Step] = []
    report = train(
        "out",
        kind,
        recipe=recipe,
        held_out=0.34,
        progress=lambda event: said.append(event) if isinstance(event, Step) else None,
    )
    assert report.prompts == 4
    assert said[0].held_out is not None
    assert said[-1].held_out is not None
    assert said[-1].held_out["loss"] > said[0].held_out["loss"]
    assert np.allclose(law_of(model, tmp_path / "out"), law_of(model, model.folder))


def test_log_probabilities_are_at_the_temperature_of_the_pools(
    train: Callable[..., PolicyReport], model: Enumerable
) -> None:
    cold = drawn(model, 8, prompts=PROMPTS, temperature=0.5)
    one = replace(QUICK, batch=1000, steps=1)
    assert train("cold", pools=cold, recipe=one).settings["temperature"] == 0.5
    assert train("said", pools=cold, recipe=one, temperature=1.0).settings["temperature"] == 1.0
    mixed = [*cold[:3], *drawn(model, 8, prompts=PROMPTS)[3:]]
    with pytest.raises(UsageError, match=r"drawn at the temperatures 0.5, 1: say which"):
        train("mixed", pools=mixed)


def test_rows_that_the_steps_do_not_reach_are_not_read(train: Callable[..., PolicyReport]) -> None:
    whole = train("whole", "dpo")
    short = train("short", "dpo", recipe=replace(QUICK, batch=1, steps=1))
    assert short.episodes == 2
    assert short.prompts == 1 < whole.prompts


def test_what_truncation_cut_off_is_said(train: Callable[..., PolicyReport], model: Enumerable) -> None:
    report = train("out", pools=drawn(model, 8, prompts=PROMPTS, top_p=0.9))
    (note,) = report.notes
    assert note.startswith("The pools were drawn with top_p 0.9")


def test_answers_whose_tokens_the_pools_do_not_have_are_counted_and_said(
    train: Callable[..., PolicyReport], few: list[Pool], tmp_path: Path
) -> None:
    """Their texts are encoded again, which may give other tokens than were drawn."""

    def without(pool: Pool) -> Pool:
        return replace(pool, candidates=tuple(replace(one, token_ids=None) for one in pool.candidates))

    assert train("known", "bonbon").notes == ()
    # Of each pool two groups of four, of which the best and the worst are learned from.
    report = train("two", "bonbon", pools=[*map(without, few[:2]), *few[2:]])
    (note,) = report.notes
    assert note.startswith("8 of 24 answers carried no token ids: they were encoded again from their text")
    assert "?return_token_ids=true" in note
    assert f"- {note}" in (tmp_path / "two" / "README.md").read_text()
    (note,) = train("held", "bonbon", pools=[*map(without, few)], held_out=0.5).notes
    assert note.startswith("24 of 24 answers")


def test_who_drew_the_pools_is_said_where_it_may_be_another(
    train: Callable[..., PolicyReport], model: Enumerable, few: list[Pool]
) -> None:
    def by(name: str) -> list[Pool]:
        return [
            replace(pool, candidates=tuple(replace(one, generator=name) for one in pool.candidates)) for pool in few
        ]

    assert train("own", pools=by(f"hf:{model.folder}")).notes == ()
    (note,) = train("other", pools=by("openai:some-model")).notes
    assert note.startswith("The pools were drawn by openai:some-model, which is taken to be")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"beta": 0.0}, "beta is 0.0"),
        ({"beta": math.nan}, "beta is nan"),
        ({"alpha": 1.5}, "alpha is 1.5"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"held_out": 1.0}, "held out is 1.0"),
        ({"max_length": 1}, "max_length is 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Offline(kind="dpo", **wrong)
