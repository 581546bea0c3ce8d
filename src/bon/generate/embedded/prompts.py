"""From messages to the tokens a model reads, through its own chat template; in the worker process."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import msgspec

from bon.errors import Rejected
from bon.generate.embedded.load import plain
from bon.generate.embedded.wire import Draw

__all__ = ["Prompts", "Read"]

_REMEMBERED = 256
"""Prompts whose tokens are kept, so that a prompt's N draws are tokenised once."""
_SUSPICIOUS = 256
"""Tokens from which on a tokenizer may have cut a text at its limit; none has a lower one."""
_MORE = " more" * 8
"""Makes every text longer, but not one that is cut."""
_PIECE = 1000
"""Characters that no tokenizer makes too many tokens of."""
_THINK = "<think>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A prompt as the model reads it."""

    tokens: Any
    """A tensor of shape `(1, P)`."""
    key: bytes
    """The same tokens, to compare and to count by."""
    opening: str
    """`<think>` where the prompt ends inside of a block of reasoning that its template opened, else nothing."""

    length: int
    """Tokens of the whole prompt."""
    whole: bool = True
    """False where the tokenizer has cut it at its own limit, in silence; `length` is then an estimate."""

    def __len__(self) -> int:
        return int(self.tokens.shape[-1])


class Prompts:
    """Tokenises prompts, each once."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: OrderedDict[bytes, Read] = OrderedDict()

    def read(self, draw: Draw) -> Read:
        """The prompt of a draw. Raises Rejected if the chat template refuses its messages."""
        asked = msgspec.json.encode((draw.messages, draw.template, draw.tools))
        if asked not in self._known:
            self._known[asked] = self._read(draw)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return self._known[asked]

    def _read(self, draw: Draw) -> Read:
        templated = bool(self._tokenizer.chat_template)
        text = self._templated(draw) if templated else _joined(draw)
        # the template has written the special tokens already: the tokenizer must not begin with a second BOS
        tokens = self._tokenizer.encode(text, add_special_tokens=not templated).input_ids
        opening = _THINK if text.rstrip().endswith(_THINK) else ""
        length = int(tokens.shape[-1])
        whole = length < _SUSPICIOUS or self._count(text + _MORE) > length
        if not whole:
            length = max(length, sum(self._count(text[at : at + _PIECE]) for at in range(0, len(text), _PIECE)))
        return Read(tokens=tokens, key=tokens.data.tobytes(), opening=opening, length=length, whole=whole)

    def _count(self, text: str) -> int:
        return int(self._tokenizer.encode(text, add_special_tokens=False).input_ids.shape[-1])

    def _templated(self, draw: Draw) -> str:
        if draw.tools and "tools" not in self._tokenizer.chat_template:
            raise Rejected("the model's chat template has no place for tools: leave them out, or use another model")
        try:
            text: str = self._tokenizer.apply_chat_template(
                list(draw.messages),
                add_generation_prompt=True,
                tools=list(draw.tools) or None,
                extra_context=draw.template or None,
            )
        except RuntimeError as error:
            raise Rejected(f"the model's chat template refuses these messages: {plain(error)}") from error
        return text


def _joined(draw: Draw) -> str:
    """What a base model, which knows no chats, is to go on from."""
    return "\n\n".join(str(message["content"]) for message in draw.messages)
