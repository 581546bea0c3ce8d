"""From a chat and an answer to token ids, as reward models were trained to read them; no model is run here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bon.errors import ModelError, ScoreError
from bon.models.transformers import encode_chat
from bon.types import Message, text_of

__all__ = ["answered", "as_text", "conversation", "last_real", "plain", "spells_special", "template_of"]


def conversation(messages: Sequence[Message], answer: str) -> tuple[Message, ...]:
    """The chat with the answer as its last message; an answer that an assistant has begun is continued.

    Halves of surrogate pairs, which no tokenizer takes, become "?". Raises ScoreError for content that is not text.
    """
    chat = [_text_only(message) for message in messages]
    answer = _whole(answer)
    if chat and chat[-1].get("role") == "assistant":
        return (*chat[:-1], {**chat[-1], "content": f"{chat[-1]['content']}{answer}"})
    return (*chat, {"role": "assistant", "content": answer})


def answered(tokenizer: Any, messages: Sequence[Message], answer: str) -> tuple[int, ...]:
    """The token ids of a chat with its answer: the tokenizer's chat template, and one BOS at most.

    The template is asked for the whole chat, without a prompt for a further answer. A tokenizer without a template
    (of a base model) gets the contents, joined by blank lines, with the special tokens that it adds by itself. An
    answer that spells a special token is tokenised apart, as text: it cannot end its turn and praise itself in one
    that it makes up. Raises ScoreError for a chat that the template refuses.
    """
    chat = conversation(messages, answer)
    if not tokenizer.chat_template:
        rendered = plain(chat)
    else:
        try:
            rendered = str(tokenizer.apply_chat_template(list(chat), tokenize=False, add_generation_prompt=False))
        except Exception as error:  # a template is a program that comes with the model: it may raise anything
            raise ScoreError(f"the chat template refuses {[m.get('role') for m in chat]!r}: {error}") from error
    said = str(chat[-1]["content"])
    if not spells_special(tokenizer, said):
        return tuple(encode_chat(tokenizer, rendered))
    before, found, after = rendered.rpartition(said.strip())
    if not found:
        raise ScoreError("the answer spells special tokens of the reward model, and its chat template rewrites it")
    end: list[int] = tokenizer(after, add_special_tokens=False)["input_ids"]
    return (*encode_chat(tokenizer, before), *as_text(tokenizer, found), *end)


def spells_special(tokenizer: Any, text: str) -> bool:
    """Whether a text spells a special token, which the tokenizer would read as that token."""
    return any(token.special and token.content in text for token in tokenizer.added_tokens_decoder.values())


def as_text(tokenizer: Any, text: str) -> list[int]:
    """The token ids of a text as it stands: none is added, and what spells a special token is text like any other."""
    ids: list[int] = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return ids


def plain(chat: Sequence[Message]) -> str:
    """The contents of a chat, joined by blank lines."""
    return "\n\n".join(text_of(message) for message in chat)


def last_real(ids: Sequence[int], pad: int | None) -> int:
    """The position of the last token that is no padding, as transformers' sequence classifiers take it.

    They cannot tell padding from a last token of the same id: where a model was trained with its end of text as
    padding, its score was read, and learned, one token earlier. A row of padding alone is read at its first token.
    (transformers 5.23, `modeling_layers.py`, GenericForSequenceClassification.)
    """
    return max((position for position, token in enumerate(ids) if token != pad), default=0)


def template_of(path: str) -> str:
    """A chat template out of a file. Raises ModelError."""
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"template={path!r} cannot be read: {error}") from error


def _text_only(message: Message) -> Mapping[str, Any]:
    content = message.get("content")
    if content is not None and not isinstance(content, str):
        kinds = {str(part.get("type")) for part in content} - {"text"}
        if kinds:
            raise ScoreError(f"a reward model reads text, and this chat holds {', '.join(sorted(kinds))}")
    return {**message, "content": _whole(text_of(message))}


def _whole(text: str) -> str:
    return text.encode(errors="replace").decode()
