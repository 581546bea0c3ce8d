"""What a prompt is about, as far as its words show it: enough to warn whoever scores it with a model for another."""

from __future__ import annotations

import re

from bon.score.reward.aliases import Domain
from bon.types import Prompt

__all__ = ["domain_of"]

_CODE = re.compile(
    r"```|^\s*(?:def|class|import|from \w+ import|#include|public static|function)\b.*[:;{(]?"
    r"|\b(?:write|implement|complete|debug|refactor|fix)\b[^.?!\n]{0,60}"
    r"\b(?:function|program|script|class|method|code|query|regex|algorithm in|unit tests?)\b"
    r"|\b(?:python|javascript|typescript|java|c\+\+|rust|golang|sql|bash)\b[^.?!\n]{0,40}\b(?:function|code|program|script)\b",
    re.IGNORECASE | re.MULTILINE,
)
_MATHS = re.compile(
    r"\\(?:boxed|frac|sqrt|sum|int|begin\{)|\$[^$\n]*[\\^_=+*/<>-][^$\n]*\$"
    r"|\b(?:solve|simplify|evaluate|compute|prove|factor|differentiate|integrate)\b"
    r"[^.?!\n]{0,60}(?:[=^√∫]|\bfor [a-z]\b|\d)"
    r"|\bhow (?:many|much)\b[^?]*\d|\d[^?]*\bhow (?:many|much|far|long|old)\b"
    r"|\bwhat is (?:the (?:value|sum|product|remainder|area|probability) (?:of|when|if|that)\b|"
    r"\(*-?\d+(?:\.\d+)?\s*[-+*/×÷^])",
    re.IGNORECASE | re.DOTALL,
)


def domain_of(prompt: Prompt) -> Domain:
    """What the last question is about: "code", "maths", or "chat" where its words show neither.

    Rough by purpose: nothing but a line of warning hangs on it.
    """
    if _CODE.search(prompt.text):
        return "code"
    return "maths" if _MATHS.search(prompt.text) else "chat"
