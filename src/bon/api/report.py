"""The report people look at, from pools that are there: `bon.report`. Nothing is drawn or scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bon._version import __version__
from bon.api.curves import gathered
from bon.api.resume import reread_answers
from bon.api.settings import refuse_same
from bon.errors import UsageError
from bon.evaluation.curves import Sheet, measure
from bon.evaluation.report import report_of
from bon.registry.extractors import extractor
from bon.store.jsonl import write_atomic
from bon.store.pools import read_pools
from bon.types import Pool

__all__ = ["report"]


def report(
    *pools: str | Path,
    out: str | Path,
    gold: str | None = None,
    by: str | Sequence[str] | None = None,
    makers: bool = False,
    extract: str | None = None,
    title: str | None = None,
) -> Path:
    """Write one self-contained page of HTML about files of pools: charts, tables, and a browser of their prompts.

    The options are those of `bon.curves`. The page fetches nothing. Raises `UsageError` where nothing can be measured
    and for an `out` that is one of the files, `MissingExtra` without altair and vl-convert-python (`bon[report]`).
    """
    files = [Path(each) for each in pools]
    target = Path(out)
    if not files:
        raise UsageError("there is nothing to report on: give files of pools")
    for file in files:
        refuse_same(target, file)
    names = (by,) if isinstance(by, str) else by
    sheets: list[Sheet] = []
    for place, file in enumerate(files):
        found = gathered(file, place, gold=gold, by=names, select=None, k=None, makers=makers, extract=extract)
        sheets += found.sheets()
    read = extractor(extract) if extract else None

    def again() -> Iterator[tuple[str, Pool]]:
        for file in files:
            for pool in read_pools(file):
                yield str(file) if len(files) > 1 else "", pool if read is None else reread_answers(pool, read)

    draws = sum(int(sheet.drawn.sum()) for sheet in sheets)
    text = report_of(
        again,
        measure(sheets),
        [sheet for sheet in sheets if sheet.ids],
        title=title or f"Best-of-N: {', '.join(file.name for file in files)}",
        facts=[
            f"{sum(len(sheet.ids) for sheet in sheets):,} prompts, {draws:,} draws; the truth is {sheets[0].gold!r}",
            f"made by bon {__version__}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        ],
    )
    write_atomic(target, iter(text.encode("utf-8", errors="replace").splitlines()))
    return target
