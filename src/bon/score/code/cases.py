"""The tests of a prompt, as its metadata has them: asserts, inputs and outputs of scripts or of a function; pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from bon.errors import DataError
from bon.sandbox import Tests
from bon.score.code.programs import helpers
from bon.types import Prompt

__all__ = ["Cases", "Script", "cases_of", "entry_point_of", "same_text", "stub_of", "tests_of"]

_FORMS = 'asserts ("..."), {"stdin": ..., "stdout": ...} or {"args": [...], "expected": ...}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What a script reads, and what it must print."""

    stdin: str
    stdout: str


Cases: TypeAlias = Tests | tuple[Script, ...]


def stub_of(prompt: Prompt) -> str:
    """The code that the prompt gave, "" where it gave none."""
    return str(prompt.metadata.get("prompt") or "")


def entry_point_of(prompt: Prompt) -> str:
    """The name of the function under test, "" where none is named."""
    return str(prompt.metadata.get("entry_point") or "")


def cases_of(prompt: Prompt) -> Cases | None:
    """The tests of a prompt, None where it has none. Raises `DataError` for tests that are none.

    `test`: Python that defines check(candidate), as HumanEval has it. `tests` or `test_list`: a list of asserts, of
    {"stdin", "stdout"} (or "input" and "output") for scripts, or of {"args", "kwargs", "expected"} for the function
    `entry_point`, whose tuples are as good as lists and whose floats may differ by 1e-6.
    """
    metadata = prompt.metadata
    if isinstance(metadata.get("test"), str):
        return tests_of(prompt, (metadata["test"],), check="check")
    rows = metadata.get("tests", metadata.get("test_list"))
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not rows:
        return None
    scripts = [script for row in rows if (script := _script(row)) is not None]
    if len(scripts) == len(rows):
        return tuple(scripts)
    return tests_of(prompt, tuple(_text(prompt, row) for row in rows), check="")


def tests_of(prompt: Prompt, texts: tuple[str, ...], *, check: str) -> Tests:
    """Texts of asserts as tests of a prompt's function, with the helpers that its prompt defines."""
    entry_point = entry_point_of(prompt)
    own = str(prompt.metadata.get("test_setup") or prompt.metadata.get("test_setup_code") or "")
    setup = "\n".join(part for part in (helpers(stub_of(prompt), entry_point), own) if part)
    return Tests(texts=texts, entry_point=entry_point, check=check, setup=setup)


def same_text(printed: str, wanted: str) -> bool:
    """Whether a script printed what it should: line by line, spaces at the ends of lines and blank lines aside."""
    return _lines(printed) == _lines(wanted)


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]


def _script(row: object) -> Script | None:
    if not isinstance(row, Mapping):
        return None
    for read, printed in (("stdin", "stdout"), ("input", "output")):
        if isinstance(row.get(read), str) and isinstance(row.get(printed), str):
            return Script(stdin=row[read], stdout=row[printed])
    return None


def _text(prompt: Prompt, row: object) -> str:
    if isinstance(row, str):
        return row
    if not isinstance(row, Mapping) or "expected" not in row:
        raise DataError(f"prompt {prompt.id!r}: {row!r:.100} is no test; a test is one of {_FORMS}")
    name, args, keywords = entry_point_of(prompt), row.get("args", []), row.get("kwargs", {})
    if not name.isidentifier():
        raise DataError(f"prompt {prompt.id!r}: its tests call a function; `entry_point` must name it, not {name!r}")
    if not isinstance(args, Sequence) or isinstance(args, str) or not isinstance(keywords, Mapping):
        raise DataError(f"prompt {prompt.id!r}: {row!r:.100}: args is a list, and kwargs an object")
    given = [_written(one) for one in args] + [f"**{_written(dict(keywords))}"] * bool(keywords)
    return f"assert __same__({name}({', '.join(given)}), {_written(row['expected'])})"


def _written(value: Any) -> str:
    """A value of JSON as Python."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_written(key)}: {_written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_written, value)) + "]"
    return repr(value)
