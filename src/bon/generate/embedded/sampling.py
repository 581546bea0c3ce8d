"""From a request in OpenAI's names to what the embedded engine samples with, or to a refusal that says why; pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bon.errors import Rejected, UsageError
from bon.generate.embedded.wire import Sampling
from bon.types import Message, text_of

__all__ = ["is_beam_search", "plain_messages", "sampling", "template_variables"]

_NUMBERS: Mapping[str, tuple[float, float]] = {
    "temperature": (0.0, 100.0),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
    "repetition_penalty": (0.01, 100.0),
    "diversity_penalty": (0.0, 1000.0),
}
_COUNTS = {
    "max_tokens": "max_tokens", "max_completion_tokens": "max_tokens", "top_k": "top_k",
    "num_beams": "beams", "num_beam_groups": "beam_groups",
}  # fmt: skip
_ELSEWHERE = {
    "seed", "stop", "response_format", "return_token_ids", "chat_template_kwargs", "enable_thinking", "ignore_eos",
    "tools", "tool_choice",
}  # fmt: skip
_NO_MATTER = {"logprobs", "top_logprobs", "stream", "stream_options", "user", "metadata", "store", "service_tier"}
_DIVERSITY = 1.0
"""What a beam's score loses for a token that an earlier group has taken at the same place."""
_ANY_OBJECT = '{"type": "object"}'


def sampling(request: Mapping[str, Any], *, seed: int, draws: int = 1) -> Sampling:
    """How a draw of this request is sampled; `draws` is how many beams a search of unstated size needs.

    Raises UsageError for a field that is wrong, or that would have to be ignored.
    """
    fields: dict[str, Any] = {"seed": seed, "stop": _stop(request), "json_schema": _schema(request)}
    for name, value in request.items():
        if name in _NUMBERS:
            fields[name] = _number(name, value)
        elif name == "top_k" and value == 0:
            continue  # all tokens
        elif name in _COUNTS:
            fields[_COUNTS[name]] = _count(name, value)
        elif name not in _ELSEWHERE | _NO_MATTER and not (name == "n" and value == 1):
            known = ", ".join(sorted({*_NUMBERS, *_COUNTS, *_ELSEWHERE}))
            raise UsageError(f"the embedded engine does not know {name}={value!r}; it knows {known}")
    fields["ignore_eos"] = bool(request.get("ignore_eos"))
    groups = fields.get("beam_groups", 1)
    if groups > 1:
        fields.setdefault("beams", -(-draws // groups) * groups)
        fields.setdefault("diversity_penalty", _DIVERSITY)
    return _checked(Sampling(**fields))


def is_beam_search(request: Mapping[str, Any]) -> bool:
    """Whether the request's draws are the beams of one search."""
    return bool(request.get("num_beams", 1) != 1 or request.get("num_beam_groups", 1) != 1)


def _checked(chosen: Sampling) -> Sampling:
    if chosen.top_p == 0:
        raise UsageError("top_p=0 would leave no token: it is above 0, up to 1 for all; temperature=0 is greedy")
    if chosen.beams % chosen.beam_groups:
        raise UsageError(
            f"num_beams={chosen.beams} cannot be shared out among num_beam_groups={chosen.beam_groups}: give a multiple"
        )
    if chosen.beam_groups > 1 and chosen.diversity_penalty == 0:
        raise UsageError("num_beam_groups needs a diversity_penalty above 0, or all groups find the same beams")
    if chosen.beams > 1 and (chosen.stop or chosen.json_schema):
        raise UsageError("beam search takes neither stop nor response_format here: leave out num_beams to sample")
    return chosen


def _number(name: str, value: Any) -> float:
    low, high = _NUMBERS[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise UsageError(f"{name}={value!r} is no number between {low:g} and {high:g}")
    return float(value)


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"{name}={value!r} is no whole number of at least 1")
    return value


def _stop(request: Mapping[str, Any]) -> tuple[str, ...]:
    stop = request.get("stop", ())
    stops = (stop,) if isinstance(stop, str) else tuple(stop)
    if not all(isinstance(item, str) and item for item in stops):
        raise UsageError(f"stop={stop!r} is neither a text nor a list of texts")
    return stops


def _schema(request: Mapping[str, Any]) -> str | None:
    wanted = request.get("response_format", {"type": "text"})
    kind = wanted.get("type") if isinstance(wanted, Mapping) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return _ANY_OBJECT
    if kind == "json_schema":
        named = wanted.get("json_schema")
        schema = named.get("schema") if isinstance(named, Mapping) else None
        if isinstance(schema, Mapping):
            return json.dumps(schema, sort_keys=False)
    raise UsageError(
        f"response_format={wanted!r} is none of text, json_object, and json_schema with a json_schema.schema object"
    )


def template_variables(request: Mapping[str, Any]) -> dict[str, Any]:
    """Extra variables for the chat template: `chat_template_kwargs`, and `enable_thinking` by its own name."""
    extra = request.get("chat_template_kwargs", {})
    if not isinstance(extra, Mapping):
        raise UsageError(f"chat_template_kwargs={extra!r} is no object")
    thinking = {"enable_thinking": request["enable_thinking"]} if "enable_thinking" in request else {}
    return {**extra, **thinking}


def plain_messages(messages: Sequence[Message]) -> tuple[dict[str, Any], ...]:
    """The messages with the text parts of each content joined. Raises Rejected where one holds more than text."""
    return tuple({**message, "content": _plain(message)} for message in messages)


def _plain(message: Message) -> str:
    content = message.get("content")
    if not isinstance(content, str) and isinstance(content, Sequence):
        kinds = {part.get("type") for part in content if isinstance(part, Mapping)} - {"text"}
        if kinds:
            raise Rejected(
                f"the embedded engine reads text only, and a message holds {', '.join(sorted(map(str, kinds)))}: "
                "use an endpoint whose model sees it"
            )
    return text_of(message)
