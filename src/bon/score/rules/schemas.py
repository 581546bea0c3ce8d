"""Rules of JSON: a text that fits a JSON schema, and calls of the tools that a prompt offers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from bon.answers.programs import fences
from bon.errors import MissingExtra, UsageError
from bon.score.rules.linear import linear
from bon.types import Candidate, Prompt, Score

__all__ = ["calls_of", "json_schema", "tool_call_format"]

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_SHOWN = 200  # characters of what a validator says


class _Unfit(Exception):
    """A text is not what it should be; the message says why."""


def json_schema(
    prompt: Prompt, candidate: Candidate, *, schema: Mapping[str, Any] | None = None, file: str | None = None
) -> Score:
    """Whether the text is JSON, alone or as one fenced block, and fits a JSON schema: 1 or 0, with the first misfit.

    The schema is `schema`, or what the JSON file `file` holds, or that of the prompt's own `response_format`; with
    `response_format={"type": "json_object"}` any object fits. NaN and Infinity are no JSON. Addresses in a schema are
    not fetched. Needs the extra `schema`.
    """
    if schema is not None and file is not None:
        raise UsageError("json_schema takes schema or file, not both")
    _validators()
    given = schema if file is None else _read(file, Path(file).stat().st_mtime_ns if Path(file).is_file() else 0)
    if given is not None:
        _checked(given)
    wanted = _of_request(prompt) if given is None else given
    if wanted is None:
        return Score.missing("no schema: neither an option nor the prompt's response_format has one")
    try:
        _fit(_parsed(_bare(candidate.text)), wanted)
    except _Unfit as error:
        return Score(value=0.0, reason=str(error))
    except UsageError as error:
        return Score.missing(f"the schema {'of the prompt' if given is None else 'that was given'}: {error}")
    return Score(value=1.0, reason="fits the schema")


def tool_call_format(prompt: Prompt, candidate: Candidate, *, required: bool = True) -> Score:
    """Whether every tool call names a tool of the prompt's request and its arguments fit that tool's schema: 1 or 0.

    The calls are the candidate's `tool_calls`, and `<tool_call>{"name": ..., "arguments": {...}}</tool_call>` in its
    text. The parts count the calls, and those that are right. An answer that calls nothing is 0, or 1 if no call is
    `required`. Needs the extra `schema`, and tools in the request: without them there is no score.
    """
    _validators()
    tools = {str(tool.get("name")): tool.get("parameters") for tool in _tools(prompt)}
    if not tools:
        return Score.missing("the prompt's request has no tools")
    wrong, count = list[str](), 0
    try:
        for name, arguments in calls_of(candidate):
            count += 1
            try:
                _fit_call(name, arguments, tools)
            except _Unfit as error:
                wrong.append(f"call {count}: {error}")
    except UsageError as error:
        return Score.missing(f"a tool of the prompt: {error}")
    if not count:
        return Score(value=float(not required), reason="calls nothing", parts={"calls": 0, "right": 0})
    reason = wrong[0] if wrong else "calls what there is"
    return Score(value=float(not wrong), reason=reason, parts={"calls": count, "right": count - len(wrong)})


def _tools(prompt: Prompt) -> Iterator[Mapping[str, Any]]:
    """What the prompt offers, in OpenAI's form: `{"type": "function", "function": {"name", "parameters"}}`."""
    tools = prompt.request.get("tools")
    for tool in tools if isinstance(tools, list | tuple) else ():
        function: object = tool.get("function", tool) if isinstance(tool, Mapping) else None
        if isinstance(function, Mapping) and function.get("name"):
            yield function


def calls_of(candidate: Candidate) -> Iterator[tuple[object, object]]:
    """Name and arguments (JSON text, or what it says) of each call; None and None for what is no call."""
    for call in candidate.tool_calls:
        function = call.get("function")
        yield (function.get("name"), function.get("arguments")) if isinstance(function, Mapping) else (None, None)
    for piece in candidate.text.split(_OPEN)[1:]:
        body, closed, _ = piece.partition(_CLOSE)
        try:
            said = _parsed(body) if closed else None
        except _Unfit:
            said = None
        yield (said.get("name"), said.get("arguments", {})) if isinstance(said, dict) else (None, None)


def _fit_call(name: object, arguments: object, tools: Mapping[str, Any]) -> None:
    """Raises `_Unfit` unless it is a call of one of the tools."""
    if not isinstance(name, str):
        raise _Unfit("it cannot be read")
    if name not in tools:
        raise _Unfit(f"there is no tool {name!r:.80}")
    given = _parsed(arguments) if isinstance(arguments, str) else arguments
    if not isinstance(given, Mapping):
        raise _Unfit("its arguments are no JSON object")
    if tools[name] is not None:
        _fit(given, tools[name])


def _of_request(prompt: Prompt) -> Any:
    """The schema that the prompt asks for itself; None where it asks for none."""
    form = prompt.request.get("response_format")
    if not isinstance(form, Mapping):
        return None
    if form.get("type") == "json_object":
        return {"type": "object"}
    inner = form.get("json_schema")
    return inner.get("schema") if isinstance(inner, Mapping) else None


def _bare(text: str) -> str:
    """The content of a text that is one fenced block, any other text as it is."""
    lines = text.strip().splitlines()
    blocks = list(fences(text.strip())) if len(lines) > 2 and lines[0].startswith(("```", "~~~")) else []
    return "\n".join(blocks[0][1]) if len(blocks) == 1 and len(blocks[0][1]) == len(lines) - 2 else text


def _parsed(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise _Unfit(f"not JSON: {error}") from error


def _fit(value: Any, schema: Any) -> None:
    """Raises `_Unfit` with the first misfit of a value, and `UsageError` for a schema that is none."""
    from referencing.exceptions import Unresolvable

    try:
        misfit = next(iter(_checked(schema).iter_errors(value)), None)
    except Unresolvable as error:
        raise UsageError(f"the schema refers to {error.ref!r}, which is not in it; nothing is fetched") from error
    except RecursionError as error:
        raise UsageError("the schema goes round in circles, or the text is nested too deeply") from error
    except ArithmeticError as error:
        raise _Unfit(f"a number is out of all bounds: {error}") from error
    if misfit is not None:
        said = f"{misfit.json_path}: {misfit.message}"[:_SHOWN]
        raise _Unfit(said.encode(errors="backslashreplace").decode())  # a key may be half a surrogate pair


def _checked(schema: Any) -> Any:
    """A validator of a schema. Raises `UsageError` for one that is no JSON schema."""
    try:
        return _validator(json.dumps(schema, sort_keys=True))
    except UsageError:
        raise
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"a schema is JSON, and this is not: {error}") from error


@lru_cache(maxsize=256)
def _validator(text: str) -> Any:
    from jsonschema.exceptions import SchemaError
    from referencing import Registry

    schema = json.loads(text)
    if not isinstance(schema, dict | bool):
        raise UsageError(f"{text:.80} is no JSON schema: one is an object")
    named = schema.get("$schema") if isinstance(schema, dict) else None
    kind = _validators().get(named if isinstance(named, str) else None) or _validators()[None]
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        raise UsageError(f"it is no JSON schema: {error.json_path}: {error.message:.200}") from error
    return kind(schema, registry=Registry())


@lru_cache(maxsize=1)
def _validators() -> Mapping[str | None, Any]:
    """By what `$schema` names: the validators of each draft, with patterns that take linear time."""
    try:
        from jsonschema import Draft4Validator, Draft6Validator, Draft7Validator, Draft201909Validator
        from jsonschema import Draft202012Validator as Latest
        from jsonschema.exceptions import ValidationError
        from jsonschema.validators import extend
    except ImportError as error:
        raise MissingExtra("jsonschema", extra="schema", needed_for="a rule that reads JSON schemas") from error

    def pattern(validator: Any, wanted: str, value: object, schema: Any) -> Iterator[ValidationError]:  # noqa: ARG001
        if isinstance(value, str) and not linear(wanted).search(value):
            yield ValidationError(f"{value!r:.80} does not match {wanted!r}")

    drafts = (Draft4Validator, Draft6Validator, Draft7Validator, Draft201909Validator, Latest)
    made = {draft.META_SCHEMA.get("$schema"): extend(draft, {"pattern": pattern}) for draft in drafts}
    return {
        **made,
        **{f"{name}".rstrip("#"): kind for name, kind in made.items()},
        None: extend(Latest, {"pattern": pattern}),
    }


@lru_cache(maxsize=64)
def _read(file: str, changed: int) -> Any:  # noqa: ARG001  # a file that has changed is read again
    try:
        return json.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"the schema {file!r} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the schema {file!r} is no JSON: {error}") from error
