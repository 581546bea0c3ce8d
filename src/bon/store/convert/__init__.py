"""Published data sets -> prompts or labelled pools: the table of converters behind `bon convert`; reads no network."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from types import MappingProxyType
from typing import Any, Literal

from bon.errors import UsageError
from bon.store.convert.game24 import game24
from bon.store.convert.maths import gsm8k, gsm8k_solutions, math500
from bon.store.convert.programs import humaneval, mbpp
from bon.store.lines import PathLike
from bon.store.pools import write_pools
from bon.store.prompts import write_prompts
from bon.types import Pool, Prompt

__all__ = ["CONVERTERS", "Converter", "convert", "converted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Converter:
    """How one data set becomes ours."""

    name: str
    description: str
    makes: Literal["prompts", "pools"]
    function: Callable[..., Iterator[Any]]
    """`(path, *, template=..., ...) -> ` prompts or pools, one at a time."""

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of `function` and their defaults; a `template` holds `{prompt}` where the question goes."""
        parameters = inspect.signature(self.function).parameters.values()
        return {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY}


_TABLE = (
    Converter(
        name="gsm8k",
        description="GSM8K: grade-school sums with their answers",
        makes="prompts",
        function=gsm8k,
    ),
    Converter(
        name="gsm8k-solutions",
        description="GSM8K's example_model_solutions: four labelled solutions a problem",
        makes="pools",
        function=gsm8k_solutions,
    ),
    Converter(
        name="game24",
        description="Game of 24: labelled samples of tree-of-thought-llm (cot.json, io.json)",
        makes="pools",
        function=game24,
    ),
    Converter(
        name="humaneval",
        description="HumanEval: Python functions with their tests",
        makes="prompts",
        function=humaneval,
    ),
    Converter(
        name="mbpp",
        description="MBPP, sanitized, in HumanEval's columns",
        makes="prompts",
        function=mbpp,
    ),
    Converter(
        name="math500",
        description="MATH-500: competition mathematics with answers, levels and subjects",
        makes="prompts",
        function=math500,
    ),
)

CONVERTERS: Mapping[str, Converter] = MappingProxyType({one.name: one for one in _TABLE})


def converted(name: str, path: PathLike, **options: Any) -> Iterator[Prompt] | Iterator[Pool]:
    """The prompts or pools of a data set, one at a time.

    Raises UsageError for a format or an option that does not exist, DataError for a row that is not of this format.
    """
    if name not in CONVERTERS:
        raise UsageError(f"no format {name!r}{_meant(name, CONVERTERS)}; there are {', '.join(CONVERTERS)}")
    found = CONVERTERS[name]
    for option in options:
        if option not in found.options:
            raise UsageError(
                f"{name} has no option {option!r}{_meant(option, found.options)}; it has {', '.join(found.options)}"
            )
    return found.function(path, **options)


def convert(name: str, path: PathLike, output: PathLike, *, limit: int | None = None, **options: Any) -> int:
    """Convert a data set, or its first `limit` rows, into a file, atomically; how many there are. See `converted`."""
    count = 0

    def counted(rows: Iterator[Any]) -> Iterator[Any]:
        nonlocal count
        for row in rows:
            count += 1
            yield row

    rows = counted(islice(converted(name, path, **options), limit))
    if CONVERTERS[name].makes == "prompts":
        write_prompts(output, rows)
    else:
        write_pools(output, rows)
    return count


def _meant(name: str, names: Mapping[str, Any]) -> str:
    near = get_close_matches(name, names, n=1)
    return f": did you mean {near[0]!r}?" if near else ""
