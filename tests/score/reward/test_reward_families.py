"""Each family against a forward pass written here by hand: real tensor names, loaded through the public path."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the torch extra is not installed")

from reward_checkpoints import (  # noqa: E402
    ANSWERS,
    CHATML,
    CHATML_TEMPLATE,
    DEBERTA,
    GEMMA,
    GEMMA_TEMPLATE,
    INTERNLM,
    LLAMA3,
    LLAMA3_TEMPLATE,
    QUESTION,
    SIZES,
    backbone_of,
    chatml_text,
    gemma_text,
    linear,
    llama3_text,
    prefixed,
    save,
    stated,
    states_of,
    tokenizer_of,
)
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    Gemma2Config,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    ModernBertConfig,
    Qwen2Config,
    Qwen3Config,
    RobertaConfig,
)

import bon  # noqa: E402
from bon.models.loading import quiet  # noqa: E402
from bon.score.reward.gating import OBJECTIVES  # noqa: E402
from bon.testing.checkpoints import save_tiny_model  # noqa: E402
from bon.types import Candidate, Pool, Prompt, Score, as_messages  # noqa: E402

CLOSE = 1e-4


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def pool(*answers: str, question: str = QUESTION) -> Pool:
    candidates = tuple(Candidate(index=i, text=text) for i, text in enumerate(answers or ANSWERS))
    return Pool(prompt=Prompt(id="p", messages=as_messages(question)), candidates=candidates)


async def scored(folder: Path, *answers: str, **options: Any) -> Sequence[Score]:
    with bon.scorer(f"rm:{folder}", device="cpu", **options) as scorer:
        return await scorer(pool(*answers))


def values(scores: Sequence[Score]) -> list[float]:
    assert all(score.value is not None for score in scores), [score.reason for score in scores]
    return [score.value for score in scores if score.value is not None]


def llama(**more: Any) -> Any:
    tokenizer = llama3()
    return backbone_of(
        LlamaConfig(vocab_size=len(tokenizer), pad_token_id=4, max_position_embeddings=256, **SIZES, **more)
    )


def llama3() -> Any:
    return tokenizer_of(LLAMA3, template=LLAMA3_TEMPLATE, bos="<|begin_of_text|>", pad="[PAD]", eos_token="<|eot_id|>")


def chatml() -> Any:
    return tokenizer_of(CHATML, template=CHATML_TEMPLATE, pad="<|endoftext|>", eos_token="<|im_end|>")


def gemma() -> Any:
    return tokenizer_of(GEMMA, template=GEMMA_TEMPLATE, bos="<bos>", pad="<pad>", eos_token="<end_of_turn>")


def encoded(tokenizer: Any, text: str) -> list[int]:
    found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return found


# --- one logit ---------------------------------------------------------------------------------------------------


def decoder(kind: str) -> tuple[Any, Any, Any, str]:
    """A backbone, its tokenizer, how it writes a chat, and the prefix it has under a head."""
    size = {"vocab_size": 400, "max_position_embeddings": 256}
    match kind:
        case "llama":
            return llama(), llama3(), llama3_text, "model."
        case "qwen2":
            return backbone_of(Qwen2Config(**size, pad_token_id=0, **SIZES)), chatml(), chatml_text, "model."
        case "qwen3":
            config = Qwen3Config(**size, pad_token_id=0, head_dim=8, **SIZES)
            return backbone_of(config), chatml(), chatml_text, "model."
        case "gemma2":
            config = Gemma2Config(**size, pad_token_id=3, head_dim=8, sliding_window=16, **SIZES)
            return backbone_of(config), gemma(), gemma_text, "model."
        case "mistral":
            config = MistralConfig(**size, pad_token_id=0, sliding_window=16, **SIZES)
            return backbone_of(config), chatml(), chatml_text, "model."
        case "gpt2":
            config = GPT2Config(vocab_size=400, n_positions=256, n_embd=32, n_layer=2, n_head=4, pad_token_id=0)
            return backbone_of(config), chatml(), chatml_text, "transformer."
    raise AssertionError(kind)


DECODERS = ("llama", "qwen2", "qwen3", "gemma2", "mistral", "gpt2")


@pytest.mark.parametrize("kind", DECODERS)
async def test_a_sequence_classifier_is_scored_at_its_last_token(tmp_path: Path, kind: str) -> None:
    model, tokenizer, text, prefix = decoder(kind)
    head = linear(1, 32, bias=False)
    names = {
        "llama": "Llama",
        "qwen2": "Qwen2",
        "qwen3": "Qwen3",
        "gemma2": "Gemma2",
        "mistral": "Mistral",
        "gpt2": "GPT2",
    }
    config = stated(model, f"{names[kind]}ForSequenceClassification", num_labels=1)
    folder = save(tmp_path, prefixed(model, prefix) | {"score.weight": head.weight}, config, tokenizer, shards=3)
    expected = [float(head(states_of(model, encoded(tokenizer, text(answer)))[-1])) for answer in ANSWERS]
    assert values(await scored(folder)) == pytest.approx(expected, abs=CLOSE)

    theirs = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1).eval()
    with torch.no_grad():  # the class that they publish says the same
        ids = torch.tensor([encoded(tokenizer, text(ANSWERS[0]))])
        assert float(theirs(ids).logits) == pytest.approx(expected[0], abs=CLOSE)


@pytest.mark.parametrize("root", ["v_head.summary", "v_head", "regression_head"])
async def test_value_heads_under_other_names(tmp_path: Path, root: str) -> None:
    model, tokenizer, head = llama(), llama3(), linear(1, 32)
    tensors = {f"{root}.weight": head.weight, f"{root}.bias": head.bias}
    folder = save(tmp_path, prefixed(model, "model.") | tensors, stated(model, "GRewardModel"), tokenizer)
    expected = [float(head(states_of(model, encoded(tokenizer, llama3_text(a)))[-1])) for a in ANSWERS]
    assert values(await scored(folder)) == pytest.approx(expected, abs=CLOSE)


async def test_athene_is_read_at_its_own_token_after_the_chat(tmp_path: Path) -> None:
    model, head = llama(), linear(1, 32, bias=False)
    tokenizer = tokenizer_of(
        LLAMA3, template=LLAMA3_TEMPLATE, bos="<|begin_of_text|>", pad="[PAD]", eos_token="<|eot_id|>"
    )
    tokenizer.cls_token = "<|reserved_special_token_1|>"
    config = stated(model, "CustomAutoModelForSequenceClassification")
    folder = save(tmp_path, prefixed(model, "model.") | {"v_head.weight": head.weight}, config, tokenizer)
    with pytest.raises(bon.errors.ModelError, match=r"makes the token (\d+), and the model has \1:"):
        await scored(folder)  # a token that was added and never trained
    tokenizer.cls_token = "<|start_header_id|>"  # as good as any: it stands after the chat, where none is
    tokenizer.save_pretrained(str(folder))
    ids = [[*encoded(tokenizer, llama3_text(a)), 1] for a in ANSWERS]
    expected = [float(head(states_of(model, row)[-1])) for row in ids]
    assert values(await scored(folder)) == pytest.approx(expected, abs=CLOSE)


@pytest.mark.parametrize(
    ("root", "architecture"), [("score", "INFORMForSequenceClassification"), ("v_head.summary", "GRewardModel")]
)
async def test_a_deep_head_has_relu_between_its_layers(tmp_path: Path, root: str, architecture: str) -> None:
    model, tokenizer = llama(), llama3()
    head = nn.Sequential(linear(20, 32), nn.ReLU(), linear(1, 20, seed=2))
    tensors = {f"{root}.{name}": tensor for name, tensor in head.state_dict().items()}
    assert set(tensors) == {f"{root}.{name}" for name in ("0.weight", "0.bias", "2.weight", "2.bias")}
    folder = save(tmp_path, prefixed(model, "model.") | tensors, stated(model, architecture), tokenizer)
    expected = [float(head(states_of(model, encoded(tokenizer, llama3_text(a)))[-1])) for a in ANSWERS]
    assert values(await scored(folder)) == pytest.approx(expected, abs=CLOSE)


async def test_a_language_head_that_lies_beside_the_reward_is_no_leftover(tmp_path: Path) -> None:
    model, tokenizer, text, prefix = decoder("qwen2")  # as Qwen2.5-Math-RM-72B keeps one
    head = nn.Sequential(linear(32, 32), nn.ReLU(), linear(1, 32, seed=2))
    tensors = {f"score.{name}": tensor for name, tensor in head.state_dict().items()}
    tensors["lm_head.weight"] = torch.zeros(400, 32)
    config = stated(model, "Qwen2ForRewardModel", model_type="qwen2")
    folder = save(tmp_path, prefixed(model, prefix) | tensors, config, tokenizer)
    expected = [float(head(states_of(model, encoded(tokenizer, text(a)))[-1])) for a in ANSWERS]
    assert values(await scored(folder)) == pytest.approx(expected, abs=CLOSE)


async def test_open_assistants_gpt_neox(tmp_path: Path) -> None:
    tokenizer, head = chatml(), linear(1, 32)
    model = backbone_of(
        GPTNeoXConfig(
            vocab_size=400,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=256,
        )
    )
    config = stated(model, "GPTNeoXRewardModel", model_type="gpt_neox_reward_model", pooling="last")
    tensors = {"out_proj.weight": head.weight, "out_proj.bias": head.bias}
    folder = save(tmp_path, prefixed(model, "gpt_neox.") | tensors, config, tokenizer)
    expected = [float(head(states_of(model, encoded(tokenizer, chatml_text(a)))[-1])) for a in ANSWERS]
    assert values(await scored(folder)) == pytest.approx(expected, abs=CLOSE)


async def test_padding_that_is_the_end_of_text_is_scored_where_transformers_scores_it(tmp_path: Path) -> None:
    model, head = llama(), linear(1, 32, bias=False)
    tokenizer = llama3()
    model.config.pad_token_id = 3  # <|eot_id|>, with which the template ends
    config = stated(model, "LlamaForSequenceClassification", num_labels=1)
    folder = save(tmp_path, prefixed(model, "model.") | {"score.weight": head.weight}, config, tokenizer)
    theirs = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1).eval()
    with torch.no_grad():
        expected = [float(theirs(torch.tensor([encoded(tokenizer, llama3_text(a))])).logits) for a in ANSWERS]
    assert values(await scored(folder)) == pytest.approx(expected, abs=CLOSE)


async def test_a_lora_adapter_with_its_head_on_a_language_model(tmp_path: Path) -> None:
    import peft

    base = save_tiny_model(tmp_path / "base", "qwen2")  # with a language head, which has nothing to say
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type="SEQ_CLS")
    torch.manual_seed(0)
    theirs = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    theirs.config.pad_token_id = 0
    with quiet():
        adapted = peft.get_peft_model(theirs, config).eval()
    for name, weight in adapted.named_parameters():
        if "lora_B" in name or "score" in name:
            nn.init.normal_(weight, std=0.3)
    adapted.save_pretrained(str(tmp_path / "adapter"))
    tokenizer = AutoTokenizer.from_pretrained(base)
    chats = [[*as_messages(QUESTION), {"role": "assistant", "content": answer}] for answer in ANSWERS]
    texts = [tokenizer.apply_chat_template(chat, tokenize=False) for chat in chats]
    expected = [float(adapted(torch.tensor([encoded(tokenizer, text)])).logits) for text in texts]
    assert values(await scored(tmp_path / "adapter")) == pytest.approx(expected, abs=CLOSE)


# --- several outputs ---------------------------------------------------------------------------------------------


async def test_a_head_of_several_outputs_is_never_taken_for_one(tmp_path: Path) -> None:
    model, tokenizer, head = llama(), llama3(), linear(3, 32, bias=False)
    labels = {"0": "safe", "1": "helpful", "2": "short"}
    config = stated(model, "LlamaForSequenceClassification", id2label=labels)
    folder = save(tmp_path, prefixed(model, "model.") | {"score.weight": head.weight}, config, tokenizer)
    with pytest.raises(bon.errors.ModelError, match=r"a head of 3 outputs \(safe, helpful, short\)"):
        await scored(folder)
    states = [states_of(model, encoded(tokenizer, llama3_text(a)))[-1] for a in ANSWERS]
    for output, column in (("helpful", 1), (2, 2)):
        scores = await scored(folder, output=output)
        assert values(scores) == pytest.approx([float(head(s)[column]) for s in states], abs=CLOSE)
        assert list(scores[0].parts) == ["safe", "helpful", "short"]
    with pytest.raises(bon.errors.ModelError, match="has no output 'kind'"):
        await scored(folder, output="kind")


class Gate(nn.Module):
    """The gate of ArmoRM and QRM, as their files have it."""

    def __init__(self, outputs: int, *, normalised: bool, dropout: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 32
        for number in range(3):
            layers.append(linear(16, width, bias=not normalised, seed=10 + number))
            if normalised:
                norm = nn.BatchNorm1d(16)
                torch.manual_seed(20 + number)
                norm.running_mean, norm.running_var = torch.randn(16), torch.rand(16) + 0.5
                nn.init.normal_(norm.weight, mean=1.0)
                nn.init.normal_(norm.bias)
                layers += [nn.ReLU(), norm, *([nn.Dropout(0.2)] if dropout and number < 2 else [])]
            width = 16
        layers.append(linear(outputs, width, seed=13))
        self.layers = nn.ModuleList(layers)
        self.logit_scale = nn.Parameter(torch.tensor([1.7]))
        self.normalised = normalised

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if not self.normalised and number < len(self.layers) - 1:
                x = functional.relu(x)
        return functional.softmax(x / 10, dim=1) * self.logit_scale[0]


def gate_at(
    tokenizer: Any, ids: list[int], header: str = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
) -> int:
    pattern = encoded(tokenizer, header)
    return max(i for i in range(len(ids)) if ids[i : i + len(pattern)] == pattern)


async def test_armorm(tmp_path: Path) -> None:
    model, tokenizer, head = llama(), llama3(), linear(19, 32, bias=False)
    gate = Gate(19, normalised=False)
    torch.manual_seed(3)
    transform = torch.eye(19) - 0.1 * torch.rand(19, 19)
    tensors = {f"gating.{name}": tensor for name, tensor in gate.state_dict().items()}
    assert "gating.layers.3.weight" in tensors  # as the published index names them
    tensors |= {"regression_layer.weight": head.weight, "reward_transform_matrix": transform}
    config = stated(model, "LlamaForRewardModelWithGating", num_objectives=19, gating_temperature=10)
    folder = save(tmp_path, prefixed(model, "model.") | tensors, config, tokenizer, shards=2)
    scores = await scored(folder)
    for answer, score in zip(ANSWERS, scores, strict=True):
        ids = encoded(tokenizer, llama3_text(answer))
        states = states_of(model, ids)
        rewards = head(states[-1:])
        expected = (gate(states[gate_at(tokenizer, ids)][None]) * (rewards @ transform)).sum(dim=1)
        assert score.value == pytest.approx(float(expected), abs=CLOSE)
        assert list(score.parts) == list(OBJECTIVES)
        assert list(score.parts.values()) == pytest.approx(rewards[0].tolist(), abs=CLOSE)


async def test_the_gate_reads_the_last_prompt_of_a_longer_chat(tmp_path: Path) -> None:
    model, tokenizer, head = llama(), llama3(), linear(19, 32, bias=False)
    gate = Gate(19, normalised=False)
    tensors = {f"gating.{name}": tensor for name, tensor in gate.state_dict().items()}
    tensors |= {"regression_layer.weight": head.weight, "reward_transform_matrix": torch.eye(19)}
    folder = save(tmp_path, prefixed(model, "model.") | tensors, stated(model, "Armo"), tokenizer)
    chat = ({"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, *as_messages(QUESTION))
    ids = encoded(
        tokenizer, tokenizer.apply_chat_template([*chat, {"role": "assistant", "content": "X"}], tokenize=False)
    )
    states = states_of(model, ids)
    expected = (gate(states[gate_at(tokenizer, ids)][None]) * head(states[-1:])).sum()
    with bon.scorer(f"rm:{folder}", device="cpu") as scorer:
        [score] = await scorer(Pool(prompt=Prompt(id="p", messages=chat), candidates=pool("X").candidates))
    assert score.value == pytest.approx(float(expected), abs=CLOSE)


async def test_qrm(tmp_path: Path) -> None:
    model, tokenizer, head = llama(), llama3(), linear(19 * 5, 32, bias=False)
    gate = Gate(19, normalised=True).eval()
    torch.manual_seed(3)
    transform = torch.eye(19) - 0.1 * torch.rand(19, 19)
    tensors = {f"gating.{name}": tensor for name, tensor in gate.state_dict().items()}
    assert {"gating.layers.2.running_mean", "gating.layers.9.bias"} <= set(tensors)
    tensors |= {"regression_layer.weight": head.weight, "reward_transform_matrix": transform}
    config = stated(model, "LlamaForRewardModelWithGating", num_objectives=19, num_quantiles=5)
    folder = save(tmp_path, prefixed(model, "model.") | tensors, config, tokenizer)
    scores = await scored(folder)
    for answer, score in zip(ANSWERS, scores, strict=True):
        ids = encoded(tokenizer, llama3_text(answer))
        states = states_of(model, ids)
        expectation = head(states[-1:]).reshape(-1, 19, 5).mean(dim=2) @ transform
        expected = torch.sum(gate(states[gate_at(tokenizer, ids)][None]) * expectation, dim=1)
        assert score.value == pytest.approx(float(expected), abs=CLOSE)
        assert list(score.parts.values()) == pytest.approx(expectation[0].tolist(), abs=CLOSE)


async def test_qrm_on_gemma_2_has_five_objectives_and_dropout_in_its_gate(tmp_path: Path) -> None:
    model, tokenizer, text, _ = decoder("gemma2")
    head, gate = linear(5 * 19, 32, bias=False), Gate(5, normalised=True, dropout=True).eval()
    tensors = {f"gating.{name}": tensor for name, tensor in gate.state_dict().items()}
    linears = {"gating.layers.0.weight", "gating.layers.4.weight", "gating.layers.8.weight", "gating.layers.11.weight"}
    norms = {f"gating.layers.{i}.running_mean" for i in (2, 6, 10)}
    assert linears | norms | {"gating.layers.11.bias"} <= set(tensors)  # as the published index names them
    tensors |= {"regression_layer.weight": head.weight}
    config = stated(model, "Gemma2ForSequenceClassification", gating_temperature=10)
    folder = save(tmp_path, prefixed(model, "model.") | tensors, config, tokenizer)
    for answer, score in zip(ANSWERS, await scored(folder), strict=True):
        ids = encoded(tokenizer, text(answer))
        states = states_of(model, ids)
        prompt = gate_at(tokenizer, ids, "<end_of_turn>\n<start_of_turn>model\n")
        rewards = head(states[-1:]).reshape(-1, 5, 19).mean(dim=2)
        assert score.value == pytest.approx(float((gate(states[prompt][None]) * rewards).sum()), abs=CLOSE)
        assert list(score.parts) == list(OBJECTIVES[:5])


async def test_urm(tmp_path: Path) -> None:
    model, tokenizer, head = llama(), llama3(), linear(10, 32, bias=False)
    gate = nn.Sequential(linear(32, 32), nn.SELU(), linear(32, 32, seed=2), nn.SELU(), linear(5, 32, seed=3))
    tensors = {f"weights.fc.{name}": tensor for name, tensor in gate.state_dict().items()}
    assert {"weights.fc.0.weight", "weights.fc.2.bias", "weights.fc.4.weight"} <= set(tensors)
    tensors["score.weight"] = head.weight
    config = stated(model, "LlamaForSequenceClassificationWithNormal_Weights", num_labels=10)
    folder = save(tmp_path, prefixed(model, "model.") | tensors, config, tokenizer)
    for answer, score in zip(ANSWERS, await scored(folder), strict=True):
        state = states_of(model, encoded(tokenizer, llama3_text(answer)))[-1]
        outputs = head(state)
        means = torch.stack([outputs[0], outputs[2], outputs[4], outputs[6], outputs[8]])
        assert score.value == pytest.approx(float((gate(state) * means).sum()), abs=CLOSE)
        assert score.parts == pytest.approx(dict(zip(OBJECTIVES[:5], means.tolist(), strict=True)), abs=CLOSE)


def ldl_heads() -> tuple[Any, Any]:
    regression = nn.Sequential(
        linear(24, 32), nn.LeakyReLU(), linear(24, 24, seed=2), nn.LeakyReLU(), linear(220, 24, seed=3)
    )
    gating = nn.Sequential(
        linear(24, 32, seed=4), nn.LeakyReLU(), nn.Dropout(0.0),
        linear(24, 24, seed=5), nn.LeakyReLU(), nn.Dropout(0.0), linear(22, 24, seed=6),
    )  # fmt: skip
    return regression, gating.eval()


@pytest.mark.parametrize("softmax", [False, True])
async def test_ldl(tmp_path: Path, softmax: bool) -> None:
    from safetensors.torch import save_file

    model, tokenizer, text, _ = decoder("gemma2")
    regression, gating = ldl_heads()
    config = stated(model, "LDLRewardModel27B", num_objectives=220, temperature=2.0, softmax=softmax)
    folder = save(tmp_path, prefixed(model, "model."), config, tokenizer)
    for name, head in (("regression_layer", regression), ("gating_layer", gating)):
        save_file({f"network.{key}": value for key, value in head.state_dict().items()}, folder / f"{name}.safetensors")
    for answer, score in zip(ANSWERS, await scored(folder), strict=True):
        state = states_of(model, encoded(tokenizer, text(answer)))[-1:]
        rewards = functional.softmax(regression(state).view(1, -1, 10), dim=-1)
        weights = functional.softmax(gating(state) / 2.0, dim=1) if softmax else gating(state)
        total = torch.bmm(weights.unsqueeze(1), rewards).squeeze(1)
        assert score.value == pytest.approx(float((total * torch.linspace(0, 1, 10)).sum(-1)), abs=CLOSE)
        assert len(score.parts) == 22


async def test_ldl_as_published_is_refused_with_how_to_convert_it(tmp_path: Path) -> None:
    model, tokenizer, _, _ = decoder("gemma2")
    folder = save(tmp_path, prefixed(model, "model."), stated(model, "LDLRewardModel27B"), tokenizer)
    for name in ("regression_layer", "gating_layer"):
        torch.save({}, folder / f"{name}.pt")
    with pytest.raises(bon.errors.ModelError, match=r"regression_layer as a pickle.*weights_only=True"):
        await scored(folder)


# --- InternLM2 ---------------------------------------------------------------------------------------------------


class InternLM2(nn.Module):
    """A small InternLM2, by hand: `wqkv` holds each group's queries, key and value next to one another."""

    def __init__(self, vocabulary: int, *, groups: int = 2, heads: int = 4, size: int = 32) -> None:
        super().__init__()
        self.groups, self.heads, self.size = groups, heads, size
        torch.manual_seed(0)

        def weight(*shape: int) -> torch.Tensor:
            return torch.randn(*shape) * 0.25

        wide = size // heads * (heads + 2 * groups)
        self.tensors = {"model.tok_embeddings.weight": weight(vocabulary, size), "model.norm.weight": 1 + weight(size)}
        for layer in range(2):
            self.tensors |= {
                f"model.layers.{layer}.{name}": tensor
                for name, tensor in {
                    "attention.wqkv.weight": weight(wide, size),
                    "attention.wo.weight": weight(size, size),
                    "feed_forward.w1.weight": weight(48, size),
                    "feed_forward.w3.weight": weight(48, size),
                    "feed_forward.w2.weight": weight(size, 48),
                    "attention_norm.weight": 1 + weight(size),
                    "ffn_norm.weight": 1 + weight(size),
                }.items()
            }

    def norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return self.tensors[name] * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5)

    def turned(self, x: torch.Tensor) -> torch.Tensor:
        """Rotary positions, theta 1e6; `x` is `(heads, tokens, d)`."""
        d = x.shape[-1]
        angles = torch.arange(x.shape[1])[:, None] / 1e6 ** (torch.arange(0, d, 2) / d)
        cos, sin = (torch.cat([f(angles)] * 2, dim=-1) for f in (torch.cos, torch.sin))
        half = torch.cat([-x[..., d // 2 :], x[..., : d // 2]], dim=-1)
        return x * cos + half * sin

    def forward(self, ids: list[int]) -> torch.Tensor:
        shared, d = self.heads // self.groups, self.size // self.heads
        x = self.tensors["model.tok_embeddings.weight"][ids]
        mask = torch.full((len(ids), len(ids)), float("-inf")).triu(1)
        for layer in range(2):
            at = f"model.layers.{layer}"
            qkv = self.norm(x, f"{at}.attention_norm.weight") @ self.tensors[f"{at}.attention.wqkv.weight"].T
            qkv = qkv.view(len(ids), self.groups, shared + 2, d)
            out = []
            for group in range(self.groups):
                key = self.turned(qkv[None, :, group, -2])[0]
                for head in range(shared):
                    query = self.turned(qkv[None, :, group, head])[0]
                    weights = torch.softmax(query @ key.T / d**0.5 + mask, dim=-1)
                    out.append(weights @ qkv[:, group, -1])
            x = x + torch.cat(out, dim=-1) @ self.tensors[f"{at}.attention.wo.weight"].T
            y = self.norm(x, f"{at}.ffn_norm.weight")
            gate = functional.silu(y @ self.tensors[f"{at}.feed_forward.w1.weight"].T)
            inner = gate * (y @ self.tensors[f"{at}.feed_forward.w3.weight"].T)
            x = x + inner @ self.tensors[f"{at}.feed_forward.w2.weight"].T
        return self.norm(x, "model.norm.weight")


@pytest.mark.parametrize("ends_with_it", [False, True])
async def test_internlm2(tmp_path: Path, ends_with_it: bool) -> None:
    template = "{{ bos_token }}" + CHATML_TEMPLATE + ("<|reward|>" if ends_with_it else "")
    tokenizer = tokenizer_of(INTERNLM, template=template, bos="<s>", pad="</s>")
    model, head = InternLM2(len(tokenizer)), linear(1, 32, bias=False)
    config = {
        "architectures": ["InternLM2ForRewardModel"], "model_type": "internlm2", "vocab_size": len(tokenizer),
        "auto_map": {"AutoModel": "modeling_internlm2.InternLM2ForRewardModel"}, "bias": False, "hidden_act": "silu",
        "rope_theta": 1000000, "rope_scaling": {"type": "dynamic", "factor": 2.0}, "rms_norm_eps": 1e-5,
        "max_position_embeddings": 256, "reward_token_id": 3, "pad_token_id": 4, "bos_token_id": 0, **SIZES,
    }  # fmt: skip
    folder = save(tmp_path, model.tensors | {"v_head.weight": head.weight}, config, tokenizer)
    stated_ = json.loads((folder / "tokenizer_config.json").read_text())  # its tokenizer is code of the folder
    code = {"AutoTokenizer": ["tokenization_internlm2.InternLM2Tokenizer", None]}
    (folder / "tokenizer_config.json").write_text(
        json.dumps({**stated_, "tokenizer_class": "InternLM2Tokenizer", "auto_map": code})
    )
    expected = []
    for answer in ANSWERS:
        ids = [*encoded(tokenizer, "<s>" + chatml_text(answer)), 3]  # the reward token, once
        expected.append(float(head(model(ids)[-1])))
    assert values(await scored(folder)) == pytest.approx(expected, abs=CLOSE)


# --- encoders ----------------------------------------------------------------------------------------------------


def cls_tokenizer() -> Any:
    return tokenizer_of(DEBERTA, pad="[PAD]", cls_token="[CLS]", sep_token="[SEP]")


def encoder_config(kind: str, **more: Any) -> Any:
    size = {"vocab_size": 400, "max_position_embeddings": 128, "type_vocab_size": 2, "pad_token_id": 2}
    small = {key: SIZES[key] for key in SIZES if key != "num_key_value_heads"} | {"num_labels": 1, **more}
    match kind:
        case "deberta-v2":
            relative = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8}
            return DebertaV2Config(**{**size, "type_vocab_size": 0}, **small, **relative, position_biased_input=False)
        case "bert":
            return BertConfig(**size, **small)
        case "roberta":
            return RobertaConfig(**size, **small)
        case "electra":
            return ElectraConfig(**size, **small, embedding_size=16)
        case "distilbert":
            return DistilBertConfig(
                vocab_size=400, max_position_embeddings=128, dim=32, hidden_dim=48, n_layers=2, n_heads=4,
                pad_token_id=2,
                num_labels=1, **more,
            )  # fmt: skip
        case "modernbert":
            return ModernBertConfig(
                vocab_size=400, max_position_embeddings=128, pad_token_id=2, global_attn_every_n_layers=2,
                local_attention=16, cls_token_id=0, sep_token_id=1, bos_token_id=0, eos_token_id=1, **small,
            )  # fmt: skip
    raise AssertionError(kind)


@pytest.mark.parametrize("kind", ["deberta-v2", "bert", "roberta", "electra", "distilbert", "modernbert"])
async def test_an_encoder_says_what_its_own_class_says(tmp_path: Path, kind: str) -> None:
    tokenizer, config = cls_tokenizer(), encoder_config(kind)
    config.initializer_range = 0.25
    torch.manual_seed(0)
    theirs = AutoModelForSequenceClassification.from_config(config).eval()
    theirs.save_pretrained(tmp_path)
    tokenizer.save_pretrained(str(tmp_path))
    with torch.no_grad():
        expected = []
        for answer in ANSWERS:
            pair = tokenizer(QUESTION, answer, return_tensors="pt")
            known = pair if kind in ("bert", "electra") else {"input_ids": pair["input_ids"]}
            expected.append(float(theirs(**known).logits))
    assert values(await scored(tmp_path)) == pytest.approx(expected, abs=CLOSE)


async def test_deberta_by_hand(tmp_path: Path) -> None:
    tokenizer = cls_tokenizer()
    model = backbone_of(encoder_config("deberta-v2"))
    pooler, head = linear(32, 32), linear(1, 32, seed=2)
    tensors = {f"pooler.dense.{n}": t for n, t in pooler.state_dict().items()}
    tensors |= {f"classifier.{n}": t for n, t in head.state_dict().items()}
    config = stated(model, "DebertaV2ForSequenceClassification", pooler_hidden_act="gelu")
    folder = save(tmp_path, prefixed(model, "deberta.") | tensors, config, tokenizer)
    expected = []
    for answer in ANSWERS:
        ids = [0, *encoded(tokenizer, QUESTION), 1, *encoded(tokenizer, answer), 1]
        expected.append(float(head(functional.gelu(pooler(states_of(model, ids)[0])))))
    assert values(await scored(folder)) == pytest.approx(expected, abs=CLOSE)


async def test_modernbert_with_the_mean_of_all_tokens(tmp_path: Path) -> None:
    tokenizer = cls_tokenizer()
    config = encoder_config("modernbert", classifier_pooling="mean")
    torch.manual_seed(0)
    theirs = AutoModelForSequenceClassification.from_config(config).eval()
    theirs.save_pretrained(tmp_path)
    tokenizer.save_pretrained(str(tmp_path))
    with torch.no_grad():
        pairs = [tokenizer(QUESTION, answer, return_tensors="pt") for answer in ANSWERS]
        expected = [float(theirs(input_ids=pair["input_ids"]).logits) for pair in pairs]
    assert values(await scored(tmp_path)) == pytest.approx(expected, abs=CLOSE)


class PairRM(nn.Module):
    """PairRM's head, as its file has it."""

    def __init__(self) -> None:
        super().__init__()
        self.head_layer = nn.Sequential(
            nn.Dropout(0.05), linear(32, 64), nn.Tanh(), nn.Dropout(0.05), linear(2, 32, seed=2)
        )


async def test_pairrm(tmp_path: Path) -> None:
    tokenizer, model, pair = cls_tokenizer(), backbone_of(encoder_config("deberta-v2")), PairRM().eval()
    marks = {"source_prefix_id": 3, "cand_prefix_id": 4, "cand1_prefix_id": 5, "cand2_prefix_id": 6, "n_tasks": 2}
    tensors = prefixed(model, "pretrained_model.") | pair.state_dict()
    assert "head_layer.4.weight" in tensors
    folder = save(tmp_path, tensors, stated(model, "DebertaV2PairRM", **marks, drop_out=0.05), tokenizer)

    def compared(one: str, two: str) -> float:
        ids: list[int] = []
        for mark, text in ((3, QUESTION), (5, one), (6, two)):
            ids += [0, mark, *encoded(tokenizer, text), 1]
        states = states_of(model, ids)
        source, first, second = (states[ids.index(mark)] for mark in (3, 5, 6))
        left, right = (pair.head_layer(torch.cat([source, each])) for each in (first, second))
        return float((left - right).mean())

    matrix = torch.tensor([[0.0 if a == b else compared(a, b) for b in ANSWERS] for a in ANSWERS])
    expected = (matrix - matrix.T).mean(dim=-1).tolist()
    with bon.scorer(f"rm:{folder}", device="cpu") as scorer:
        assert not scorer.pointwise
        assert values(await scorer(pool())) == pytest.approx(expected, abs=CLOSE)
        [alone] = await scorer(pool("Only one."))
    assert alone.value is None
    assert "no other answer" in alone.reason


# --- yes or no ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [False, True])
async def test_qwen3_reranker(tmp_path: Path, tied: bool) -> None:
    tokenizer = chatml()
    config = Qwen3Config(
        vocab_size=400, pad_token_id=0, head_dim=8, max_position_embeddings=512, tie_word_embeddings=tied, **SIZES
    )
    model = backbone_of(config)
    torch.manual_seed(5)
    head = model.embed_tokens.weight if tied else torch.randn(400, 32) * 0.3
    tensors = prefixed(model, "model.") | ({} if tied else {"lm_head.weight": head})
    folder = save(tmp_path, tensors, stated(model, "Qwen3ForCausalLM"), tokenizer)
    yes, no = (encoded(tokenizer, word) for word in ("yes", "no"))
    assert len(yes) == len(no) == 1
    rule = (
        "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
        'Note that the answer can only be "yes" or "no".'
    )
    for answer, score in zip(ANSWERS, await scored(folder, family="reranker", instruct="Be right"), strict=True):
        ids = encoded(tokenizer, f"<|im_start|>system\n{rule}<|im_end|>\n<|im_start|>user\n")
        ids += encoded(tokenizer, f"<Instruct>: Be right\n<Query>: {QUESTION}\n<Document>: {answer}")
        ids += encoded(tokenizer, "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")
        logits = head @ states_of(model, ids)[-1]
        pair = torch.stack([logits[no[0]], logits[yes[0]]])
        assert score.value == pytest.approx(float(functional.softmax(pair, dim=0)[1]), abs=CLOSE)
        assert score.parts == pytest.approx({"no": float(pair[0]), "yes": float(pair[1])}, abs=CLOSE)


async def test_any_chat_model_can_be_asked_for_yes_or_no(tmp_path: Path) -> None:
    tokenizer, (model, _, _, prefix) = gemma(), decoder("gemma2")
    template = GEMMA_TEMPLATE + "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
    tokenizer.chat_template = template
    model.config.final_logit_softcapping = 3.0
    folder = save(tmp_path, prefixed(model, prefix), stated(model, "Gemma2ForCausalLM"), tokenizer)
    [score] = await scored(folder, ANSWERS[0], family="yesno", max_length=256)
    states = None
    for word in ("yes", "no"):
        assert len(encoded(tokenizer, word)) == 1
    asked = (
        "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
        'Note that the answer can only be "yes" or "no".\n\n<Instruct>: Decide whether the Document is a good and '
        f"correct answer to the Query\n<Query>: {QUESTION}\n<Document>: {ANSWERS[0]}"
    )
    ids = encoded(tokenizer, f"<bos><start_of_turn>user\n{asked}<end_of_turn>\n<start_of_turn>model\n")
    states = states_of(model, ids)[-1]
    logits = 3.0 * torch.tanh(model.embed_tokens.weight @ states / 3.0)
    expected = torch.sigmoid(logits[encoded(tokenizer, "yes")[0]] - logits[encoded(tokenizer, "no")[0]])
    assert score.value == pytest.approx(float(expected), abs=CLOSE)
