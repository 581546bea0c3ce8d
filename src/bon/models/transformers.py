"""Loads transformers language models and tokenizers, and shares one prompt's cache between many rows; draws nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bon.errors import MissingExtra, ModelError, UsageError
from bon.models.loading import (
    as_model_error,
    base_and_adapter,
    chosen_device,
    chosen_dtype,
    libraries,
    quiet,
    refuse_pickles,
    refuse_unreachable,
    release,
)
from bon.types import Message, text_of

if TYPE_CHECKING:
    import torch

__all__ = [
    "LanguageModel",
    "Prefix",
    "advance",
    "encode_chat",
    "load_language_model",
    "prefill",
    "quiet",
    "release",
    "render_chat",
    "select_rows",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModel:
    """A causal language model, ready to run, with its tokenizer."""

    name: str
    """What it was loaded from."""
    model: Any = field(repr=False)
    """A transformers `PreTrainedModel` in eval mode; adapters are merged into its weights."""
    tokenizer: Any = field(repr=False)
    context: int | None
    """Most tokens a prompt and its answer may have together; None where the configuration sets no limit."""
    eos: frozenset[int]
    """Token ids that end an answer."""


def load_language_model(
    source: str | Path,
    *,
    adapter: str | Path | None = None,
    dtype: str | None = None,
    device: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> LanguageModel:
    """Load a model from a folder or a hub id, from safetensors only.

    A folder that holds an `adapter_config.json` is loaded on the base it names; `adapter` lays such a folder on
    `source` instead. `device` is a torch device, or "auto" to spread the model over all accelerators; by default a GPU
    where there is one. `dtype` is a torch dtype's name; by default bfloat16 on a GPU, else float32. Code that comes
    with a model runs only if `trust_remote_code` is set and `revision` names what was read before trusting it.

    Raises MissingExtra without torch or transformers, ModelError where the model cannot be found or read.
    """
    _, transformers = libraries("hf:")
    if trust_remote_code and revision is None:
        raise UsageError(f"trust_remote_code runs code that comes with {source!r}: name the revision you have read")
    base, adapter = base_and_adapter(source, adapter)
    refuse_pickles(base)
    refuse_unreachable(base, revision or "main")
    place = chosen_device(device)
    precision = chosen_dtype(dtype, place)
    options = {"revision": revision or "main", "trust_remote_code": trust_remote_code}
    with quiet(), as_model_error(base):
        words = adapter if adapter and (adapter / "tokenizer_config.json").is_file() else base
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(words), **options)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            str(base),
            dtype=precision,
            use_safetensors=True,
            **({"device_map": "auto"} if place == "auto" else {}),
            **options,
        )
    model = model if place == "auto" else model.to(place)
    if adapter:
        with quiet():
            model = _with_adapter(model, adapter)
    model.eval()
    return LanguageModel(
        name=str(source),
        model=model,
        tokenizer=tokenizer,
        context=getattr(model.config.get_text_config(), "max_position_embeddings", None),
        eos=_eos(model, tokenizer),
    )


def render_chat(
    tokenizer: Any, messages: Sequence[Message], *, tools: Sequence[Any] | None = None, **template: Any
) -> str:
    """The prompt a chat becomes, up to where the answer begins; special tokens are written out.

    The tokenizer's chat template decides; `template` are its own variables (`enable_thinking` ...). A last message of
    the assistant is continued instead of answered. Without a template (a base model) the contents are joined by blank
    lines. Raises UsageError for content that is not text, and for a chat that the template refuses.
    """
    chat = [_text_only(message) for message in messages]
    if not tokenizer.chat_template:
        return "\n\n".join(text_of(message) for message in chat)
    continued = bool(chat) and chat[-1].get("role") == "assistant"
    try:
        rendered = tokenizer.apply_chat_template(
            chat,
            tools=list(tools) if tools else None,
            tokenize=False,
            add_generation_prompt=not continued,
            continue_final_message=continued,
            **template,
        )
    except Exception as error:  # a template is a program that comes with the model: it may raise anything
        raise UsageError(f"the chat template refuses {[m.get('role') for m in chat]!r}: {error}") from error
    return str(rendered)


def encode_chat(tokenizer: Any, rendered: str) -> list[int]:
    """The token ids of a rendered chat, with one BOS at most: templates write their own, a base model's is added."""
    ids: list[int] = tokenizer(rendered, add_special_tokens=not tokenizer.chat_template)["input_ids"]
    bos = tokenizer.bos_token_id
    while bos is not None and ids[:2] == [bos, bos]:
        ids = ids[1:]
    return ids


@dataclass(slots=True, kw_only=True)
class Prefix:
    """What a model remembers of a batch of equally long rows."""

    cache: Any
    """A transformers `Cache`; it changes in place."""
    logits: torch.Tensor
    """Shape `(rows, V)`, float32: of the next token."""


def prefill(model: Any, ids: Sequence[int]) -> Prefix:
    """Read a prompt once: a Prefix of one row. Raises ModelError for models that keep no key-value cache."""
    import torch

    out = _forward(model, torch.tensor([ids], device=model.device), None)
    if out.past_key_values is None:
        raise ModelError(f"{type(model).__name__} keeps no key-value cache, which sampling from a shared prompt needs")
    return Prefix(cache=out.past_key_values, logits=out.logits[:, -1].float())


def select_rows(prefix: Prefix, rows: Sequence[int]) -> None:
    """Make row `i` a copy of what row `rows[i]` was, in place: this expands a prompt, drops rows and reorders beams."""
    import torch

    index = torch.tensor(rows, dtype=torch.long, device=prefix.logits.device)
    prefix.cache.reorder_cache(index)
    prefix.logits = prefix.logits.index_select(0, index)


def advance(model: Any, prefix: Prefix, tokens: torch.Tensor) -> None:
    """Append one token to every row, in place; `tokens` has shape `(rows,)`."""
    out = _forward(model, tokens[:, None], prefix.cache)
    prefix.logits = out.logits[:, -1].float()


def _forward(model: Any, ids: torch.Tensor, cache: Any) -> Any:
    # No attention mask and no positions: rows are never padded, and the cache knows how long they are.
    return model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)


def _with_adapter(model: Any, folder: Path) -> Any:
    """The model with a LoRA adapter merged into its weights, so that each token costs what it cost before."""
    if not (folder / "adapter_model.safetensors").is_file():
        raise ModelError(f"the adapter {str(folder)!r} has no adapter_model.safetensors; pickled adapters are not read")
    try:
        import peft
    except ImportError as error:
        raise MissingExtra("peft", extra="torch", needed_for="a LoRA adapter") from error
    try:
        return peft.PeftModel.from_pretrained(model, str(folder)).merge_and_unload(safe_merge=True)
    except (ValueError, RuntimeError, KeyError) as error:
        raise ModelError(f"the adapter {str(folder)!r} does not fit {model.name_or_path!r}: {error}") from error


def _eos(model: Any, tokenizer: Any) -> frozenset[int]:
    stated = model.generation_config.eos_token_id if model.generation_config else None
    ids = stated if isinstance(stated, list) else [stated]
    return frozenset(token for token in (*ids, tokenizer.eos_token_id) if token is not None)


def _text_only(message: Message) -> Mapping[str, Any]:
    content = message.get("content")
    if content is None or isinstance(content, str):
        return dict(message)
    kinds = {part.get("type") for part in content}
    if kinds - {"text"}:
        raise UsageError(f"hf: reads text, not {sorted(map(str, kinds - {'text'}))}: ask a model that sees, by openai:")
    return {**message, "content": text_of(message)}
