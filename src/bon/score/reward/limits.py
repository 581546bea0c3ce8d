"""What bounds a row, and which tokenizer writes it: the model's own, as the caller's options change them."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from bon.errors import ModelError
from bon.score.reward.encoding import template_of

if TYPE_CHECKING:
    from bon.models.backbone import Backbone
    from bon.score.reward.family import Options

__all__ = ["limit_of", "tokenizer_of"]


def limit_of(backbone: Backbone, options: Options, *, default: int | None = None, relative: bool = False) -> int | None:
    """Most tokens of a row: `max_length`, else the family's `default`, else what the model has positions for.

    More than it has positions for cannot be had, unless they are `relative`. Raises ModelError for less than one.
    """
    if options.max_length is not None and options.max_length < 1:
        raise ModelError(f"max_length is how many tokens a row may have, 1 or more, not {options.max_length!r}")
    wished = options.max_length if options.max_length is not None else default
    known = [limit for limit in (wished, None if relative and wished else backbone.context) if limit is not None]
    return min(known, default=None)


def tokenizer_of(backbone: Backbone, options: Options) -> Any:
    """The backbone's tokenizer, with the chat template that the caller names."""
    if options.template is None:
        return backbone.tokenizer
    tokenizer = copy.copy(backbone.tokenizer)
    tokenizer.chat_template = template_of(options.template)
    return tokenizer
