"""Turns a prompt and its request into what a loaded transformers model is to do, and refuses what it cannot honour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bon.errors import DrawError, UsageError
from bon.generate.decoding import BeamPlan, Plan
from bon.generate.request import DEFAULT_REQUEST
from bon.generate.sampling import Sampling
from bon.models.transformers import LanguageModel, encode_chat, render_chat
from bon.types import Message

__all__ = ["encoded_prompt", "make_plan"]

_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "seed")
_LENGTH = ("max_tokens", "max_completion_tokens", "stop")
_KEPT = ("logprobs", "top_logprobs", "return_token_ids")
_TEMPLATE = ("tools", "tool_choice", "chat_template_kwargs", "enable_thinking")
_BEAMS = ("num_beams", "num_beam_groups", "diversity_penalty")
_READ = frozenset((*_SAMPLING, *_LENGTH, *_KEPT, *_TEMPLATE, *_BEAMS))
_WITHOUT_EFFECT: Mapping[str, Sequence[Any]] = {
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "repetition_penalty": (1,),
    "response_format": ({"type": "text"},),
    "tool_choice": ("auto", "none"),
}
"""Values that ask for nothing, of fields that cannot be honoured otherwise."""


def make_plan(lm: LanguageModel, messages: Sequence[Message], request: Mapping[str, Any], *, draws: int) -> Plan:
    """The plan for `draws` draws, as the first `draws` indices count them.

    `tools` are shown to the model by its template; a call it makes stays text. Raises UsageError for a request that
    cannot be honoured, and DrawError for a prompt that leaves no room in the model's context.
    """
    _refuse_unknown(request)
    rendered, prompt = encoded_prompt(lm.tokenizer, messages, request)
    stop = request.get("stop", ())
    return Plan(
        prompt=tuple(prompt),
        max_tokens=_room(lm, len(prompt), request),
        sampling=Sampling.of(request),
        beams=_beams(request, draws),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        top=int(request.get("top_logprobs", 0)),
        thinking=rendered.rstrip().endswith("<think>"),
        keep_ids=bool(request.get("return_token_ids")),
    )


def encoded_prompt(tokenizer: Any, messages: Sequence[Message], request: Mapping[str, Any]) -> tuple[str, list[int]]:
    """The prompt that a chat becomes, with what its request says to the template: as text, and as token ids.

    Raises UsageError for a chat that the template refuses, and for one that becomes nothing.
    """
    template = dict(request.get("chat_template_kwargs", {}))
    if "enable_thinking" in request:
        template["enable_thinking"] = request["enable_thinking"]
    tools = request.get("tools") if request.get("tool_choice") != "none" else None
    rendered = render_chat(tokenizer, messages, tools=tools, **template)
    prompt = encode_chat(tokenizer, rendered)
    if not prompt:
        raise UsageError(f"the chat {list(messages)!r} becomes an empty prompt: there is nothing to go on from")
    return rendered, prompt


def _refuse_unknown(request: Mapping[str, Any]) -> None:
    for name, value in request.items():
        if name in _WITHOUT_EFFECT and value in _WITHOUT_EFFECT[name]:
            continue
        if name in _WITHOUT_EFFECT or name not in _READ:
            raise UsageError(
                f"hf: cannot honour {name}={value!r}: take it out of the request, or ask an engine that can "
                "(gguf:FILE, openai:MODEL@URL)"
            )


def _room(lm: LanguageModel, prompt: int, request: Mapping[str, Any]) -> int:
    """How many tokens an answer may have: what was asked for, as far as the context has room."""
    asked = request.get("max_completion_tokens", request.get("max_tokens"))
    if asked is not None and int(asked) < 1:
        raise UsageError(f"max_tokens is 1 or more, not {asked!r}")
    if lm.context is None:
        return int(asked if asked is not None else DEFAULT_REQUEST["max_tokens"])
    room = lm.context - prompt
    if room < 1:
        raise DrawError(
            f"the prompt has {prompt} tokens and {lm.name!r} reads {lm.context}: it leaves no room for an answer. "
            "Shorten the prompt, or take a model with a longer context"
        )
    return room if asked is None else min(int(asked), room)


def _beams(request: Mapping[str, Any], draws: int) -> BeamPlan | None:
    groups, stated = int(request.get("num_beam_groups", 1)), request.get("num_beams")
    if groups == 1 and stated in (None, 1):
        return None
    beams = int(stated) if stated is not None else -(-draws // groups) * groups
    if groups < 1 or beams < 1 or beams % groups:
        raise UsageError(f"num_beams={beams} cannot be shared out among num_beam_groups={groups}: give a multiple")
    if "diversity_penalty" not in request:
        return BeamPlan(width=beams // groups, groups=groups)
    return BeamPlan(width=beams // groups, groups=groups, penalty=float(request["diversity_penalty"]))
