"""Each format against a forward pass written here as its authors publish it: real tensor names, the public path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the torch extra is not installed")

from process_checkpoints import (  # noqa: E402
    PROBLEM,
    STEPS,
    SYSTEM,
    math_shepherd,
    own,
    qwen,
    rlhflow,
    skywork,
    trl,
)
from transformers import AutoModelForTokenClassification, AutoTokenizer  # noqa: E402

import bon  # noqa: E402
from bon.score.process.aggregate import AGGREGATES, aggregate, first_error  # noqa: E402
from bon.types import Candidate, Pool, Prompt, Score, as_messages  # noqa: E402

CLOSE = 1e-4
TEXT = "\n\n".join(STEPS)


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def pool(*texts: str, steps: Sequence[str] = (), messages: Any = PROBLEM) -> Pool:
    metadata = {"steps": list(steps)} if steps else {}
    prompt = Prompt(id="p", messages=as_messages(messages), metadata=metadata)
    return Pool(prompt=prompt, candidates=tuple(Candidate(index=i, text=text) for i, text in enumerate(texts)))


async def scored(folder: Path, asked: Pool, **options: Any) -> Sequence[Score]:
    with bon.scorer(f"prm:{folder}", device="cpu", **options) as scorer:
        return await scorer(asked)


async def steps_of(folder: Path, asked: Pool, **options: Any) -> list[float]:
    (score,) = await scored(folder, asked, **options)
    assert score.steps is not None, score.reason
    assert score.value == min(score.steps)
    assert score.parts["first_error"] == first_error(score.steps)
    return list(score.steps)


def hidden(model: Any, ids: Sequence[int]) -> Any:
    return model(input_ids=torch.tensor([list(ids)])).last_hidden_state[0]


def logits(model: Any, ids: Sequence[int]) -> Any:
    return model(input_ids=torch.tensor([list(ids)])).logits[0]


async def test_qwen_math_prm(tmp_path: Path) -> None:
    folder, model, head = qwen(tmp_path / "prm")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    chat = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": PROBLEM},
        {"role": "assistant", "content": "<extra_0>".join(STEPS) + "<extra_0>"},
    ]
    ids = tokenizer.encode(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=False))
    (end,) = tokenizer.encode("<extra_0>")
    probabilities = torch.softmax(head(hidden(model.model, ids)), dim=-1)[:, 1]
    wanted = [probabilities[place].item() for place, token in enumerate(ids) if token == end]
    assert len(wanted) == len(STEPS)
    assert max(wanted) - min(wanted) > 0.01
    assert await steps_of(folder, pool(TEXT)) == pytest.approx(wanted, abs=CLOSE)
    assert await steps_of(folder, pool("\n".join(STEPS), steps=STEPS)) == pytest.approx(wanted, abs=CLOSE)
    spoken = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": PROBLEM}]
    assert await steps_of(folder, pool(TEXT, messages=spoken)) == pytest.approx(wanted, abs=CLOSE)


async def test_math_shepherd(tmp_path: Path) -> None:
    folder, model = math_shepherd(tmp_path / "math-shepherd-mistral-7b-prm")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    candidate_tokens = tokenizer.encode("+ -")[1:]
    tag = tokenizer.encode("ки")[-1]
    assert tokenizer.convert_ids_to_tokens(candidate_tokens) == ["\u2581+", "\u2581-"]
    ids = tokenizer.encode(f"{PROBLEM} " + "\n".join(f"{step} ки" for step in STEPS))
    assert ids[0] == tokenizer.bos_token_id
    probabilities = logits(model, ids)[:, candidate_tokens].softmax(dim=-1)[:, 0]
    wanted = [probabilities[place].item() for place, token in enumerate(ids) if token == tag]
    assert len(wanted) == len(STEPS)
    assert await steps_of(folder, pool(TEXT)) == pytest.approx(wanted, abs=CLOSE)
    again = tmp_path / "renamed"
    folder.rename(again)
    assert await steps_of(again, pool(TEXT), family="math_shepherd") == pytest.approx(wanted, abs=CLOSE)


async def test_a_step_that_holds_the_tag_itself_makes_no_further_step(tmp_path: Path) -> None:
    folder, _ = math_shepherd(tmp_path / "shepherd")
    sly = ["Step 1: a ки\nb", "Step 2: Привет ки", "Step 3: </s> ки ки"]
    assert len(await steps_of(folder, pool("\n".join(sly), steps=sly))) == 3


@pytest.mark.parametrize("tied", [False, True])
async def test_rlhflow(tmp_path: Path, tied: bool) -> None:
    folder, model = rlhflow(tmp_path / "Llama3.1-8B-PRM-Deepseek-Data", tied=tied)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    plus, minus = tokenizer.encode("+")[-1], tokenizer.encode("-")[-1]
    conversation: list[dict[str, str]] = []
    wanted = []
    for place, step in enumerate(STEPS):
        content = f"{PROBLEM} {step}" if place == 0 else step
        conversation += [{"role": "user", "content": content}, {"role": "assistant", "content": "+"}]
        ids = tokenizer.encode(tokenizer.apply_chat_template(conversation, tokenize=False))
        assert (ids[-2], ids[-1]) == (plus, tokenizer.eos_token_id)
        wanted.append(logits(model, ids)[-3, [plus, minus]].softmax(dim=-1)[0].item())
    assert await steps_of(folder, pool(TEXT)) == pytest.approx(wanted, abs=CLOSE)


async def test_a_step_that_spells_a_turn_s_end_is_text(tmp_path: Path) -> None:
    folder, model = rlhflow(tmp_path / "PRM-Mistral-Data")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    sly = "a<|eot_id|>b"
    head, tail = tokenizer.apply_chat_template([{"role": "user", "content": "@"}], tokenize=False).split("@")
    tail += "<|start_header_id|>assistant<|end_header_id|>\n\n"
    content = tokenizer.encode(f"{PROBLEM} {sly}", split_special_tokens=True)
    ids = tokenizer.encode(head) + content + tokenizer.encode(tail)
    plus, minus = tokenizer.encode("+")[-1], tokenizer.encode("-")[-1]
    wanted = logits(model, ids)[-1, [plus, minus]].softmax(dim=-1)[0].item()
    assert await steps_of(folder, pool(sly)) == pytest.approx([wanted], abs=CLOSE)


async def test_skywork_open_prm(tmp_path: Path) -> None:
    folder, model, head = skywork(tmp_path / "prm")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    newline = tokenizer.encode("\n")[-1]
    ids = tokenizer.encode(tokenizer.bos_token + PROBLEM + "\n")
    flags = []
    for line in TEXT.split("\n"):
        ids += [*(tokenizer.encode(line) if line else []), newline]
        flags.append((len(ids) - 1, line))
    values = torch.sigmoid(head(hidden(model.model, ids)))[:, 0]
    lines = [values[place].item() for place, line in flags if line]
    assert len(lines) == 4, "one step has two lines"
    assert await steps_of(folder, pool(TEXT)) == pytest.approx(lines, abs=CLOSE)
    of_steps = [lines[0], lines[2], lines[3]]
    assert await steps_of(folder, pool(TEXT, steps=STEPS)) == pytest.approx(of_steps, abs=CLOSE)
    assert await steps_of(folder, pool(TEXT), steps="blank") == pytest.approx(of_steps, abs=CLOSE)


async def test_trl(tmp_path: Path) -> None:
    folder, _ = trl(tmp_path / "prm")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForTokenClassification.from_pretrained(folder).eval()
    ids = [tokenizer.bos_token_id, *tokenizer(PROBLEM, add_special_tokens=False)["input_ids"]]
    wanted = []
    for step in STEPS:
        ids += tokenizer(step, add_special_tokens=False)["input_ids"]
        ids += tokenizer.encode("\n", add_special_tokens=False)
        wanted.append(logits(model, ids)[-1].softmax(dim=-1)[1].item())
    assert await steps_of(folder, pool(TEXT)) == pytest.approx(wanted, abs=CLOSE)


@pytest.mark.parametrize(
    ("loss", "head", "separator"),
    [("ce", "mlp", None), ("ce", "linear", "<extra_0>"), ("bce", "linear", "\n"), ("mse", "mlp", "\n\n")],
)
async def test_our_own(tmp_path: Path, loss: str, head: str, separator: str | None) -> None:
    folder, model, network = own(tmp_path / "prm", loss=loss, head=head, separator=separator)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    chat = [{"role": "user", "content": PROBLEM}]
    ids = tokenizer.encode(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))
    wanted = []
    for step in STEPS:
        ids += tokenizer.encode(step) + tokenizer.encode(separator or "\n\n")
        outputs = network(hidden(model, ids)[-1])
        read = {"ce": lambda o: o.softmax(-1)[1], "bce": lambda o: o[0].sigmoid(), "mse": lambda o: o[0]}[loss]
        wanted.append(read(outputs).item())
    assert await steps_of(folder, pool(TEXT)) == pytest.approx(wanted, abs=CLOSE)


@pytest.mark.parametrize("family", ["qwen", "shepherd", "prm-deepseek-data", "skywork", "own"])
async def test_scores_do_not_hang_on_what_is_read_beside_them(tmp_path: Path, family: str) -> None:
    build: Any = {"qwen": qwen, "shepherd": math_shepherd, "prm-deepseek-data": rlhflow, "skywork": skywork, "own": own}
    folder = build[family](tmp_path / family)[0]
    texts = [TEXT, STEPS[0], "\n\n".join(STEPS[:2]), TEXT + "\n\nStep 4: Done.", "x"]
    with bon.scorer(f"prm:{folder}", device="cpu", tokens=300) as scorer:
        alone = [list((await scorer(pool(text)))[0].steps or ()) for text in texts]
        for order in ([0, 1, 2, 3, 4], [4, 2, 0, 3, 1]):
            together = await scorer(pool(*[texts[place] for place in order]))
            for place, score in zip(order, together, strict=True):
                assert list(score.steps or ()) == pytest.approx(alone[place], abs=CLOSE)
    assert alone[2] == pytest.approx(alone[0][: len(alone[2])], abs=CLOSE), "a step's score does not hang on the next"


@pytest.mark.parametrize("build", [qwen, math_shepherd, rlhflow, skywork, trl, own])
async def test_half_a_surrogate_pair_is_read(tmp_path: Path, build: Any) -> None:
    folder = build(tmp_path / "shepherd-prm-mistral-data")[0]
    family = {math_shepherd: "math_shepherd", rlhflow: "rlhflow"}.get(build)
    asked = pool("a \ud800\n\nb", messages="Why \udfff?", steps=["a \ud800", "b"])
    assert len(await steps_of(folder, asked, **({"family": family} if family else {}))) == 2


async def test_every_aggregate_is_a_part_and_any_is_the_value(tmp_path: Path) -> None:
    folder, *_ = qwen(tmp_path / "prm")
    (score,) = await scored(folder, pool(TEXT), aggregate="prod", threshold=0.2)
    assert score.steps is not None
    assert score.value == score.parts["prod"]
    assert score.parts == {
        **{how: aggregate(score.steps, how) for how in AGGREGATES},
        "first_error": first_error(score.steps, 0.2),
    }
    assert score.usage is not None
    assert score.usage.prompt_tokens > 50
    assert score.paid_calls == 0
