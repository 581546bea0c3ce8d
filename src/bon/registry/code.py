"""The kind `code`: programs under tests in a sandbox, and what a spec says of the tests and of the limits."""

from __future__ import annotations

from inspect import getdoc, signature
from typing import TYPE_CHECKING, cast, get_args

from bon.errors import SpecError
from bon.registry.kinds import Kind, checked_options
from bon.registry.spec import Spec
from bon.sandbox import Limits
from bon.score.code import Code, Source

if TYPE_CHECKING:
    from bon.registry.builder import Builder

__all__ = ["CODE"]


def _make(spec: Spec, builder: Builder) -> Code:  # noqa: ARG001
    options = checked_options(spec, _code, *signature(_code).parameters)
    try:
        return _code(**options, name=spec.options.get("name", spec.name))
    except ValueError as error:
        raise SpecError(f"{spec.text!r}: {error}") from None


def _code(
    *, tests: str = "reference", seconds: float = 10.0, memory: int = 512, processes: int = 1, name: str = "code"
) -> Code:
    """A scorer as specs have it, `memory` in MiB. Raises ValueError for what is none."""
    if tests not in get_args(Source):
        raise ValueError(f"tests is one of {', '.join(get_args(Source))}, not {tests!r}")
    limits = Limits(seconds=seconds, memory=memory << 20, processes=processes)
    return Code(tests=cast("Source", tests), limits=limits, name=name)


CODE = Kind(
    usage="code[?tests=prompt&seconds=10&memory=512]",
    summary="the share of its tests that a program passes, run in a sandbox",
    make=_make,
    target=False,
    documentation=(
        f"{getdoc(Code)}\n\nOptions: tests=reference or tests=prompt, seconds=10 (of one program), memory=512 "
        "(MiB of address space), processes=1 (with more than one a program may start processes)."
    ),
)
