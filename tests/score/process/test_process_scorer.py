"""The scorer `prm:`: what it loads and refuses, what it says of solutions it cannot score, and benchmarks of steps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the torch extra is not installed")

from process_checkpoints import PROBLEM, QWEN, STEPS, byte_tokenizer, math_shepherd, own, qwen, rlhflow  # noqa: E402

import bon  # noqa: E402
from bon.errors import ModelError, UsageError  # noqa: E402
from bon.score.process import Marking, ProcessReward  # noqa: E402
from bon.score.reward import Options  # noqa: E402
from bon.testing import check_scorer  # noqa: E402
from bon.testing.checkpoints import save_tiny_model, save_tiny_reward_model  # noqa: E402
from bon.types import Candidate, Pool, Prompt, Score, as_messages  # noqa: E402

TEXT = "\n\n".join(STEPS)


def pool(*texts: str, id: str = "p", **metadata: Any) -> Pool:  # noqa: A002
    prompt = Prompt(id=id, messages=as_messages(PROBLEM), metadata=metadata)
    return Pool(prompt=prompt, candidates=tuple(Candidate(index=i, text=text) for i, text in enumerate(texts)))


def model_of(folder: Path, *, marking: Marking | None = None, **options: Any) -> ProcessReward:
    return ProcessReward(folder, options=Options(device="cpu", **options), marking=marking, say=lambda _: None)


async def score_of(folder: Path, text: str, **options: Any) -> Score:
    model = model_of(folder, **options)
    try:
        (score,) = await model(pool(text))
        return score
    finally:
        model.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return qwen(tmp_path_factory.mktemp("prm") / "qwen")[0]


@pytest.fixture
async def model(folder: Path) -> AsyncIterator[ProcessReward]:
    scorer = model_of(folder)
    yield scorer
    scorer.close()


async def test_it_is_a_scorer_as_every_other(model: ProcessReward) -> None:
    await check_scorer(model, pool=pool(TEXT, STEPS[0], "x", "", "\ud800 1."))


async def test_a_solution_that_is_too_long_has_no_score_and_nothing_is_cut_off(model: ProcessReward) -> None:
    long = "\n\n".join(f"Step {number}: one more." for number in range(1, 80))
    short, missing, other = await model(pool(TEXT, long, STEPS[0]))
    assert missing.value is None
    assert missing.steps is None
    assert "tokens (steps: 79), and" in missing.reason
    assert "reads 512 at most: ask for shorter answers" in missing.reason
    (alone,) = await model(pool(TEXT))
    assert short.steps == pytest.approx(alone.steps, abs=1e-4)
    assert len(other.steps or ()) == 1


async def test_max_length_is_a_limit_too(folder: Path, tmp_path: Path) -> None:
    assert "reads 40 at most" in (await score_of(folder, TEXT, max_length=40)).reason
    trained = own(tmp_path / "own")[0]
    assert "reads 200 at most" in (await score_of(trained, TEXT * 3)).reason
    with_limit = model_of(trained, max_length=150)
    await with_limit(pool("x"))
    assert with_limit.limit == 150
    with_limit.close()


async def test_a_solution_without_text_has_no_score(model: ProcessReward) -> None:
    call = Candidate(index=0, text="", tool_calls=({"function": {"name": "f"}},))
    prompt = Prompt(id="p", messages=as_messages(PROBLEM))
    scores = await model(Pool(prompt=prompt, candidates=(call, Candidate(index=1, text=" \n"))))
    assert [score.reason for score in scores] == ["tool calls without text", "an empty answer has no steps"]


async def test_no_step_is_lost_whatever_it_is_cut_by(folder: Path, tmp_path: Path) -> None:
    lines = "a\n\nb.\n\n\n  c\n1. d\n2. e\nStep 1: f\nStep 2: <extra_0>"
    counts = {"newline": 7, "blank": 3, "numbered": 3, "step": 3, "whole": 1, "auto": 3}
    for steps, count in counts.items():
        score = await score_of(folder, lines, marking=Marking(steps=steps))
        assert len(score.steps or ()) == count, steps
    assert len((await score_of(folder, lines, marking=Marking(steps=lambda text: text.split("\n")[:0]))).reason) > 0
    by_words = await score_of(folder, "a b c", marking=Marking(steps=str.split))
    assert len(by_words.steps or ()) == 3
    lost = await score_of(folder, "a b c", marking=Marking(steps=lambda text: text.split()[:2]))
    assert lost.reason == "ScoreError: the splitter '<lambda>': no step holds ' c'"


async def test_a_chat_that_cannot_be_read_is_a_failure_of_the_candidate(model: ProcessReward) -> None:
    image = [{"type": "image_url", "image_url": {"url": "data:"}}]
    prompt = Prompt(id="p", messages=({"role": "user", "content": image},))
    (score,) = await model(Pool(prompt=prompt, candidates=(Candidate(index=0, text="x"),)))
    assert score.reason.startswith("UsageError: ")
    assert "image_url" in score.reason


async def test_what_is_no_number_is_no_score(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    broken = qwen(tmp_path / "prm")[0]
    tensors = load_file(broken / "model.safetensors")
    tensors["score.2.bias"] = torch.full((2,), float("nan"))
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    score = await score_of(broken, TEXT)
    assert score.value is None
    assert "dtype=float32" in score.reason


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"score.0.weight": None}, "lacks tensors of its head: score.0.weight"),
        ({"score.2.weight": torch.zeros(1, 32), "score.2.bias": torch.zeros(1)}, "a head of 1 outputs"),
        ({"model.norm.weight": None}, "norm.weight"),
        ({"model.extra.weight": torch.zeros(2)}, "extra.weight"),
        ({"gating.weight": torch.zeros(2)}, "gating.weight"),
    ],
)
async def test_every_tensor_is_accounted_for(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    from safetensors.torch import load_file, save_file

    broken = qwen(tmp_path / "prm")[0]
    tensors = load_file(broken / "model.safetensors") | change
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=said):
        await score_of(broken, TEXT)


async def test_what_is_no_process_reward_model_says_what_it_is(tmp_path: Path) -> None:
    language = save_tiny_model(tmp_path / "lm", "qwen2")
    with pytest.raises(ModelError, match=r"is a language model.*family=math_shepherd or family=rlhflow.*bon train prm"):
        await score_of(language, TEXT)
    outcome = save_tiny_reward_model(tmp_path / "rm")
    with pytest.raises(ModelError, match=r"is a reward model of whole answers .*: name it rm:"):
        await score_of(outcome, TEXT)
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "config.json").write_text(json.dumps({"model_type": "qwen2", "architectures": ["Qwen2Model"]}))
    (bare / "model.safetensors").write_bytes((language / "model.safetensors").read_bytes())
    with pytest.raises(ModelError, match=r"no head that bon knows: .* own, qwen, skywork, trl, math_shepherd, rlhflow"):
        await score_of(bare, TEXT)
    for wrong in (tmp_path / "none", tmp_path):
        with pytest.raises(ModelError):
            await score_of(wrong, TEXT)
    with pytest.raises(ModelError, match="there is no format 'none' of process reward models; there are own, qwen"):
        ProcessReward(language, family="none")


async def test_no_pickle_is_read(tmp_path: Path) -> None:
    broken = qwen(tmp_path / "prm")[0]
    (broken / "model.safetensors").rename(broken / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pickled weights can run code"):
        await score_of(broken, TEXT)


async def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    broken = qwen(tmp_path / "prm")[0]
    other = byte_tokenizer(QWEN[:3], pad_token=QWEN[0], eos_token=QWEN[2])
    other.save_pretrained(str(broken))
    with pytest.raises(ModelError, match="a step's end is the token '<extra_0>', which this tokenizer reads as"):
        await score_of(broken, TEXT)
    llama = rlhflow(tmp_path / "prm-mistral-data")[0]
    bare = byte_tokenizer(QWEN[:3], pad_token=QWEN[0])
    bare.save_pretrained(str(llama))
    (llama / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="has no chat template; name one with template=FILE"):
        await score_of(llama, TEXT)
    mistral = math_shepherd(tmp_path / "shepherd")[0]
    for file in mistral.glob("token*"):
        file.unlink()
    byte_tokenizer(QWEN[:3], pad_token=QWEN[0]).save_pretrained(str(mistral))
    with pytest.raises(ModelError, match="has not one token each for"):
        await score_of(mistral, TEXT)


async def test_prompts_that_wait_together_are_scored_as_they_are_alone(model: ProcessReward) -> None:
    pools = [pool(TEXT, STEPS[0], id="a"), pool(STEPS[1], id="b"), pool(TEXT + "\n\nx", id="c")]
    together = await asyncio.gather(*(model(each) for each in pools))
    for each, found in zip(pools, together, strict=True):
        for score, alone in zip(found, await model(each), strict=True):
            assert score.steps == pytest.approx(alone.steps, abs=1e-4)


async def test_a_closed_model_says_so_and_closing_twice_is_fine(folder: Path) -> None:
    model = model_of(folder)
    await model(pool(TEXT))
    model.close()
    model.close()
    assert model.limit is None
    with pytest.raises(ModelError, match="is closed: make a new one"):
        await model(pool(TEXT))


def test_identity_is_of_the_files_and_of_what_changes_a_score(folder: Path) -> None:
    here = model_of(folder).identity
    assert here is not None
    assert here == model_of(folder).identity
    for marking in (Marking(aggregate="prod"), Marking(threshold=0.2), Marking(steps="auto")):
        assert model_of(folder, marking=marking).identity != here
    assert model_of(folder, marking=Marking(steps=str.split)).identity is None
    assert (ProcessReward("qwen").identity or {})["model"] == "Qwen/Qwen2.5-Math-PRM-7B"


def test_a_marking_says_what_is_wrong_with_it() -> None:
    with pytest.raises(UsageError, match="steps is 'lines'; it must be auto"):
        Marking(steps="lines")
    with pytest.raises(UsageError, match="aggregate is 'median'; it must be one of min"):
        Marking(aggregate="median")
    with pytest.raises(UsageError, match="threshold is nan"):
        Marking(threshold=float("nan"))


async def test_a_model_for_maths_warns_once_about_another_prompt() -> None:
    said: list[str] = []
    model = ProcessReward("qwen", options=Options(revision="none"), say=said.append)
    chat = Pool(prompt=Prompt(id="p", messages=as_messages("Write a short poem about the sea.")))
    for _ in range(2):
        await model(chat)
    await model(pool())
    model.close()
    assert len(said) == 1
    assert said[0].startswith("prm:qwen was trained on maths, and this prompt looks like chat")


def bench_file(path: Path) -> Path:
    """Six solutions in ProcessBench's columns, some of whose steps hold blank lines."""
    rows = []
    for number in range(6):
        steps = [f"Step {place}: {number} + {place} = {number + place}.\n\nSo far." for place in range(1, 4)]
        label = (-1, 0, 1)[number % 3]
        rows.append(
            {"id": f"gsm8k-{number}", "problem": f"{PROBLEM} ({number})", "steps": steps, "label": label,
             "generator": "g", "final_answer_correct": label == -1}
        )  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.01])
def test_benchmarks_of_steps_are_measured_by_the_threshold(folder: Path, tmp_path: Path, threshold: float) -> None:
    data = bench_file(tmp_path / "processbench.jsonl")
    found = bon.evaluate(data, f"prm:{folder}?device=cpu&threshold={threshold}")
    flawed = found.row("accuracy, flawed", subset="gsm8k").value
    flawless = found.row("accuracy, flawless", subset="gsm8k").value
    f1 = found.row("f1", subset="gsm8k").value
    assert flawed is not None
    assert flawless is not None
    if threshold == 0.0:
        assert (flawed, flawless, f1) == (0.0, 1.0, 0.0), "no step is below it: no error is found"
    elif threshold > 1:
        assert (flawed, flawless, f1) == (0.5, 0.0, 0.0), "every first step is below it"
    else:
        assert f1 == pytest.approx(2 * flawed * flawless / (flawed + flawless) if flawed + flawless else 0.0)
    assert found.row("f1", subset="gsm8k").unscored == 0


async def test_best_of_n_with_a_process_reward_model(folder: Path) -> None:
    from bon.testing import Scripted

    with bon.scorer(f"prm:{folder}", device="cpu", aggregate="last") as scorer:
        best = await bon.abest_of_n(PROBLEM, n=3, generator=Scripted([TEXT, STEPS[0], STEPS[2]]), scorer=scorer)
        scores = best.pool.scores[scorer.name]
    values = [score.value for score in scores]
    assert best.text == best.pool.candidates[values.index(max(v for v in values if v is not None))].text
    assert [len(score.steps or ()) for score in scores] == [3, 1, 1]
