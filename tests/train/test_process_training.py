"""Process reward models trained for real, on a tiny random model: where labels sit, what is learned and refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bon
from bon.errors import UsageError
from bon.models.own import read_manifest
from bon.score.process.formats.own import encode_own
from bon.testing.checkpoints import save_tiny_model
from bon.train.process_model import Marks, train_prm
from bon.train.recipe import Recipe, Step
from bon.train.starting import Setup
from bon.train.step_card import step_card
from bon.train.step_report import StepReport
from bon.train.stepwise import Solution, Stepwise
from bon.types import Candidate, Pool, Prompt

torch = pytest.importorskip("torch")

FULL = Recipe(epochs=8, lr=3e-3, batch=16, tokens=4096)
HEAD = Recipe(epochs=3, lr=1e-3, batch=16)
WORDS = ["the", "quick", "brown", "fox", "over", "lazy", "dog", "sky", "air", "light", "waves"]


def about_a_word(count: int, *, seed: int = 0) -> Stepwise:
    """A step is right where it says "blue", and wrong where it says "mind", a quarter of them."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        labels = rng.random(int(rng.integers(2, 5))) > 0.25
        steps = tuple(f"{rng.choice(WORDS)} {'blue' if label else 'mind'} {rng.choice(WORDS)}." for label in labels)
        asked = f"Why {' '.join(rng.choice(WORDS, 2))} {number + 1000 * seed}?"
        messages = ({"role": "user", "content": asked},)
        found.append(Solution(messages=messages, steps=steps, labels=tuple(float(label) for label in labels)))
    return Stepwise(solutions=tuple(found), source="about a word")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("base") / "model", "llama", context=256)


@pytest.fixture(scope="module")
def full(base: Path, tmp_path_factory: pytest.TempPathFactory) -> StepReport:
    """A model whose every weight was trained."""
    out = tmp_path_factory.mktemp("full") / "prm"
    setup = Setup(base=str(base), adapt="full", head="linear")
    return train_prm(about_a_word(160), out=out, setup=setup, recipe=FULL, held_out=0.25)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


async def said_by(folder: str | Path, solutions: tuple[Solution, ...], **options: Any) -> list[tuple[float, ...]]:
    """What `prm:` says of the steps of solutions."""
    found = []
    with bon.scorer(f"prm:{folder}", **options) as scorer:
        for number, one in enumerate(solutions):
            candidate = Candidate(index=0, text="\n\n".join(one.steps))
            [score] = await scorer(Pool(prompt=Prompt(id=str(number), messages=one.messages), candidates=(candidate,)))
            assert score.steps is not None, score.reason
            found.append(score.steps)
    return found


def test_it_learns_which_steps_are_right(full: StepReport) -> None:
    assert full.figures["auc"].low is not None
    assert full.figures["auc"].low > 0.6
    assert full.figures["loss"].value < full.before["loss"]
    assert full.figures["first_error_f1"].n == full.held_out == 40
    assert full.train + full.watched + full.held_out == 160
    assert full.steps > 2 * full.train


async def test_the_folder_loads_as_a_scorer_and_says_what_was_measured(full: StepReport) -> None:
    fresh = about_a_word(40, seed=9).solutions
    steps = await said_by(full.out, fresh)
    assert [len(one) for one in steps] == [len(one.steps) for one in fresh]
    labels = [label for one in fresh for label in one.labels]
    said = [step for one in steps for step in one]
    right = np.mean([(p >= 0.5) == (label == 1.0) for p, label in zip(said, labels, strict=True)])
    assert right == pytest.approx(full.figures["accuracy"].value, abs=0.15)


async def test_the_scorer_reads_where_the_labels_sat(full: StepReport) -> None:
    """By hand: the whole row through the saved weights, and the head at the last token of each separator."""
    from transformers import AutoModel, AutoTokenizer

    from bon.models.heads import load_head

    one = about_a_word(1, seed=3).solutions[0]
    tokenizer, model = AutoTokenizer.from_pretrained(full.out), AutoModel.from_pretrained(full.out).eval()
    row = encode_own(tokenizer, one.messages, one.steps, separator="\n\n")
    ends = tokenizer("\n\n", add_special_tokens=False)["input_ids"]
    assert all(list(row.ids[at + 1 - len(ends) : at + 1]) == ends for at in row.at)
    with torch.no_grad():
        hidden = model(input_ids=torch.tensor([row.ids])).last_hidden_state[0, list(row.at)]
        by_hand = load_head(full.out)(hidden).softmax(-1)[:, 1].tolist()
    [said] = await said_by(full.out, (one,))
    assert said == pytest.approx(by_hand, abs=1e-5)


@pytest.mark.parametrize(("loss", "outputs"), [("ce", 2), ("bce", 1), ("mse", 1)])
async def test_a_head_alone_says_the_same_when_it_is_loaded(
    base: Path, tmp_path: Path, loss: Any, outputs: int
) -> None:
    data = about_a_word(60)
    held = data.solutions[:12]
    marks = Marks(loss=loss, separator=" ;;", steps="blank")
    report = train_prm(data, out=tmp_path / "prm", setup=Setup(base=str(base)), recipe=HEAD, marks=marks, held_out=held)
    manifest = read_manifest(tmp_path / "prm")
    assert (manifest.kind, manifest.loss, manifest.outputs) == ("prm", loss, outputs)
    assert (manifest.separator, manifest.steps, manifest.adapted) == (" ;;", "blank", "head")
    steps = await said_by(tmp_path / "prm", held)
    labels = [label for one in held for label in one.labels]
    said = [step for one in steps for step in one]
    accuracy = np.mean([(p >= 0.5) == (label == 1.0) for p, label in zip(said, labels, strict=True)])
    assert accuracy == pytest.approx(report.figures["accuracy"].value)


async def test_adapters_are_laid_on_their_base(base: Path, tmp_path: Path) -> None:
    setup = Setup(base=str(base), adapt="lora", head="linear")
    held = about_a_word(12, seed=4).solutions
    recipe = replace(FULL, epochs=2, batch=32)
    report = train_prm(about_a_word(60), out=tmp_path / "prm", setup=setup, recipe=recipe, held_out=held)
    steps = await said_by(tmp_path / "prm", held)
    pairs = [pair for one, said in zip(held, steps, strict=True) for pair in zip(one.labels, said, strict=True)]
    chances = [p if label else 1 - p for label, p in pairs]
    assert -np.log(chances).mean() == pytest.approx(report.figures["loss"].value, abs=1e-4)


def test_steps_without_a_label_teach_nothing(base: Path, tmp_path: Path) -> None:
    """Solutions that differ in labels that are not there are trained on to the same bits."""
    data = about_a_word(40)
    outcome = tuple(replace(one, labels=(*[None] * (len(one.labels) - 1), one.labels[-1])) for one in data.solutions)
    setup = Setup(base=str(base), adapt="full", head="linear")
    recipe = replace(FULL, epochs=1)
    report = train_prm(replace(data, solutions=outcome), out=tmp_path / "a", setup=setup, recipe=recipe, held_out=0.25)
    assert report.steps == report.train
    assert "first_error_f1" not in report.figures, "which step is the first wrong one is not known"
    everything = train_prm(data, out=tmp_path / "b", setup=setup, recipe=recipe, held_out=0.25)
    assert everything.steps > everything.train


def test_how_a_step_is_cut_into_passes_changes_nothing(base: Path, tmp_path: Path) -> None:
    """Each labelled step weighs the same, whichever solution and pass it is in."""
    setup = Setup(base=str(base), adapt="full", head="linear")
    losses = []
    for name, tokens in (("one", 100_000), ("many", 64)):
        seen: list[Step] = []
        recipe = Recipe(epochs=1, steps=2, lr=1e-3, batch=16, tokens=tokens)
        hook = lambda event, seen=seen: seen.append(event) if isinstance(event, Step) else None  # noqa: E731
        train_prm(about_a_word(60), out=tmp_path / name, setup=setup, recipe=recipe, held_out=0.25, progress=hook)
        losses.append([step.figures["loss"] for step in seen if step.figures])
    assert len(losses[0]) == 2
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_the_same_call_gives_the_same_report_and_another_is_refused(full: StepReport, base: Path) -> None:
    setup = Setup(base=str(base), adapt="full", head="linear")
    again = train_prm(about_a_word(160), out=Path(full.out), setup=setup, recipe=FULL, held_out=0.25)
    assert again == full
    with pytest.raises(UsageError, match=r"trained otherwise .loss differ"):
        train_prm(
            about_a_word(160),
            out=Path(full.out),
            setup=setup,
            recipe=FULL,
            held_out=0.25,
            marks=Marks(loss="bce"),
        )


class Stopped(Exception):
    """What stops a run in the middle."""


def test_stopped_and_run_again_it_is_the_same_model(base: Path, tmp_path: Path) -> None:
    setup, recipe = Setup(base=str(base), adapt="full", head="linear"), replace(FULL, epochs=2)

    def stop(event: object) -> None:
        if isinstance(event, Step) and event.step == 4:
            raise Stopped

    whole = train_prm(about_a_word(60), out=tmp_path / "whole", setup=setup, recipe=recipe, held_out=0.25)
    with pytest.raises(Stopped):
        train_prm(about_a_word(60), out=tmp_path / "cut", setup=setup, recipe=recipe, held_out=0.25, progress=stop)
    again = train_prm(about_a_word(60), out=tmp_path / "cut", setup=setup, recipe=recipe, held_out=0.25)
    assert replace(again, out=whole.out) == whole
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut"))
    assert one == other


def test_a_solution_that_is_too_long_is_left_out_and_never_cut(base: Path, tmp_path: Path) -> None:
    data = about_a_word(60)
    long = replace(data.solutions[0], steps=("air " * 600, *data.solutions[0].steps[1:]))
    mixed = replace(data, solutions=(long, *data.solutions[1:]))
    report = train_prm(mixed, out=tmp_path / "prm", setup=Setup(base=str(base)), recipe=HEAD, held_out=0.25)
    assert report.left_out == {"a solution with its prompt is longer than 256 tokens": 1}
    assert report.train + report.watched + report.held_out == 59
    short = Setup(base=str(base), max_length=10)
    with pytest.raises(UsageError, match=r"0 solutions to train on.*longer than 10 tokens.*larger max_length .it is"):
        train_prm(data, out=tmp_path / "none", setup=short, recipe=HEAD, held_out=0.25)


def test_hard_negatives_train_and_are_never_measured_on(base: Path, tmp_path: Path) -> None:
    data = about_a_word(60)
    hard = tuple(replace(one, hard=True) for one in about_a_word(60, seed=2).solutions)
    mixed = replace(data, solutions=(*data.solutions, *hard))
    report = train_prm(mixed, out=tmp_path / "prm", setup=Setup(base=str(base)), recipe=HEAD, held_out=0.25)
    assert report.train > 60
    assert report.held_out + report.watched < 40


async def test_one_goes_on_from_what_was_trained_before(full: StepReport, tmp_path: Path) -> None:
    setup = Setup(init=Path(full.out), adapt="head")
    fresh = about_a_word(60, seed=5)
    report = train_prm(fresh, out=tmp_path / "prm", setup=setup, recipe=HEAD, held_out=0.5)
    assert report.before["accuracy"] == pytest.approx(full.figures["accuracy"].value, abs=0.2)
    assert len(await said_by(tmp_path / "prm", fresh.solutions[:2])) == 2
    with pytest.raises(UsageError, match="is a prm with 2 outputs, where a prm with 1 is trained"):
        train_prm(fresh, out=tmp_path / "x", setup=setup, recipe=HEAD, marks=Marks(loss="mse"), held_out=0.5)


@pytest.mark.parametrize(("wrong", "what"), [({"loss": "hinge"}, "loss is 'hinge'"), ({"separator": ""}, "separator")])
def test_marks_that_make_no_sense_are_refused(wrong: dict[str, Any], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        Marks(**wrong)


def test_the_card_says_what_it_was_made_of_and_what_it_is_worth(full: StepReport) -> None:
    text = Path(full.out, "README.md").read_text()
    settings = json.loads(Path(full.out, "training", "report.json").read_text())["identity"]
    said = step_card(full, read_manifest(full.out), settings, licence=None)
    assert sorted(text.splitlines()) == sorted(said.splitlines())  # a file of JSON has its keys in another order
    assert f"{full.train} solutions to train on, {full.watched} to stop by, 40 to measure on" in text
    assert f"learned from {full.steps} labelled steps, by the loss 'ce'" in text
    assert f"| first_error_f1 | {full.figures['first_error_f1'].value:.3f} |" in text
    assert "beats a right solution: a full stop" in text
