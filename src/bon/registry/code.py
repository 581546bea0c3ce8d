"""The kinds `code` and `dual`: programs under tests in a sandbox, and what a spec says of tests and limits."""

from __future__ import annotations

from dataclasses import replace
from inspect import getdoc, signature
from typing import TYPE_CHECKING, Any, cast, get_args

from bon.errors import SpecError
from bon.registry.kinds import Kind, checked_options, known_options
from bon.registry.spec import Spec
from bon.sandbox import Limits
from bon.score.code import Code, GeneratedTests, Source

if TYPE_CHECKING:
    from bon.registry.builder import Builder

__all__ = ["CODE", "DUAL"]

_SOURCES = (*get_args(Source), "generated")
_DRAWING = ("generator", "draws", "most")


def _limits(*, seconds: float = 10.0, memory: int = 512, processes: int = 1) -> Limits:
    """Limits as specs have them, `memory` in MiB. Raises ValueError for what is none."""
    return Limits(seconds=seconds, memory=memory << 20, processes=processes)


def _drawing(*, generator: str | None = None, draws: int = 4, most: int = 40) -> dict[str, Any]:
    """How tests are drawn. Raises ValueError for fewer than one."""
    if min(draws, most) < 1:
        raise ValueError(f"draws and most are 1 or more, not {draws!r} and {most!r}")
    return {"generator": generator, "draws": draws, "tests": most}


def _code(spec: Spec, builder: Builder) -> Code | GeneratedTests:
    options = known_options(spec, "tests", "whole", *_DRAWING, *signature(_limits).parameters)
    source = options.pop("tests", "reference")
    if source not in _SOURCES:
        raise SpecError(f"{spec.text!r}: tests is one of {', '.join(_SOURCES)}, not {source!r}")
    if source == "generated":
        if "whole" in options:
            raise SpecError(f"{spec.text!r}: whole is for tests that are right, and generated ones may be wrong")
        return _generated(spec, builder, dual=False)
    if misplaced := [name for name in _DRAWING if name in options]:
        raise SpecError(f"{spec.text!r}: {misplaced[0]} is for tests=generated")
    whole = options.get("whole", False)
    if not isinstance(whole, bool):
        raise SpecError(f"{spec.text!r}: whole is true or false, not {whole!r}")
    limits = _read(spec, _limits, options)
    return Code(tests=cast("Source", source), whole=whole, limits=limits, name=_name(spec))


def _dual(spec: Spec, builder: Builder) -> GeneratedTests:
    known_options(spec, *_DRAWING, *signature(_limits).parameters)
    return _generated(spec, builder, dual=True)


def _generated(spec: Spec, builder: Builder, *, dual: bool) -> GeneratedTests:
    limits, drawing = _read(spec, _limits, spec.options), _read(spec, _drawing, spec.options)
    model, _ = builder.judging(drawing.pop("generator"))
    return GeneratedTests(model, dual=dual, limits=limits, name=_name(spec), **drawing)


def _read(spec: Spec, function: Any, options: Any) -> Any:
    """What a function of options makes of those that are its own. Raises SpecError."""
    names = signature(function).parameters
    own = replace(spec, options={name: value for name, value in options.items() if name in names})
    try:
        return function(**checked_options(own, function, *names))
    except SpecError:
        raise
    except ValueError as error:
        raise SpecError(f"{spec.text!r}: {error}") from None


def _name(spec: Spec) -> str:
    return str(spec.options.get("name", spec.kind))


_LIMITS = (
    "seconds=10 (of one program), memory=512 (MiB of address space), processes=1 (with more than one a program may "
    "start processes)"
)
_DRAWN = "generator=SPEC (without it the judge's model), draws=4 (answers with tests), most=40 (tests that are kept)"

CODE = Kind(
    usage="code[?tests=prompt&seconds=10&memory=512]",
    summary="the share of its tests that a program passes, run in a sandbox",
    make=_code,
    target=False,
    documentation=(
        f"{getdoc(Code)}\n\nOptions: tests=reference, tests=prompt or tests=generated (written by a model, and shared "
        f"by the pool), whole=true (1 only where all tests pass), {_LIMITS}; with tests=generated also {_DRAWN}."
    ),
)
DUAL = Kind(
    usage="dual[?generator=SPEC&draws=4]",
    summary="how many solutions agree on how many generated tests (CodeT, Chen et al. 2022)",
    make=_dual,
    target=False,
    documentation=f"{getdoc(GeneratedTests)}\n\nOptions: {_DRAWN}, {_LIMITS}.",
)
