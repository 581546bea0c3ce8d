"""Reward models trained for real, on a tiny random model: what they learn, leave, refuse, and say of themselves."""

from __future__ import annotations

import copy
import json
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reward_data import about_a_word, about_length

import bon
from bon.errors import ModelError, UsageError
from bon.models.own import MANIFEST, read_manifest
from bon.score.reward.encoding import answered
from bon.testing.checkpoints import save_tiny_gguf, save_tiny_model
from bon.train.card import card
from bon.train.network import network
from bon.train.preferences import Pair, Preferences
from bon.train.recipe import Recipe, Step
from bon.train.report import Report
from bon.train.reward_model import train_rm
from bon.train.saving import manifest_of, save_folder
from bon.train.starting import Setup, start
from bon.types import Candidate, Pool, Prompt

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

FULL = Recipe(epochs=6, lr=3e-3, batch=16, tokens=4096)
HEAD = Recipe(epochs=3, lr=1e-3, batch=16)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("base") / "model", "llama", context=512)


@pytest.fixture(scope="module")
def full(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A model whose every weight was trained."""
    out = tmp_path_factory.mktemp("full") / "rm"
    setup = Setup(base=str(base), adapt="full", head="linear")
    return train_rm(about_a_word(160), out=out, setup=setup, recipe=FULL, centre=0.01, held_out=0.25)


@pytest.fixture(scope="module")
def head(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A head alone."""
    out = tmp_path_factory.mktemp("head") / "rm"
    return train_rm(about_a_word(60), out=out, setup=Setup(base=str(base)), recipe=HEAD, held_out=0.25)


async def scores_of(folder: str | Path, pairs: tuple[Pair, ...]) -> list[tuple[float, float]]:
    """What `rm:` says of the answers of pairs."""
    found = []
    with bon.scorer(f"rm:{folder}") as scorer:
        for number, pair in enumerate(pairs):
            candidates = (Candidate(index=0, text=pair.chosen), Candidate(index=1, text=pair.rejected))
            pool = Pool(prompt=Prompt(id=str(number), messages=pair.messages), candidates=candidates)
            one, other = await scorer(pool)
            assert one.value is not None, one.reason
            assert other.value is not None
            found.append((one.value, other.value))
    return found


def by_hand(backbone: Any, head: Any, tokenizer: Any, pair: Pair) -> tuple[float, float]:
    """The same by a plain forward pass of each answer."""
    found = []
    for text in (pair.chosen, pair.rejected):
        ids = answered(tokenizer, pair.messages, text)
        with torch.no_grad():
            hidden = backbone(input_ids=torch.tensor([ids])).last_hidden_state
            found.append(float(head(hidden[0, -1].float())))
    return found[0], found[1]


def test_it_learns_what_a_pair_is_about(full: Report) -> None:
    accuracy = full.figures["accuracy"]
    assert accuracy.low is not None
    assert accuracy.low > 0.5
    assert full.figures["loss"].value < full.before["loss"]
    assert full.train + full.watched + full.held_out == 160
    assert full.held_out == 40


async def test_the_folder_loads_as_a_scorer_and_says_what_was_measured(full: Report) -> None:
    met = about_a_word(160)
    fresh = about_a_word(60, seed=9).pairs
    scores = await scores_of(full.out, (*met.pairs[:20], *fresh))
    told = np.mean([one > other for one, other in scores[20:]])
    assert told == pytest.approx(full.figures["accuracy"].value, abs=0.2)


async def test_a_head_alone_says_what_a_full_forward_pass_says(head: Report, base: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    from bon.models.heads import load_head

    backbone, tokenizer = AutoModel.from_pretrained(base).eval(), AutoTokenizer.from_pretrained(base)
    pairs = about_a_word(12, seed=4).pairs
    expected = [by_hand(backbone, load_head(head.out), tokenizer, pair) for pair in pairs]
    assert np.allclose(await scores_of(head.out, pairs), expected, atol=1e-4)
    assert sorted(path.name for path in Path(head.out).iterdir()) == [
        "README.md",
        MANIFEST,
        "head.safetensors",
        "training",
    ]


@pytest.mark.slow
async def test_adapters_load_merged(base: Path, tmp_path: Path) -> None:
    import peft
    from transformers import AutoModel, AutoTokenizer

    from bon.models.heads import load_head
    from bon.models.loading import quiet

    setup = Setup(base=str(base), adapt="lora", head="linear", rank=4)
    report = train_rm(about_a_word(160), out=tmp_path / "rm", setup=setup, recipe=FULL, held_out=0.25)
    assert report.figures["accuracy"].low is not None
    assert report.figures["accuracy"].low > 0.5
    plain = AutoModel.from_pretrained(base)
    with quiet():
        backbone = peft.PeftModel.from_pretrained(plain, tmp_path / "rm").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "rm")
    pairs = about_a_word(12, seed=4).pairs
    expected = [by_hand(backbone, load_head(tmp_path / "rm"), tokenizer, pair) for pair in pairs]
    assert np.allclose(await scores_of(tmp_path / "rm", pairs), expected, atol=1e-4)


@pytest.mark.slow
async def test_an_adapter_on_a_gguf_is_merged_so_that_others_can_load_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BON_CACHE", str(tmp_path / "cache"))
    file = save_tiny_gguf(tmp_path / "tiny.gguf", "qwen2", context=512)
    setup = Setup(base=f"gguf:{file}", adapt="lora", head="linear", rank=2)
    train_rm(about_a_word(40), out=tmp_path / "rm", setup=setup, recipe=HEAD, held_out=0.25)
    assert read_manifest(tmp_path / "rm").adapted == "full"
    monkeypatch.setenv("BON_CACHE", str(tmp_path / "elsewhere"))
    assert len(await scores_of(tmp_path / "rm", about_a_word(3).pairs)) == 3


def test_adapters_on_a_base_in_bfloat16_are_merged_without_rounding_what_was_learned(
    base: Path, tmp_path: Path
) -> None:
    setup = Setup(base=str(base), adapt="lora", head="linear", rank=4, device="cpu")
    began = replace(start(setup, kind="rm", outputs=1, precision="bfloat16", seed=0), merge=True)
    trained = network(began, setup, seed=0).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in trained.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 3e-3)
    ids = torch.tensor([[5, 6, 7, 8]])
    exactly = copy.deepcopy(trained.backbone).float()  # the same model, asked in float32
    with torch.no_grad():
        expected = exactly(input_ids=ids).last_hidden_state
    manifest = manifest_of(began, setup, kind="rm", loss="pairs")
    save_folder(tmp_path / "rm", began, model=trained.backbone, head=trained.head, manifest=manifest, card="")
    again = transformers.AutoModel.from_pretrained(tmp_path / "rm", dtype=torch.float32).eval()
    with torch.no_grad():
        assert torch.allclose(again(input_ids=ids).last_hidden_state, expected, atol=1e-5)


@pytest.mark.slow
async def test_a_head_on_a_gguf_finds_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BON_CACHE", str(tmp_path / "cache"))
    file = save_tiny_gguf(tmp_path / "tiny.gguf", "qwen2", context=512)
    train_rm(about_a_word(40), out=tmp_path / "rm", setup=Setup(base=f"gguf:{file}"), recipe=HEAD, held_out=0.25)
    assert read_manifest(tmp_path / "rm").base == f"gguf:{file}"
    assert len(await scores_of(tmp_path / "rm", about_a_word(3).pairs)) == 3


def test_the_same_call_gives_the_same_report_and_another_is_refused(head: Report, base: Path) -> None:
    steps: list[Any] = []
    setup = Setup(base=str(base))
    again = train_rm(
        about_a_word(60), out=Path(head.out), setup=setup, recipe=HEAD, held_out=0.25, progress=steps.append
    )
    assert again == head
    assert steps == []
    with pytest.raises(UsageError, match=r"trained otherwise .recipe differ"):
        train_rm(about_a_word(60), out=Path(head.out), setup=setup, recipe=replace(HEAD, lr=1e-4), held_out=0.25)
    with pytest.raises(UsageError, match="held_out differ"):
        train_rm(about_a_word(61), out=Path(head.out), setup=setup, recipe=HEAD, held_out=0.25)


class Stopped(Exception):
    """What stops a run in the middle."""


def stopping_after(step: int) -> Callable[[object], None]:
    def hook(event: object) -> None:
        if isinstance(event, Step) and event.step == step:
            raise Stopped

    return hook


@pytest.mark.parametrize("step", [0, 5])
def test_stopped_and_run_again_it_is_the_same_model(head: Report, base: Path, tmp_path: Path, step: int) -> None:
    setup, out = Setup(base=str(base)), tmp_path / "rm"
    with pytest.raises(Stopped):
        train_rm(about_a_word(60), out=out, setup=setup, recipe=HEAD, held_out=0.25, progress=stopping_after(step))
    assert not (out / MANIFEST).exists()
    with pytest.raises(ModelError, match=r"bon_reward\.json"):
        read_manifest(out)
    again = train_rm(about_a_word(60), out=out, setup=setup, recipe=HEAD, held_out=0.25)
    assert replace(again, out=head.out) == head
    assert (out / "head.safetensors").read_bytes() == Path(head.out, "head.safetensors").read_bytes()


def test_a_folder_that_was_half_saved_is_saved_again(head: Report, base: Path, tmp_path: Path) -> None:
    setup, out = Setup(base=str(base)), tmp_path / "rm"
    train_rm(about_a_word(60), out=out, setup=setup, recipe=HEAD, held_out=0.25)
    (out / MANIFEST).unlink()  # which is written last
    (out / "result").mkdir()
    (out / "result" / "head.safetensors").write_bytes(b"half")
    again = train_rm(about_a_word(60), out=out, setup=setup, recipe=HEAD, held_out=0.25)
    assert again.figures == head.figures
    assert (out / "head.safetensors").read_bytes() == Path(head.out, "head.safetensors").read_bytes()
    assert not (out / "result").exists()


def test_what_is_held_out_trains_nothing(base: Path, tmp_path: Path) -> None:
    data, other = about_a_word(60), about_a_word(80).pairs[50:]  # ten of which are in the data
    report = train_rm(data, out=tmp_path / "rm", setup=Setup(base=str(base)), recipe=HEAD, held_out=other)
    assert report.held_out == 30
    assert report.train + report.watched == 50
    assert report.left_out == {"it shares its prompt, or a text, with what is held out": 10}


def test_answers_that_are_too_long_are_left_out_and_counted(base: Path, tmp_path: Path) -> None:
    data = about_a_word(60)
    long = replace(data.pairs[0], chosen="air " * 2000)
    mixed = replace(data, pairs=(long, *data.pairs[1:]))
    report = train_rm(mixed, out=tmp_path / "rm", setup=Setup(base=str(base)), recipe=HEAD, held_out=0.25)
    assert report.left_out == {"an answer with its prompt is longer than 512 tokens": 1}
    assert report.train + report.watched + report.held_out == 59
    with pytest.raises(UsageError, match=r"0 pairs to train on.*longer than 10 tokens.*larger max_length .it is 10."):
        train_rm(data, out=tmp_path / "none", setup=Setup(base=str(base), max_length=10), recipe=HEAD, held_out=0.25)


def test_hard_negatives_are_never_measured_on(base: Path, tmp_path: Path) -> None:
    data = about_a_word(60)
    hard = tuple(replace(pair, hard=True) for pair in about_a_word(60, seed=2).pairs)
    mixed = replace(data, pairs=(*data.pairs, *hard))
    report = train_rm(mixed, out=tmp_path / "rm", setup=Setup(base=str(base)), recipe=HEAD, held_out=0.25)
    assert report.train > 60
    assert report.held_out + report.watched < 40


def test_one_goes_on_from_what_was_trained_before(full: Report, tmp_path: Path) -> None:
    fresh = about_a_word(60, seed=5)
    setup = Setup(init=Path(full.out), adapt="head")
    report = train_rm(fresh, out=tmp_path / "rm", setup=setup, recipe=HEAD, held_out=0.5)
    assert report.before["accuracy"] > 0.75
    assert report.figures["accuracy"].value >= report.before["accuracy"] - 0.1
    assert report.base == str(Path(full.out).resolve())


def test_weights_that_are_trained_further_are_saved_whole(full: Report, tmp_path: Path) -> None:
    setup = Setup(init=Path(full.out), adapt="full")
    report = train_rm(
        about_a_word(60, seed=5), out=tmp_path / "rm", setup=setup, recipe=replace(FULL, epochs=1), held_out=0.5
    )
    assert report.before["accuracy"] > 0.75
    assert (tmp_path / "rm" / "model.safetensors").is_file()


@pytest.mark.parametrize("wrong", [{"rank": 0}, {"max_length": 0}])
def test_setups_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Setup(**wrong)


def test_an_init_of_another_kind_is_refused(base: Path, tmp_path: Path) -> None:
    from bon.testing.checkpoints import save_tiny_process_model

    folder = save_tiny_process_model(tmp_path / "prm")
    with pytest.raises(UsageError, match="is a prm with 1 outputs, where a rm with 1 is trained"):
        train_rm(about_a_word(60), out=tmp_path / "rm", setup=Setup(init=folder), recipe=HEAD)
    with pytest.raises(UsageError, match=r"has no bon_reward\.json"):
        train_rm(about_a_word(60), out=tmp_path / "rm", setup=Setup(init=base), recipe=HEAD)
    with pytest.raises(UsageError, match="centre is -1"):
        train_rm(about_a_word(60), out=tmp_path / "rm", setup=Setup(base=str(base)), recipe=HEAD, centre=-1)


@pytest.mark.parametrize("adapt", ["head", "full"])
def test_a_base_that_cannot_fit_is_refused_before_it_is_loaded(base: Path, tmp_path: Path, adapt: Any) -> None:
    folder = tmp_path / "large"
    shutil.copytree(base, folder)
    header = json.dumps(
        {"layers": {"dtype": "BF16", "shape": [10**6, 10**8], "data_offsets": [0, 2 * 10**14]}}
    ).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(ModelError, match=r"take (400000|1600000)\.0 GB, and .* GB are there on cpu: adapt='lora'"):
        train_rm(about_a_word(60), out=tmp_path / "rm", setup=Setup(base=str(folder), adapt=adapt), recipe=HEAD)


def test_a_learning_rate_that_is_far_too_high_says_what_to_do(base: Path, tmp_path: Path) -> None:
    setup = Setup(base=str(base), adapt="full", head="linear")
    recipe = replace(FULL, lr=1e30, clip=None, schedule="constant")
    with pytest.raises(ModelError, match="smaller lr"):
        train_rm(about_a_word(60), out=tmp_path / "rm", setup=setup, recipe=recipe, held_out=0.25)
    assert not (tmp_path / "rm" / MANIFEST).exists()


def test_weights_that_went_astray_between_two_evaluations_are_told_of(base: Path, tmp_path: Path) -> None:
    setup = Setup(base=str(base), adapt="full")
    recipe = Recipe(steps=1, lr=1e30, clip=None)
    with pytest.raises(ModelError, match=r"outputs that are no numbers.*a smaller lr"):
        train_rm(about_a_word(40), out=tmp_path / "rm", setup=setup, recipe=recipe, held_out=0.25)


@pytest.mark.slow
async def test_what_is_trained_on_a_folder_named_from_here_loads_from_elsewhere(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(base, tmp_path / "base")
    for adapt in ("head", "lora"):
        monkeypatch.chdir(tmp_path)
        train_rm(
            about_a_word(40),
            out=Path(adapt),
            setup=Setup(base="base", adapt=adapt),
            recipe=Recipe(steps=1),
            held_out=0.25,
        )
        monkeypatch.chdir("/")
        assert await scores_of(tmp_path / adapt, about_a_word(2).pairs)
    shutil.move(tmp_path / "base", tmp_path / "gone")
    for adapt in ("head", "lora"):
        with pytest.raises(ModelError, match=r"was trained on '.*/base', and needs it: there is no"):
            await scores_of(tmp_path / adapt, about_a_word(1).pairs)


def test_a_head_alone_is_no_base(head: Report, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is a head on .*: give that as base=, or the folder as init="):
        train_rm(about_a_word(40), out=tmp_path / "rm", setup=Setup(base=head.out), recipe=HEAD, held_out=0.25)


@pytest.mark.slow
def test_kept_features_are_not_those_of_a_base_that_was_changed(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "base")
    setup = Setup(base=str(tmp_path / "base"), features=tmp_path / "features")
    args = {"setup": setup, "recipe": Recipe(steps=1), "held_out": 0.25}
    first = train_rm(about_a_word(40), out=tmp_path / "one", **args)
    again = train_rm(about_a_word(40), out=tmp_path / "two", **args)
    assert first.figures == again.figures
    shutil.rmtree(tmp_path / "base")
    save_tiny_model(tmp_path / "base", "llama", context=512, seed=5)
    other = train_rm(about_a_word(40), out=tmp_path / "three", **args)
    assert other.before != first.before


@pytest.mark.slow
def test_a_model_that_learned_length_is_told_of(base: Path, tmp_path: Path) -> None:
    setup = Setup(base=str(base), adapt="full", head="linear")
    report = train_rm(about_length(160), out=tmp_path / "rm", setup=setup, recipe=FULL, held_out=0.25)
    assert report.figures["accuracy"].value > 0.9
    said = " ".join(report.probes.findings)
    assert "not surely better than taking the longer answer" in said
    assert report.probes.length_correlation is not None
    assert report.probes.length_correlation > 0.5
    assert "not surely better than taking the longer answer" in (tmp_path / "rm" / "README.md").read_text()


def test_the_card_says_what_it_was_made_of_and_what_it_is_worth(full: Report) -> None:
    text = Path(full.out, "README.md").read_text()
    settings = json.loads(Path(full.out, "training", "report.json").read_text())["identity"]
    said = card(full, read_manifest(full.out), settings, licence=None)
    assert sorted(text.splitlines()) == sorted(said.splitlines())  # a file of JSON has its keys in another order
    assert "Data, of about a word: " in text
    assert f"{full.train} pairs to train on, {full.watched} to stop by, 40 to measure on" in text
    assert "not stated where it lies" in text
    assert f"| accuracy | {full.figures['accuracy'].value:.3f} |" in text
    assert "license: mit" in card(full, read_manifest(full.out), settings, licence="mit")


def test_the_licence_of_a_base_is_read_from_its_card(base: Path, tmp_path: Path) -> None:
    from bon.train.starting import start

    (base / "README.md").write_text("---\ntags: [x]\nlicense: apache-2.0\n---\n# A model\nlicense: none of this\n")
    try:
        found = start(Setup(base=str(base)), kind="rm", outputs=1, precision="float32", seed=0)
    finally:
        (base / "README.md").unlink()
    assert found.licence == "apache-2.0"


def test_pairs_of_one_prompt_are_parted_by_their_answers(base: Path, tmp_path: Path) -> None:
    asked = ({"role": "user", "content": "Why is the sky blue?"},)
    data = about_a_word(60)
    alike = replace(data, pairs=tuple(replace(pair, messages=asked) for pair in data.pairs))
    with pytest.raises(UsageError, match="60 rows of 1 prompts"):
        train_rm(alike, out=tmp_path / "rm", setup=Setup(base=str(base)), recipe=HEAD, held_out=0.25)
    by_text = Preferences(pairs=(*alike.pairs, alike.pairs[0]), apart="text")
    report = train_rm(by_text, out=tmp_path / "rm", setup=Setup(base=str(base)), recipe=HEAD, held_out=0.25)
    assert report.train + report.watched + report.held_out == 61


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
