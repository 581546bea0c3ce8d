"""Prompts from what people have at hand: a text, messages, or a Prompt; and the request each is asked with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bon.errors import UsageError
from bon.store.prompts import content_id
from bon.types import Message, Prompt, as_messages

__all__ = ["as_prompt", "prompt", "with_defaults"]


def prompt(
    content: str | Sequence[Message],
    *,
    reference: str | None = None,
    id: str | None = None,  # noqa: A002  # it is the field's name
    metadata: Mapping[str, Any] | None = None,
    **request: Any,
) -> Prompt:
    """A Prompt from a text or messages: `bon.prompt("What is 2 + 2?", reference="4", temperature=1.0)`.

    Without an id it gets one made from its content, so the same prompt has the same id everywhere.
    """
    if not isinstance(content, str | Sequence):
        raise UsageError(f"{content!r} is no prompt: give a text, OpenAI messages, or a bon.Prompt")
    messages = as_messages(content)
    if not messages or (isinstance(content, str) and not content.strip()):
        raise UsageError("the prompt is empty: give it a text")
    return Prompt(
        id=id if id is not None else content_id(messages, request, reference),
        messages=messages,
        request=request,
        reference=reference,
        metadata=dict(metadata or {}),
    )


def as_prompt(given: str | Sequence[Message] | Prompt) -> Prompt:
    """What was given, as a Prompt."""
    return given if isinstance(given, Prompt) else prompt(given)


def with_defaults(given: Prompt, *defaults: Mapping[str, Any]) -> Prompt:
    """The prompt with its whole request written out: later defaults win over earlier ones, its own request over all."""
    request: dict[str, Any] = {}
    for layer in (*defaults, given.request):
        request.update(layer)
    return replace(given, request=request)
