"""The scorer `rm:`: what it loads and refuses, what it says of candidates it cannot score, and how it lets go."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the torch extra is not installed")

from reward_checkpoints import (  # noqa: E402
    ANSWERS,
    CHATML,
    CHATML_TEMPLATE,
    DEBERTA,
    LLAMA3,
    LLAMA3_TEMPLATE,
    QUESTION,
    SIZES,
    backbone_of,
    linear,
    llama3_text,
    prefixed,
    save,
    stated,
    states_of,
    tokenizer_of,
)
from transformers import DebertaV2Config, LlamaConfig, Qwen2Config  # noqa: E402

import bon  # noqa: E402
from bon.errors import ModelError  # noqa: E402
from bon.models.heads import make_head, save_head  # noqa: E402
from bon.models.own import Manifest, write_manifest  # noqa: E402
from bon.score.reward import Options, RewardModel  # noqa: E402
from bon.testing import check_scorer  # noqa: E402
from bon.testing.checkpoints import save_tiny_model  # noqa: E402
from bon.types import Candidate, Pool, Prompt, Score, as_messages  # noqa: E402


def pool(*answers: str, question: str = QUESTION, id: str = "p") -> Pool:  # noqa: A002
    candidates = tuple(Candidate(index=i, text=text) for i, text in enumerate(answers or ANSWERS))
    return Pool(prompt=Prompt(id=id, messages=as_messages(question)), candidates=candidates)


def model_of(folder: Path, said: list[str] | None = None, **options: Any) -> RewardModel:
    lines = [] if said is None else said
    return RewardModel(folder, options=Options(device="cpu", **options), say=lines.append)


async def scored(folder: Path, *answers: str, **options: Any) -> list[Score]:
    model = model_of(folder, **options)
    try:
        return list(await model(pool(*answers)))
    finally:
        model.close()


def llama_tokenizer() -> Any:
    return tokenizer_of(LLAMA3, template=LLAMA3_TEMPLATE, bos="<|begin_of_text|>", pad="[PAD]", eos_token="<|eot_id|>")


def llama_model(**more: Any) -> Any:
    size = {"vocab_size": 400, "max_position_embeddings": 96, "pad_token_id": 4} | SIZES | more
    return backbone_of(LlamaConfig(**size))


def save_llama(folder: Path, **more: Any) -> Any:
    """A small Skywork-like reward model; returns its backbone and head."""
    model, head = llama_model(**more), linear(1, int(more.get("hidden_size", 32)), bias=False)
    tensors = prefixed(model, "model.") | {"score.weight": head.weight}
    save(folder, tensors, stated(model, "LlamaForSequenceClassification", num_labels=1), llama_tokenizer())
    return model, head


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    save_llama(folder)
    return folder


@pytest.fixture
def model(llama: Path) -> Iterator[RewardModel]:
    made = model_of(llama)
    yield made
    made.close()


# --- design.md, section 5 ----------------------------------------------------------------------------------------


async def test_the_score_of_an_answer_hangs_on_no_other_answer_and_on_no_order(model: RewardModel) -> None:
    together = [score.value for score in await model(pool())]
    alone = [(await model(pool(answer)))[0].value for answer in ANSWERS]
    turned = [score.value for score in await model(pool(*ANSWERS[::-1]))][::-1]
    assert together == pytest.approx(alone, abs=1e-4)
    assert together == pytest.approx(turned, abs=1e-4)
    assert len({round(value or 0, 4) for value in together}) == len(ANSWERS)


@pytest.mark.parametrize("side", ["left", "right"])
async def test_the_padding_side_of_the_tokenizer_changes_nothing(
    llama: Path, model: RewardModel, tmp_path: Path, side: str
) -> None:
    for file in llama.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    stated_ = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**stated_, "padding_side": side}))
    answers = (*ANSWERS, "x", "A much longer answer than the others, so that the others need padding. " * 2)
    here = [score.value for score in await scored(tmp_path, *answers)]
    there = [(await model(pool(answer)))[0].value for answer in answers]
    assert here == pytest.approx(there, abs=1e-4)


async def test_a_chat_has_one_bos(llama: Path, model: RewardModel) -> None:
    backbone, head = llama_model(), linear(1, 32, bias=False)
    tokenizer = llama_tokenizer()
    doubled = tokenizer(llama3_text(ANSWERS[0]))["input_ids"]  # its template writes one, and the tokenizer another
    assert doubled[:2] == [0, 0]
    with torch.no_grad():
        right, wrong = (float(head(states_of(backbone, ids)[-1])) for ids in (doubled[1:], doubled))
    [score] = await model(pool(ANSWERS[0]))
    assert score.value == pytest.approx(right, abs=1e-4)
    assert score.value != pytest.approx(wrong, abs=1e-3)


async def test_a_candidate_that_is_too_long_has_no_score_and_the_others_have(model: RewardModel) -> None:
    short, long = await model(pool("Short.", "word " * 200))
    assert short.value is not None
    assert long.value is None
    assert "tokens, and rm:" in long.reason
    assert "reads 96 at most" in long.reason
    assert "max_tokens" in long.reason


async def test_max_length_is_a_limit_too(llama: Path) -> None:
    [short] = await scored(llama, ANSWERS[0], max_length=10)
    assert short.value is None
    assert "reads 10 at most" in short.reason
    with pytest.raises(ModelError, match="max_length is how many tokens"):
        await scored(llama, ANSWERS[0], max_length=0)


# --- what has no score -------------------------------------------------------------------------------------------


async def test_an_answer_that_only_calls_tools_has_no_score(model: RewardModel) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    made = pool("An answer.", "")
    candidates = (made.candidates[0], Candidate(index=1, text="", tool_calls=(call,)), Candidate(index=2, text=""))
    text, tool, empty = await model(Pool(prompt=made.prompt, candidates=candidates))
    assert text.value is not None
    assert (tool.value, tool.reason) == (None, "tool calls without text")
    assert empty.value is not None  # an empty answer is an answer


async def test_a_chat_that_cannot_be_read_is_a_failure_of_the_candidate(model: RewardModel) -> None:
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}
    [score] = await model(Pool(prompt=Prompt(id="p", messages=(image,)), candidates=pool("A").candidates))
    assert score.value is None
    assert score.reason.startswith("ScoreError: a reward model reads text")


async def test_what_is_no_number_is_no_score(tmp_path: Path) -> None:
    backbone = llama_model()
    tensors = prefixed(backbone, "model.") | {"score.weight": torch.full((1, 32), float("inf"))}
    save(tmp_path, tensors, stated(backbone, "LlamaForSequenceClassification", num_labels=1), llama_tokenizer())
    [score] = await scored(tmp_path, ANSWERS[0])
    assert score.value is None
    assert "dtype may be too narrow" in score.reason


async def test_half_a_surrogate_pair_is_scored(model: RewardModel) -> None:
    broken, mark = await model(pool("Cut \ud83d", "Cut ?"))
    assert broken.value == pytest.approx(mark.value, abs=1e-4)


# --- what is refused ---------------------------------------------------------------------------------------------


class _Touch:
    """A pickle of it creates a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "regression_layer.pt"])
async def test_no_pickle_is_read(tmp_path: Path, name: str) -> None:
    folder, trace = tmp_path / "model", tmp_path / "touched"
    save_llama(folder)
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(_Touch(trace)))
    with pytest.raises(ModelError, match=r"no .safetensors file, and pickled weights can run code"):
        await scored(folder)
    assert not trace.exists()
    pickle.loads((folder / name).read_bytes())  # it would have
    assert trace.exists()


async def test_code_that_lies_in_the_folder_does_not_run(tmp_path: Path) -> None:
    folder, trace = tmp_path / "model", tmp_path / "touched"
    save_llama(folder)
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "modeling_evil.Evil", "AutoConfig": "modeling_evil.Config"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "modeling_evil.py").write_text(f"import pathlib; pathlib.Path({str(trace)!r}).touch()")
    assert all(score.value is not None for score in await scored(folder))
    assert not trace.exists()


async def test_a_language_model_has_no_head_and_says_what_it_is_for(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path, "qwen2")
    with pytest.raises(ModelError, match=r"Qwen2ForCausalLM\) without a head.*hf:.*judge:.*bon train rm"):
        await scored(folder)


async def test_a_process_reward_model_is_named_prm(tmp_path: Path) -> None:
    config = {"architectures": ["Qwen2ForProcessRewardModel"], "model_type": "qwen2"}
    backbone = backbone_of(Qwen2Config(vocab_size=400, **SIZES))
    save(tmp_path, prefixed(backbone, "model."), config, llama_tokenizer())
    with pytest.raises(ModelError, match=r"is a process reward model .*name it prm:"):
        await scored(tmp_path)


async def test_folders_that_are_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model folder"):
        await scored(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"no config\.json"):
        await scored(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"extra.weight": torch.zeros(3)}, r"left over \(extra.weight\)"), ({"model.norm.weight": None}, "missing")],
)
async def test_every_tensor_is_accounted_for(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    backbone, head = llama_model(), linear(1, 32, bias=False)
    tensors = {**prefixed(backbone, "model."), "score.weight": head.weight, **change}
    known = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    save(tmp_path, known, stated(backbone, "LlamaForSequenceClassification", num_labels=1), llama_tokenizer())
    with pytest.raises(ModelError, match=said):
        await scored(tmp_path)


async def test_a_model_that_cannot_be_loaded_is_tried_once(tmp_path: Path) -> None:
    save_llama(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0notjson!")
    model = model_of(tmp_path)
    results = await asyncio.gather(*(model(pool(id=str(i))) for i in range(5)), return_exceptions=True)
    assert all(isinstance(result, ModelError) and "no whole safetensors file" in str(result) for result in results)
    assert len({id(result) for result in results}) == 1
    model.close()


# --- what is said, and how it works in a run ---------------------------------------------------------------------


async def test_a_model_for_chat_warns_once_about_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "OpenAssistant" / "reward-model-deberta-v3-large-v2"
    size = {key: SIZES[key] for key in SIZES if key != "num_key_value_heads"}
    config = DebertaV2Config(vocab_size=400, max_position_embeddings=96, type_vocab_size=0, num_labels=1, **size)
    backbone, pooler, head = backbone_of(config), linear(32, 32), linear(1, 32)
    tensors = prefixed(backbone, "deberta.")
    tensors |= {f"pooler.dense.{name}": tensor for name, tensor in pooler.state_dict().items()}
    tensors |= {f"classifier.{name}": tensor for name, tensor in head.state_dict().items()}
    tokenizer = tokenizer_of(DEBERTA, pad="[PAD]", cls_token="[CLS]", sep_token="[SEP]")
    save(folder, tensors, stated(backbone, "DebertaV2ForSequenceClassification"), tokenizer)
    monkeypatch.chdir(tmp_path)  # where the published id is a folder
    with bon.scorer("rm:deberta", device="cpu") as built:
        assert built.name == "rm:deberta"
        for question in (QUESTION, "Write a Python function that sorts.", "Write a Python program.", "Solve 2x = 4."):
            assert all(score.value is not None for score in await built(pool(question=question)))
    warnings = [line for line in capsys.readouterr().err.splitlines() if "was trained on" in line]
    assert len(warnings) == 1
    assert "trained on chat, and this prompt looks like code" in warnings[0]


async def test_prompts_that_wait_together_are_scored_as_they_are_alone(llama: Path, model: RewardModel) -> None:
    questions = [f"Question number {i}: why is the sky blue?" for i in range(8)]
    alone = [[s.value for s in await model(pool(question=question))] for question in questions]
    fresh = model_of(llama)
    together = await asyncio.gather(*(fresh(pool(question=q, id=q)) for q in questions))
    fresh.close()
    assert [[s.value for s in scores] for scores in together] == [pytest.approx(v, abs=1e-4) for v in alone]


async def test_it_is_a_scorer_as_every_other(model: RewardModel) -> None:
    await check_scorer(model, pool=pool(), tolerance=1e-4)


async def test_tokens_and_seconds_are_said_and_no_call_is_paid(model: RewardModel) -> None:
    scores = await model(pool())
    for answer, score in zip(ANSWERS, scores, strict=True):
        tokens = len(llama_tokenizer()(llama3_text(answer), add_special_tokens=False)["input_ids"])
        assert score.usage is not None
        assert score.usage.prompt_tokens == tokens
        assert score.paid_calls == 0
        assert score.seconds is not None


async def test_a_closed_model_says_so_and_closing_twice_is_fine(llama: Path) -> None:
    model = model_of(llama)
    await model(pool())
    model.close()
    model.close()
    with pytest.raises(ModelError, match="is closed"):
        await model(pool())


def test_identity_is_of_the_files_and_of_what_changes_a_score(llama: Path) -> None:
    one, same = model_of(llama), model_of(llama)
    assert one.identity == same.identity
    assert one.identity != model_of(llama, dtype="bfloat16").identity
    assert one.identity != model_of(llama, max_length=10).identity
    assert RewardModel("armo").identity == RewardModel("RLHFlow/ArmoRM-Llama3-8B-v0.1").identity


def test_who_compares_is_known_before_anything_is_loaded(llama: Path) -> None:
    assert model_of(llama).pointwise
    assert RewardModel("nobody/knows").pointwise
    assert not RewardModel("llm-blender/PairRM-hf").pointwise
    assert not RewardModel("nobody/knows", family="pairrm").pointwise


async def test_a_template_of_yours_is_used(llama: Path, tmp_path: Path) -> None:
    (tmp_path / "bare.jinja").write_text("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")
    [score] = await scored(llama, ANSWERS[0], template=str(tmp_path / "bare.jinja"))
    ids = llama_tokenizer()(f"user: {QUESTION}\nassistant: {ANSWERS[0]}\n", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        expected = float(linear(1, 32, bias=False)(states_of(llama_model(), ids)[-1]))
    assert score.value == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("kind", "adapted"), [("linear", "full"), ("mlp", "full"), ("linear", "head")])
async def test_a_model_that_bon_trained(tmp_path: Path, kind: Any, adapted: Any) -> None:
    tokenizer = tokenizer_of(CHATML, template=CHATML_TEMPLATE, pad="<|endoftext|>", eos_token="<|im_end|>")
    backbone = backbone_of(Qwen2Config(vocab_size=400, max_position_embeddings=96, **SIZES))
    torch.manual_seed(3)
    head = make_head(kind, size=32).eval()
    base = tmp_path / "base" if adapted == "head" else tmp_path  # a head alone lies beside nothing
    backbone.save_pretrained(base)
    tokenizer.save_pretrained(str(base))
    save_head(tmp_path / "head.safetensors", head)
    write_manifest(tmp_path, Manifest(kind="rm", base=str(base), adapted=adapted, head=kind, max_length=80))
    expected = []
    for answer in ANSWERS:
        text = f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n"
        with torch.no_grad():
            states = states_of(backbone, tokenizer(text, add_special_tokens=False)["input_ids"])
            expected.append(float(head(states[-1])))
    assert [score.value for score in await scored(tmp_path)] == pytest.approx(expected, abs=1e-4)
    [long] = await scored(tmp_path, "word " * 40)
    assert "reads 80 at most" in long.reason


async def test_best_of_n_with_a_reward_model(llama: Path) -> None:
    async def draws(prompt: Prompt, n: int, *, start: int = 0) -> Any:
        for index in range(start, start + n):
            yield Candidate(index=index, text=ANSWERS[index % len(ANSWERS)])

    with bon.scorer(f"rm:{llama}", device="cpu") as scorer:
        expected = [score.value for score in await scorer(pool())]
        result = await bon.abest_of_n(QUESTION, n=3, generator=draws, scorer=scorer)
    best = max(range(3), key=lambda i: expected[i] or 0.0)
    assert result.text == ANSWERS[best]
    assert list(result.pool.values(scorer.name)) == pytest.approx(expected, abs=1e-4)
