"""HumanEval and MBPP: Python functions to complete, with the tests that judge them kept for a verifier.

HumanEval: Chen et al. 2021, "Evaluating Large Language Models Trained on Code". MBPP: Austin et al. 2021, "Program
Synthesis with Large Language Models"; the sanitized problems, in HumanEval's columns.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from bon.store.convert.template import filled
from bon.store.jsonl import read_rows
from bon.store.lines import PathLike
from bon.types import Prompt, as_messages

__all__ = ["humaneval", "mbpp"]

PROGRAM_TEMPLATE = (
    "Complete this Python function. Reply with the whole function, with the imports that it needs, in one code block."
    "\n\n```python\n{prompt}\n```"
)


class _Program(msgspec.Struct):
    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str
    test: str


def humaneval(path: PathLike, *, template: str = PROGRAM_TEMPLATE) -> Iterator[Prompt]:
    """Prompts under their `task_id`; every column is kept in the metadata under its own name."""
    decode = msgspec.json.Decoder(_Program).decode
    for _, row in read_rows(path, decode):
        yield Prompt(
            id=row.task_id,
            messages=as_messages(filled(template, row.prompt.rstrip())),
            metadata=msgspec.to_builtins(row),
        )


def mbpp(path: PathLike, *, template: str = PROGRAM_TEMPLATE) -> Iterator[Prompt]:
    """Prompts under their `task_id`; every column is kept in the metadata under its own name."""
    return humaneval(path, template=template)
