"""What there is of an output already, looked at without touching it: its pools, and what its journal holds beyond."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from bon.api.resume import so_far
from bon.api.settings import refuse_other, spent_by
from bon.errors import UsageError
from bon.store.journal import Begun, Journal, journal_path
from bon.store.pools import PoolFile, parse_pool
from bon.store.runfile import Run
from bon.types import Pool, Prompt, Spent

__all__ = ["known"]

_ATTEMPTS = 10
"""Copies made of a journal that changes meanwhile."""
_LOG = "-wal"
"""What SQLite appends to the name of a database for what is not yet carried over into it."""


@contextmanager
def known(out: Path, run: Run) -> Iterator[tuple[Callable[[Prompt], Pool | None], Spent]]:
    """A function that gives the pool with which `run` would go on with a prompt; and what was spent before.

    The journal is read from a copy: opening it, even to read, would write beside the output.

    Raises `UsageError` for an output that was begun with other settings; the function does for a pool that answers
    another prompt.
    """
    with ExitStack() as stack:
        pools = stack.enter_context(PoolFile(out, tolerate_truncated_tail=True)) if out.exists() else None
        journal = _copied(stack, out)
        spent = Spent() if journal is None else journal.spent
        if pools is not None or (journal is not None and not journal.empty):
            before = refuse_other(out, run)
            if before is not None and spent == Spent():
                spent = spent_by(before)

        def pool_of(asked: Prompt) -> Pool | None:
            begun = Begun() if journal is None else journal.begin(asked)
            parked = None if journal is None else journal.parked(asked.id)
            kept = None if pools is None else pools.get(asked.id)
            return so_far(asked, kept if parked is None else parse_pool(parked), begun, out)

        yield pool_of, spent


def _copied(stack: ExitStack, out: Path) -> Journal | None:
    """A copy of the journal of an output; None where there is none.

    Raises `UsageError` where a run that is under way changes it all the time.
    """
    path = journal_path(out)
    parts = [path, path.with_name(f"{path.name}{_LOG}")]
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bon-")))
    for _ in range(_ATTEMPTS):
        before = [_state(part) for part in parts]
        if before[0] is None:
            return None
        for part in parts:
            with suppress(FileNotFoundError):  # there is none, or it has just been taken away
                shutil.copyfile(part, folder / part.name)
        if before == [_state(part) for part in parts]:
            return stack.enter_context(Journal(folder / out.name))
    raise UsageError(f"{out}: a run is writing to it; wait until it has ended, or choose another output (-o)")


def _state(path: Path) -> tuple[int, int] | None:
    """What changes when a file is written to; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size
