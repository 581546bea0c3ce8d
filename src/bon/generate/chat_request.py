"""Makes chat requests: what the draws of one call have in common, said once, and what each has of its own; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bon.errors import Denied, UsageError
from bon.generate.composing import still_wanted
from bon.generate.request import at_most, draw_seed, merged
from bon.ledger import Bill, Price
from bon.types import Prompt, Usage

__all__ = ["Ask"]

_OURS = frozenset({"model", "messages", "n", "seed", "stream", "stream_options"})
"""Request fields that a prompt cannot set: they are the generator's."""


@dataclass(slots=True, kw_only=True)
class Ask:
    """What the draws of one call have in common."""

    prompt: Prompt
    request: dict[str, Any]
    """The request fields after defaults."""
    body: bytes
    """The request as JSON without its closing brace: what differs between draws is put behind it."""
    by: str
    """The generator."""
    price: Price | None
    most: dict[int, Usage | None] = field(default_factory=dict)
    """What a request for so many draws may take, once it has been asked for."""
    refused: Denied | None = None
    """Why draws that have not been sent yet need not be."""

    @classmethod
    def of(cls, prompt: Prompt, *, model: str, defaults: Mapping[str, Any], by: str, price: Price | None) -> Ask:
        """What a model is asked for a prompt. Raises UsageError for a request that is no JSON."""
        request = merged(defaults, prompt)
        if "max_completion_tokens" in request and "max_tokens" not in prompt.request:
            request.pop("max_tokens", None)  # a default of ours; the two names exclude each other
        fields = {key: value for key, value in request.items() if key not in _OURS}
        try:
            body = msgspec.json.encode({"model": model, "messages": prompt.messages, **fields})
        except (TypeError, ValueError) as error:
            raise UsageError(f"prompt {prompt.id!r} cannot be sent as JSON: {error}") from error
        return cls(prompt=prompt, request=request, body=body[:-1], by=by, price=price)

    @property
    def seeded(self) -> bool:
        """Whether each draw has a seed of its own."""
        return self.request.get("seed") is not None

    def seed(self, index: int) -> int | None:
        """The seed of one draw; None where the run has none."""
        run_seed = self.request.get("seed")
        return None if run_seed is None else draw_seed(run_seed, self.prompt.id, index)

    def sent(self, **fields: Any) -> bytes:
        """The whole request as JSON; fields that are None are left out."""
        own = msgspec.json.encode({key: value for key, value in fields.items() if value is not None})
        return self.body + (b"," + own[1:] if len(own) > len("{}") else b"}")

    def bill(self, *, draws: int = 1) -> Bill:
        """The bill of one request for so many draws."""
        if draws not in self.most:
            self.most[draws] = at_most(self.prompt, self.request, draws=draws)
        return Bill(most=self.most[draws], price=self.price, by=self.by)

    def still(self) -> None:
        """Raise the DrawError of a draw that nobody needs any more, or that would be refused as others were."""
        still_wanted()
        if self.refused is not None:
            raise Denied(str(self.refused), status=self.refused.status)
