"""An evaluation as Markdown, for people, and as plain data, for programs; it measures nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from bon.evaluation.evaluating import Comparison, Cost, Evaluation
from bon.evaluation.measures import Row
from bon.evaluation.tables import flat, table

__all__ = ["markdown", "plain"]


def markdown(found: Evaluation) -> str:
    """Tables in Markdown: a metric a line and a scorer a column, the paired tests, what scoring cost, bad rows."""
    return "\n".join(_lines(found)) + "\n"


def plain(found: Evaluation) -> dict[str, Any]:
    """All of it as what JSON can hold."""
    whole = asdict(found)
    whole["problems"] = [{"line": p.line, "error": p.error, "message": p.message, "id": p.id} for p in found.problems]
    return whole


def _lines(found: Evaluation) -> Iterator[str]:
    yield f"# {found.data}"
    yield ""
    of = f" of {', '.join(found.benchmarks)}" if found.benchmarks else ""
    yield f"{found.items:,} items{of}. {_NOTE}"
    yield ""
    who = list(dict.fromkeys(row.scorer for row in found.rows))
    cells: dict[tuple[str, str], dict[str, Row]] = {}
    for row in found.rows:
        cells.setdefault((row.subset, row.metric), {})[row.scorer] = row
    yield from table(
        ["subset", "metric", "n", *who],
        [
            [subset, metric, str(max(row.n for row in by.values())), *(_cell(by.get(name)) for name in who)]
            for (subset, metric), by in cells.items()
        ],
    )
    if found.comparisons:
        yield ""
        yield from table(
            ["scorer", "than", "difference", "p", "test", "n"], [_compared(one) for one in found.comparisons]
        )
    if any(cost.seconds or cost.usage.total_tokens for cost in found.costs):
        yield ""
        head = ["scorer", "scores", "from the cache", "tokens read", "tokens written", "USD", "seconds"]
        yield from table(head, [_cost(cost) for cost in found.costs])
    if found.unscored:
        yield ""
        yield "Why answers have no score, the most frequent reasons:"
        yield ""
        for why in found.unscored:
            answers = "1 answer" if why.count == 1 else f"{why.count:,} answers"
            yield f"- {why.scorer}: {flat(why.reason) or 'no reason was given'} ({answers})"
    if found.bad:
        yield ""
        yield f"{found.bad} rows could not be used:"
        yield ""
        yield from (f"- {found.data}:{problem.line}: {flat(problem.message)}" for problem in found.problems)
        if found.bad > len(found.problems):
            yield f"- and {found.bad - len(found.problems)} more"


_NOTE = "Values with their 95 % intervals (bootstrap over prompts); neither a tie nor an unscored item is right."


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    if row.value is None:
        return "–" + (f" ({row.unscored} unscored)" if row.unscored else "")
    interval = "" if row.low is None or row.high is None else f" [{row.low:.4f}, {row.high:.4f}]"
    apart = [f"{row.ties} ties"] * bool(row.ties) + [f"{row.unscored} unscored"] * bool(row.unscored)
    counted = f" ({', '.join(apart)})" if apart else ""
    return f"{row.value:.4f}{interval}{counted}"


def _compared(one: Comparison) -> list[str]:
    difference = f"{one.difference:+.4f} [{one.low:+.4f}, {one.high:+.4f}]"
    return [one.scorer, one.than, difference, f"{one.p:.3g}", one.test, str(one.n)]


def _cost(cost: Cost) -> list[str]:
    money = "–" if cost.usage.money is None else f"{cost.usage.money:.6g}"
    tokens = f"{cost.usage.prompt_tokens:,}", f"{cost.usage.completion_tokens:,}"
    return [cost.scorer, f"{cost.scores:,}", f"{cost.cached:,}", *tokens, money, f"{cost.seconds:.1f}"]
