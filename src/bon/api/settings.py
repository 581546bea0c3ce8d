"""What a run over files is made with, kept beside its output, so that it is continued with the same or not at all."""

from __future__ import annotations

from pathlib import Path

from bon.api.job import Job
from bon.errors import UsageError
from bon.store.runfile import Run, data_hash, read_run, require_same, run_path, write_run

__all__ = ["begin", "hashes", "refuse_same", "settings_of"]

_MAY_DIFFER = frozenset({"n", "scorers", "data"})
"""A larger n adds candidates, another scorer adds scores, and prompts are compared one by one as they are met."""


def settings_of(command: str, job: Job, *, data: Path, n: int) -> Run:
    """The run file of a job over one file of prompts (not hashed where it is a stream that cannot be read twice)."""
    return Run(
        command=command,
        settings={
            "generator": getattr(job.plan.generator, "spec", ""),
            "n": n,
            "budget": getattr(job.plan.budget, "spec", ""),
            "scorers": [getattr(scorer, "spec", "") for scorer in job.plan.scorers.values()],
            "extract": job.extract or None,
            "request": dict(job.request),
        },
        data=hashes(data),
    )


def hashes(*data: Path) -> dict[str, str]:
    """The name of each file -> the sha256 of its bytes."""
    return {path.name: data_hash(path) for path in data if path.is_file()}


def refuse_same(out: Path, *data: Path) -> None:
    """Raise `UsageError` for an output that is one of the inputs: writing it would lose what was given."""
    if any(out.exists() and path.exists() and out.samefile(path) for path in data):
        raise UsageError(f"{out} is the input itself: choose another output (-o)")


def begin(out: Path, run: Run, *, data: Path, restart: bool = False) -> None:
    """Write the run file of an output, or throw the output away first.

    Raises `UsageError` for an output that was begun with other settings, naming each of them; for one that is the
    input itself, and for a compressed one, which cannot be added to.
    """
    refuse_same(out, data)
    if out.suffix == ".gz":
        raise UsageError(f"{out}: a run adds to its output as it goes, which a compressed file cannot: drop the .gz")
    if restart:
        out.unlink(missing_ok=True)
        run_path(out).unlink(missing_ok=True)
    elif out.exists():
        before = read_run(out)
        unread = before is not None and "extract" not in before.settings  # answers may be read where none were
        require_same(out, run, ignore={*_MAY_DIFFER, "extract"} if unread else _MAY_DIFFER)
    write_run(out, run)
