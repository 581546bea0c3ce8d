"""Which endpoint serves a model, and which key goes there: the environment is read here, and sent nowhere else."""

from __future__ import annotations

import os

from bon.errors import UsageError
from bon.events import Hook, tell
from bon.transport import Endpoint, Limits, Timeouts

__all__ = ["OLLAMA_URL", "OPENAI_URL", "open_endpoint", "url_of"]

OPENAI_URL = "https://api.openai.com/v1"
OLLAMA_URL = "http://localhost:11434/v1"


def url_of(url: str | None) -> str:
    """The URL itself; without one OPENAI_BASE_URL, or OpenAI's own."""
    return (url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL).rstrip("/")


def open_endpoint(
    model: str,
    *,
    url: str | None = None,
    key: str | None = None,
    limits: Limits | None = None,
    timeouts: Timeouts | None = None,
    hook: Hook = tell,
) -> Endpoint:
    """The endpoint that serves a model: where, with which key, and how hard it may be used.

    Without a URL it is OPENAI_BASE_URL, or OpenAI's own; the key in OPENAI_API_KEY goes to that URL and to no other.
    `limits` hold for all that use this URL and key in the process. Raises UsageError for OpenAI itself without a key.
    """
    url = url_of(url)
    if key is None and url == url_of(None):
        key = os.environ.get("OPENAI_API_KEY")
    key = (key or "").strip() or None
    if key is None and url == OPENAI_URL:
        raise UsageError(
            f"openai:{model} at {OPENAI_URL} needs a key: set OPENAI_API_KEY, or name an endpoint of your own, as in"
            f" 'openai:{model}@http://localhost:8000/v1'"
        )
    return Endpoint(url, key=key, limits=limits, timeouts=timeouts, hook=hook)
