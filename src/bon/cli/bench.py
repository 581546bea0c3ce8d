"""`bon bench`: how good scorers are on a benchmark of reward models and judges."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Any

import click

from bon.api import blocking, build_scorers
from bon.api.bench import measured, scored
from bon.api.files import Progress, score_file
from bon.api.judging import marks
from bon.api.settings import SCORED_WITH, hashes, plain_spent, recording, refuse_same
from bon.cli.amounts import told_apart
from bon.cli.options import as_json, caching, caps_of, concurrency, ledger_of, scoring, spending
from bon.cli.progress import Tally, follow, spent_line
from bon.errors import CapReached, UsageError
from bon.evaluation.benchmarks import FAMILIES, family_of
from bon.evaluation.blind import blind
from bon.evaluation.evaluating import Collector, Evaluation
from bon.evaluation.showing import markdown, plain
from bon.protocols import Scorer
from bon.registry import Builder
from bon.registry.extractors import extractor
from bon.store.badlines import BadLines
from bon.store.badrows import BadRows
from bon.store.convert import CONVERTERS
from bon.store.datasets import Dataset, load
from bon.store.diagnosis import BadLine
from bon.store.jsonl import write_atomic
from bon.store.pools import PoolFile
from bon.store.runfile import Run
from bon.types import Pool

__all__ = ["command"]

_ALIKE = frozenset({"command", "scorers", "data", "limit"})
"""Settings that may differ from those of an earlier run: what is there keeps its scores, what is not is added."""


def _list(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    for name, converter in CONVERTERS.items():
        if converter.makes == "pools":
            how = family_of(name).summary if name in FAMILIES else f"{converter.description}; {family_of('').summary}"
            sys.stdout.write(f"{name}\t{how}\n")
    context.exit()


@click.command("bench")
@click.argument("data")
@scoring
@click.option("--format", "format_", metavar="NAME", help="Of DATA.  [default: told by its columns]")
@click.option("--split", help="Of a data set of the hub: which split.")
@click.option("--config", help="Of a data set of the hub: which configuration.")
@click.option("--option", "pairs", metavar="NAME=VALUE", multiple=True, help="An option of the format.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many items.")
@click.option("--shuffle", type=int, metavar="SEED", help="In the order of this seed; with --limit a sample.")
@concurrency
@caching
@spending
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Keep the scored pools here, and resume from them.")
@click.option("--report", type=click.Path(path_type=Path), help="Write the tables to a Markdown file too.")
@click.option("--list", is_flag=True, is_eager=True, expose_value=False, callback=_list, help="List what is known.")
@as_json
def command(data: str, out: Path | None, report: Path | None, **options: Any) -> None:
    """Measure scorers on DATA: accuracy by subset and over all, as the benchmark's authors put it together.

    DATA is whatever `bon convert` reads (a file, a folder, a data set of the Hugging Face hub), or a file of labelled
    pools. Scorers do not see labels, and see candidates in an order that tells nothing. With several scorers each is
    tested against the first, pair by pair. With --out a run that is stopped goes on where it was.

    Exit codes: 0 done, 1 if a cap stopped the run or a row could not be used, 2 bad usage.
    """
    if told_apart(options["max_tokens"])[0] is not None:
        raise UsageError("nothing is drawn here: give --max-tokens a unit (1M), which makes it the cap of the run")
    caps_of(options)  # which refuses what makes no sense, before anything is read
    if not options["scorers"]:
        raise UsageError("nothing to measure: name a scorer with --scorer (`bon list scorers` shows them)")
    for path in filter(None, (out, report)):
        refuse_same(path, Path(data))
    bad, stopped = BadRows(), None
    with ExitStack() as stack:
        lines = BadLines(out or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bon-"))) / "bench")
        builder = Builder(cache=options["cache"], judge=options["judge"])
        scorers = build_scorers(builder, options["scorers"])
        for scorer in scorers.values():
            stack.callback(scorer.close)
        pools = _dataset(data, options, _each(bad, stack.enter_context(lines)))
        collector, tally = Collector(list(scorers), name=data), Tally(lines)
        run = _into(out, data, options) if out is not None else _through
        try:
            run(pools, dict(scorers), collector, tally, options)
        except CapReached as reached:
            stopped = reached
        if stopped is not None and not collector.count:
            raise stopped
        found = measured(collector, bad)
    _report(found, tally, stopped, report, as_json=options["as_json"])
    if stopped is not None:
        raise stopped
    if bad.count:
        sys.exit(1)


def _dataset(data: str, options: Mapping[str, Any], on_bad: Callable[[BadLine], None]) -> Dataset:
    own: dict[str, str] = {}
    for pair in options["pairs"]:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--option {pair!r} has no value; write --option {pair}=VALUE")
        own[name] = value
    chosen = {"format": options["format_"], "split": options["split"], "config": options["config"]}
    pools = load(data, on_bad=on_bad, **chosen, **own)
    if options["shuffle"] is not None:
        pools = pools.shuffle(options["shuffle"])
    return pools if options["limit"] is None else pools.limit(options["limit"])


def _each(*told: Callable[[BadLine], None]) -> Callable[[BadLine], None]:
    def tell(line: BadLine) -> None:
        for one in told:
            one(line)

    return tell


def _through(
    pools: Dataset, scorers: dict[str, Scorer], collector: Collector, tally: Tally, options: Mapping[str, Any]
) -> None:
    """Score the pools, and keep of each what measuring needs."""
    ledger = ledger_of(options)

    async def steps() -> AsyncGenerator[Progress, None]:
        given = {"concurrency": options["concurrency"], "extract": _extract(scorers, options), "ledger": ledger}
        async with aclosing(scored(pools, scorers, **given)) as done:
            async for pool in done:
                collector.add(pool)
                yield Progress(done=collector.count, empty=0, pool=pool)

    try:
        blocking.run(follow(steps(), tally, what="scoring", total=options["limit"]))
    finally:
        tally.spent = ledger.spent


def _into(out: Path, data: str, options: Mapping[str, Any]) -> Callable[..., None]:
    """Like `_through`, with a file that keeps the scored pools and lets a later run go on."""

    def run(
        pools: Dataset, scorers: dict[str, Scorer], collector: Collector, tally: Tally, _: Mapping[str, Any]
    ) -> None:
        kept = ("format_", "split", "config", "pairs", "limit", "shuffle", "extract")
        settings = {name.rstrip("_"): options[name] for name in kept if options[name] not in (None, ())}
        settings["scorers"] = [getattr(scorer, "spec", "") for scorer in scorers.values()]
        settings[SCORED_WITH] = marks(scorers)
        made = Run(command="bench", settings=settings, data=hashes(Path(data)))
        given, seen = _Passing(pools), set[str]()
        with recording(out, made, data=Path(data), alike=_ALIKE) as journal:

            async def steps() -> AsyncGenerator[Progress, None]:
                scoring_ = score_file(
                    given,
                    out,
                    blind(scorers),
                    extract=_extract(scorers, options),
                    concurrency=options["concurrency"],
                    ledger=ledger_of(options, spent=journal.spent),
                    journal=journal,
                )
                async with aclosing(scoring_) as done:
                    async for step in done:
                        if step.pool is not None:
                            collector.add(step.pool)
                            seen.add(step.pool.prompt.id)
                        yield step

            try:
                blocking.run(follow(steps(), tally, what="scoring", total=options["limit"]))
            finally:
                tally.spent = journal.spent
                _add_earlier(out, given, seen, collector)

    return run


def _add_earlier(out: Path, given: _Passing, seen: set[str], collector: Collector) -> None:
    """What earlier runs have scored of the pools of this one."""
    if not out.exists():
        return
    with PoolFile(out, tolerate_truncated_tail=True) as pools:
        for id_ in given.met:
            pool = None if id_ in seen else pools.get(id_)
            if pool is not None and all(name in pool.scores for name in collector.scorers):
                collector.add(pool)


def _extract(scorers: Mapping[str, Scorer], options: Mapping[str, Any]) -> Any:
    name = options["extract"] or ("any" if "agreement" in scorers else None)
    return extractor(name) if name else None


class _Passing(Mapping[str, Pool]):
    """Pools by id as a stream passes: each can be had while it is the last one met, so none is kept."""

    def __init__(self, pools: Dataset) -> None:
        self._pools = pools
        self._last: Pool | None = None
        self.met: list[str] = []

    def __iter__(self) -> Iterator[str]:
        for pool in self._pools:
            self._last = pool
            self.met.append(pool.prompt.id)
            yield pool.prompt.id

    def __getitem__(self, id_: str) -> Pool:
        if self._last is None or self._last.prompt.id != id_:
            raise KeyError(id_)
        return self._last

    def __len__(self) -> int:
        return len(self.met)


def _report(found: Evaluation, tally: Tally, stopped: CapReached | None, report: Path | None, *, as_json: bool) -> None:
    text = markdown(found)
    if report is not None:
        write_atomic(report, (line.encode() for line in text.splitlines()))
    if as_json:
        said = {**plain(found), "spent": plain_spent(tally.spent), "stopped": None if stopped is None else str(stopped)}
        sys.stdout.write(json.dumps(said) + "\n")
    else:
        sys.stdout.write(text)
    for problem in found.problems:
        sys.stderr.write(f"{found.data}:{problem.line}: {problem.message}\n")
    if found.bad:
        sys.stderr.write(f"{found.bad} rows of {found.data} could not be used, {found.items} items could\n")
    sys.stderr.write(spent_line(tally.spent))
