"""By which a model that is drawn from, and the reference that a policy was trained from, are told to be one or two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from bon.errors import DataError, SpecError, UsageError
from bon.registry.built import BuiltGenerator
from bon.registry.spec import Spec, parse_spec
from bon.train.policy.report import read_run

__all__ = ["origin", "strangers"]

Origin = tuple[str, str | None]
_FILE = "gguf:"


def origin(name: str, revision: str | None) -> Origin:
    """By which a reference is one: a folder or a file by its place, whatever it was called, and a model of a hub by its
    name and revision.
    """
    place = Path(name.removeprefix(_FILE)).expanduser()
    if place.exists():
        return str(place.resolve()), None
    return name, None if revision == "main" else revision


def strangers(compared: BuiltGenerator, policies: Sequence[BuiltGenerator]) -> Iterator[str]:
    """What is said of each policy that was trained from another model than the one that is compared.

    Nothing is said where a folder has no report of bon's, and where it cannot be told what the compared model is.
    """
    drawn = _spec(compared)
    if drawn is None or drawn.kind not in ("hf", "gguf", "local") or "adapter" in drawn.options:
        return
    name = drawn.target if drawn.kind == "hf" else drawn.name
    for policy in policies:
        spec = _spec(policy)
        if spec is None or spec.kind != "hf":
            continue
        with suppress(UsageError, DataError):  # a folder of another program's
            report = read_run(Path(spec.target).expanduser())
            if origin(report.reference, report.revision) != origin(name, drawn.options.get("revision")):
                yield (
                    f"{policy.name} was trained from {report.reference}, and best-of-N is of {compared.name}: what is "
                    "shown is not what training brought; compare with the model that it comes from"
                )


def _spec(model: BuiltGenerator) -> Spec | None:
    try:
        return parse_spec(model.spec)
    except SpecError:  # an object of the caller's
        return None
