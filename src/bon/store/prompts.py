"""Prompts on disk: JSON Lines with `prompt` or `messages`, or a text file with one prompt a line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec

from bon.errors import DataError
from bon.store.jsonl import PathLike, bad_line, decode_line, lines_of, reading, write_atomic
from bon.store.plain import canonical, encode, plain
from bon.types import Message, Prompt, as_messages

__all__ = ["PromptRow", "content_id", "dump_prompt", "parse_prompt", "prompt_of", "read_prompts", "write_prompts"]


class PromptRow(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A prompt as it lies on disk; exactly one of `prompt` and `messages` is there."""

    id: str | int | None = None
    prompt: str | None = None
    messages: tuple[dict[str, Any], ...] | None = None
    request: dict[str, Any] = {}
    reference: str | int | float | None = None
    metadata: dict[str, Any] = {}


_POOL_KEYS = {"candidates", "failures", "spent"}
_KEYS = PromptRow.__struct_fields__


def read_prompts(path: PathLike) -> Iterator[Prompt]:
    """The prompts of a file, one at a time; `-` is stdin, `.gz` is decompressed.

    A `.txt` file has one prompt a line. In JSON Lines each line has `prompt` (text) or `messages`, and may have `id`,
    `request`, `reference` (a number becomes text) and `metadata`; other keys are kept in the metadata, unless they
    look like one of these misspelt. A prompt without an id gets `content_id`, which does not depend on its place.

    Raises DataError with `path:line`, also where two lines have the same id: memory grows by an id a prompt.
    """
    parse = _parse_text if _is_text(path) else parse_prompt
    seen: dict[str, int] = {}
    with reading(path) as file:
        for line in lines_of(file):
            prompt = decode_line(path, line, parse)
            first = seen.setdefault(prompt.id, line.number)
            if first != line.number:
                raise bad_line(path, line.number, _twice(prompt.id, first))
            yield prompt


def write_prompts(path: PathLike, prompts: Iterable[Prompt]) -> None:
    """Write prompts to a file, atomically."""
    write_atomic(path, (dump_prompt(prompt) for prompt in prompts))


def parse_prompt(line: bytes) -> Prompt:
    """The prompt of one line. Raises a ValueError that says what is wrong."""
    row = msgspec.json.decode(line, type=dict[str, Any])
    if not _POOL_KEYS.isdisjoint(row):
        raise DataError("this line is a pool, not a prompt: give a file of prompts")
    metadata = row.pop("metadata", None) or {}
    extra = {key: row.pop(key) for key in [*row] if key not in _KEYS}
    for key in extra:
        _refuse_misspelling(key, row)
        if isinstance(metadata, Mapping) and key in metadata:
            raise DataError(f"{key!r} is given twice, beside `metadata` and in it: remove one")
    known = msgspec.convert({**row, "metadata": metadata}, PromptRow)
    known.metadata.update(extra)
    prompt = prompt_of(known)
    _refuse_odd_messages(prompt.messages)
    return prompt


def dump_prompt(prompt: Prompt) -> bytes:
    """The line of a prompt, without a newline: `prompt` where it is one user message of text, else `messages`."""
    where = f"prompt {prompt.id!r}"
    text = prompt.messages[0].get("content") if len(prompt.messages) == 1 else None
    plainly = text if isinstance(text, str) and prompt.messages == as_messages(text) else None
    row = PromptRow(
        id=prompt.id,
        prompt=plainly,
        messages=plain(prompt.messages, f"{where}: messages") if plainly is None else None,
        request=plain(prompt.request, f"{where}: request"),
        reference=prompt.reference,
        metadata=plain(prompt.metadata, f"{where}: metadata"),
    )
    return encode(row)


def prompt_of(row: PromptRow) -> Prompt:
    """The prompt that a row is. Raises DataError unless it has one of `prompt` and `messages`."""
    if (row.prompt is None) == (row.messages is None):
        found = "both `prompt` and `messages`" if row.messages is not None else "neither `prompt` nor `messages`"
        raise DataError(f"{found} found: give one of them")
    messages = as_messages(row.prompt) if row.prompt is not None else row.messages or ()
    reference = None if row.reference is None else str(row.reference)
    return Prompt(
        id=content_id(messages, row.request, reference) if row.id is None else str(row.id),
        messages=messages,
        request=row.request,
        reference=reference,
        metadata=row.metadata,
    )


def content_id(
    messages: Sequence[Message], request: Mapping[str, Any] | None = None, reference: str | None = None
) -> str:
    """The id of a prompt that has none: 16 hexadecimal digits of sha256 over what it asks, whatever its place."""
    return hashlib.sha256(canonical([messages, request or {}, reference])).hexdigest()[:16]


def _parse_text(line: bytes) -> Prompt:
    return prompt_of(PromptRow(prompt=line.decode()))


def _is_text(path: PathLike) -> bool:
    return str(path).removesuffix(".gz").endswith(".txt")


def _refuse_odd_messages(messages: Sequence[Message]) -> None:
    if not messages:
        raise DataError("`messages` is empty: give at least one message")
    for place, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if not isinstance(role, str):
            raise DataError(f"messages[{place}] has no role: give 'user', 'system', 'assistant' or 'tool'")
        if not (content is None or isinstance(content, str | list)):
            raise DataError(f"messages[{place}]: content is {content!r}: give a text or a list of parts")
    if len(messages) == 1 and messages[0].get("content") in (None, "", []):
        raise DataError("the prompt is empty: give it a text or remove it")


def _refuse_misspelling(key: str, row: Mapping[str, Any]) -> None:
    for meant in get_close_matches(key, _KEYS, n=1, cutoff=0.85):
        if meant not in row:
            raise DataError(f"unknown key {key!r}: did you mean {meant!r}? Put your own keys into `metadata`")


def _twice(id_: str, first: int) -> str:
    return (
        f"the id {id_!r} (made from the content where none is given) is that of line {first} too: change or remove one"
    )
