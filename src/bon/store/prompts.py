"""Prompts on disk: JSON Lines with `prompt` or `messages`, or a text file with one prompt a line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec

from bon.errors import DataError
from bon.store.diagnosis import OnBad, bad
from bon.store.jsonl import write_atomic
from bon.store.lines import LONGEST, PathLike, decoded, lines_of, reading, refuse
from bon.store.plain import canonical, encode, plain, refuse_deep
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


_NO_TEXT = {
    "\0": "a NUL byte, which no text holds; correct or remove this line",
    "\r": "carriage returns without line feeds, as old Macs ended lines; end them with line feeds",
}
_POOL_KEYS = {"candidates", "failures", "spent"}
_KEYS = PromptRow.__struct_fields__


def read_prompts(path: PathLike, *, on_bad: OnBad | None = None, longest: int = LONGEST) -> Iterator[Prompt]:
    """The prompts of a file, one at a time; `-` is stdin, `.gz` is decompressed.

    A `.txt` file has one prompt a line. In JSON Lines each line has `prompt` (text) or `messages`, and may have `id`,
    `request`, `reference` (a number becomes text) and `metadata`; other keys are kept in the metadata, unless they
    look like one of these misspelt. A prompt without an id gets `content_id`, which does not depend on its place.

    A line that is no prompt, has the id of an earlier one, or more than `longest` bytes, is handed to `on_bad`, and the
    next ones go on; without `on_bad` it is a DataError with `path:line`. Memory grows by an id a prompt, and holds
    about twice `longest` bytes of the longest line.
    """
    parse = _parse_text if _is_text(path) else parse_prompt
    seen: dict[str, int] = {}
    with reading(path) as file:
        for line, prompt in decoded(path, lines_of(file, longest=longest), parse, on_bad=on_bad):
            first = seen.setdefault(prompt.id, line.number)
            if first == line.number:
                yield prompt
            else:
                refuse(path, bad(line.number, line.data, "duplicate_id", _twice(prompt.id, first)), on_bad)


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
    """The prompt that a row is.

    Raises DataError unless it has one of `prompt` and `messages`, RecursionError where it is nested too deeply to be
    written again.
    """
    if (row.prompt is None) == (row.messages is None):
        found = "both `prompt` and `messages`" if row.messages is not None else "neither `prompt` nor `messages`"
        raise DataError(f"{found} found: give one of them")
    messages = as_messages(row.prompt) if row.prompt is not None else row.messages or ()
    refuse_deep([messages, row.request, row.metadata])
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
    text = line.decode()
    for character, what in _NO_TEXT.items():
        if character in text:
            raise DataError(what)
    return prompt_of(PromptRow(prompt=text))


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
    content = messages[0].get("content")
    if len(messages) == 1 and not (content.strip() if isinstance(content, str) else content):
        raise DataError("the prompt is empty: give it a text or remove it")


def _refuse_misspelling(key: str, row: Mapping[str, Any]) -> None:
    for meant in get_close_matches(key, _KEYS, n=1, cutoff=0.85):
        if meant not in row:
            raise DataError(f"unknown key {key!r}: did you mean {meant!r}? Put your own keys into `metadata`")


def _twice(id_: str, first: int) -> str:
    return (
        f"the id {id_!r} (made from the content where none is given) is that of line {first} too: change or remove one"
    )
