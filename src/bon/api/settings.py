"""What a run over files is made with, kept beside its output, so that it is continued with the same or not at all."""

from __future__ import annotations

from pathlib import Path

from bon.api.job import Job
from bon.store.runfile import Run, data_hash, require_same, run_path, write_run

__all__ = ["begin", "settings_of"]

_MAY_DIFFER = frozenset({"n", "scorers", "data"})
"""A larger n adds candidates, another scorer adds scores, and prompts are compared one by one as they are met."""


def settings_of(command: str, job: Job, *, data: Path, n: int, extract: str | None) -> Run:
    """The run file of a job over one file of prompts (not hashed where it is a stream that cannot be read twice)."""
    return Run(
        command=command,
        settings={
            "generator": getattr(job.plan.generator, "spec", ""),
            "n": n,
            "budget": getattr(job.plan.budget, "spec", ""),
            "scorers": [getattr(scorer, "spec", "") for scorer in job.plan.scorers.values()],
            "extract": extract,
            "request": dict(job.request),
        },
        data={data.name: data_hash(data)} if data.is_file() else {},
    )


def begin(out: Path, run: Run, *, restart: bool = False) -> None:
    """Write the run file of an output, or throw the output away first.

    Raises `UsageError` for an output that was begun with other settings, naming each of them.
    """
    if restart:
        out.unlink(missing_ok=True)
        run_path(out).unlink(missing_ok=True)
    elif out.exists():
        require_same(out, run, ignore=_MAY_DIFFER)
    write_run(out, run)
