r"""Where a text announces its answer: \boxed{}, "####", "A:", "the answer is" and their like; not what it means."""

from __future__ import annotations

import re

from bon.answers.numbers import quantity

__all__ = ["boxed_content", "marked"]

_LONGEST = 200  # characters of a line that are read after a mark

_BOX = re.compile(r"\\f?boxed\s?\{|\\f?boxed\s([^\s{}\\$]+)|\\.|[{}]", re.DOTALL)
_MARK = re.compile(
    r"""(?P<hashes>\#{4})
      | (?: ^[ \t>*]{0,8} (?-i:A)\s?:
          | \banswers?\b
            (?: \s(?:to|for|of)\b [^.:=\n]{0,80}? )?                # the answer to the question is
            [\s*_]{0,4}
            (?: [:=] | \b(?:is|are|equals|(?:would|should|must|will)\sbe)\b\s?:? )
        )
        [*_ \t]{0,4} \n{0,2}""",
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")


def marked(text: str) -> list[str]:
    """What stands after a mark, to the end of its sentence or line; the last mark first."""
    found = []
    for mark in _MARK.finditer(text):
        line = text[mark.end() : mark.end() + _LONGEST].partition("\n")[0].strip()
        if not mark["hashes"]:
            found.append(_SENTENCE_END.split(line, maxsplit=1)[0])
        elif quantity(line):  # else it is a heading
            found.append(line)
    return [segment for segment in reversed(found) if segment.strip()]


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
