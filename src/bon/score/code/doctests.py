"""The examples that a prompt shows, as tests: sessions of an interpreter, and lines such as `f(2) == 4`; pure."""

from __future__ import annotations

import ast
import doctest
import re
from collections.abc import Iterator

from bon.sandbox import Tests
from bon.score.code.cases import entry_point_of, stub_of, tests_of
from bon.types import Prompt

__all__ = ["examples_of"]

_SIGN = re.compile(
    r"\s*(?:`?\s*(?:==>|=>|==|=|->|→|➞|⇒|➔)|`?,?\s*(?:should\s+)?(?:returns?|gives?|is|evaluates\s+to|outputs?)\b:?"
    r"|\s*\n?\s*#\s*(?:=>|->|returns)?|\s*\n\s*(?:Output|Returns?|Result)\s*:)\s*`?\s*",
    re.IGNORECASE,
)
_LONGEST = 2000


def examples_of(prompt: Prompt) -> Tests | None:
    """The examples of a prompt as tests, None where it shows none that could be run.

    Looked for in the prompt's code where its metadata has it, else in its last user message: `>>>` sessions as
    `doctest` reads them, else calls of the function with a value after ==, =>, ->, "returns" and the like.
    """
    text = stub_of(prompt) or prompt.text
    entry_point = entry_point_of(prompt)
    found = [*_sessions(text)] or [*_calls(text, entry_point)]
    return tests_of(prompt, tuple(dict.fromkeys(found)), check="") if found else None


def _sessions(text: str) -> Iterator[str]:
    """A text of tests a session: statements run, and what an expression shows is what it must be."""
    for part in re.split(r"\n\s*\n", text):
        lines, asserts = list[str](), False
        try:
            examples = doctest.DocTestParser().get_examples(_closed(part))
        except ValueError:
            continue
        for example in examples:
            source, want = example.source.strip(), example.want.strip()
            if not want:
                lines.append(source)
            elif example.exc_msg is None and _is_expression(source):
                lines.append(f"assert __shown__(({source}), {want!r})")
                asserts = True
        if asserts:
            yield "\n".join(lines)


def _closed(part: str) -> str:
    """A piece of a docstring without its closing quotes, which an example's output would otherwise end in."""
    return re.sub(r'\s*("""|\'\'\')\s*$', "\n", part)


def _calls(text: str, entry_point: str) -> Iterator[str]:
    if not entry_point:
        return
    for mark in re.finditer(rf"(?<![\w.]){re.escape(entry_point)}(?=\()", text):
        call = _call(text[mark.start() : mark.start() + _LONGEST])
        if call is None:
            continue
        sign = _SIGN.match(text, mark.start() + len(call))
        if sign and (value := _value(text[sign.end() :][:_LONGEST])) is not None:
            yield f"assert __shown__({call}, {value!r})"


def _call(text: str) -> str | None:
    """The call that a text begins with: up to the bracket that closes it."""
    for close in re.finditer(r"\)", text):
        if _is_expression(text[: close.end()]):
            return text[: close.end()]
    return None


def _value(text: str) -> str | None:
    """The longest value, on the first line of a text, that it begins with."""
    line = text.partition("\n")[0]
    for end in range(min(len(line), 300), 0, -1):
        piece = line[:end].partition("  #")[0].strip()
        try:
            ast.literal_eval(piece)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if not piece.endswith(","):  # of the sentence, and not of a tuple
            return piece
    return None


def _is_expression(text: str) -> bool:
    try:
        ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True
