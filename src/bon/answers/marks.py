r"""Where a text announces its answer: \boxed{}, "####", "A:", "the answer is" and their like; not what it means."""

from __future__ import annotations

import re

from bon.answers.numbers import quantity

__all__ = ["boxed_content", "marked"]

_LONGEST = 200  # characters of a line that are read after a mark

_BOX = re.compile(r"\\f?boxed\s?\{|\\f?boxed\s([^\s{}\\$]+)|\\.|[{}]", re.DOTALL)
_HEADING = re.compile(r"\#{4}")
_LETTER = re.compile(r"^[ \t>*]{0,8}A\s?:", re.MULTILINE)
_ANSWER = re.compile(
    r"""[Aa](?<!\w.)(?i:nswers?)\b
        (?: \s(?:to|for|of)\b [^.:=\n]{0,80}? )?                # the answer to the question is
        [\s*_]{0,4}
        (?: [:=] | \b(?i:is|are|equals|(?:would|should|must|will)\sbe)\b\s?:? )""",
    re.VERBOSE,
)
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")


def marked(text: str) -> list[str]:
    """What stands after a mark, to the end of its sentence or line; the last mark first."""
    found: list[tuple[int, str]] = []
    for pattern, there in (
        (_HEADING, "####" in text),
        (_LETTER, "A" in text),
        (_ANSWER, "nswer" in text.casefold()),
    ):
        for mark in pattern.finditer(text) if there else ():
            line = text[mark.end() : mark.end() + _LONGEST].lstrip("*_ \t\n").partition("\n")[0].strip()
            if pattern is not _HEADING:
                found.append((mark.start(), _SENTENCE_END.split(line, maxsplit=1)[0]))
            elif quantity(line):
                found.append((mark.start(), line))
    return [segment for _, segment in sorted(found, reverse=True) if segment.strip()]


def boxed_content(text: str) -> str | None:
    r"""The content of the last complete \boxed{}, of nested ones the innermost; one pass over the text."""
    last: tuple[int, str] | None = None
    unclosed: list[tuple[int, int] | None] = []
    for token in _BOX.finditer(text) if "boxed" in text else ():
        if token[1]:
            last = (token.start(), token[1])
        elif token[0][-1] == "{" and token[0] != "\\{":
            unclosed.append((token.start(), token.end()) if len(token[0]) > 1 else None)
        elif token[0] == "}" and unclosed and (box := unclosed.pop()) and (last is None or last[0] < box[0]):
            last = (box[0], text[box[1] : token.start()])
    return last[1] if last else None
