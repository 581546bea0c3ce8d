"""How near trained policies come to best-of-N: `bon.frontier` measures them on test prompts, and writes the page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bon._version import __version__
from bon.api.measuring import Hearing, Studio, Trial
from bon.api.origins import origin
from bon.api.prompts import as_prompt
from bon.api.rewards import require_pointwise
from bon.api.shared import shared_builder
from bon.errors import UsageError
from bon.evaluation.frontier.gathering import measured_of, reference_of
from bon.evaluation.frontier.measured import Frontier, Measured, Reference
from bon.evaluation.frontier.notes import adapted_otherwise, seen_in_training
from bon.evaluation.frontier.page import frontier_page
from bon.evaluation.frontier.summary import summarise
from bon.ledger import Ledger
from bon.protocols import Scorer
from bon.registry import BuiltScorer
from bon.score import ScorerLike
from bon.store.jsonl import write_atomic
from bon.store.prompts import read_prompts
from bon.train.policy.learned import known_learned, prompt_digest
from bon.train.policy.outcome import PolicyReport
from bon.train.policy.report import read_run
from bon.types import Pool, Prompt

__all__ = ["frontier"]

_SAID = frozenset({"seed", "reference", "revision", "adapt", "rank", "layers"})
"""Settings that are the same for all, or are said in another way."""
_TOKENS = 64
"""Of an answer, where no training says it."""


def frontier(
    runs: Sequence[str | Path],
    prompts: str | Path | Iterable[str | Prompt],
    *,
    scorer: str | ScorerLike,
    by: str | ScorerLike | None = None,
    out: str | Path | None = None,
    folder: str | Path | None = None,
    trial: Trial | None = None,
    ledger: Ledger | None = None,
    progress: Hearing | None = None,
) -> Frontier:
    """Measure policies that bon trained from one reference on test prompts, beside best-of-N of it; it blocks.

    `runs` are their folders, `prompts` a file or prompts that were not trained on. `scorer` gives the rewards that are
    measured; `by` is what best-of-N chooses by, where that is another one. `trial` says how many answers are drawn,
    at which temperatures. `out` is the page of HTML. In `folder` what was drawn and scored is kept, as pools, and the
    same call goes on with it; without one it is kept beside the page (`frontier.html` -> `frontier-draws`), or nowhere.

    Raises UsageError for folders without a finished training, trainings from different references, and a scorer of
    whole pools; MissingExtra without altair where there is an `out`; and what drawing and scoring raise.
    """
    reports = [_own_method(read_run(Path(run))) for run in runs]
    reference, revision = _one_reference(reports)
    asked = _asked(prompts)
    how = trial or Trial()
    heat, length = _decoding(reports, how)
    measuring, *others = _pointwise([scorer] if by is None else [scorer, by])
    scorers: dict[str, Scorer] = {one.name: one for one in (measuring, *others)}
    chosen = others[0].name if others else None
    with ExitStack() as stack:
        place = _place(out, folder, stack)
        studio = Studio(place, asked, how, reference=reference, revision=revision, ledger=ledger, progress=progress)
        found: list[Measured] = []
        references: list[Reference] = []
        settings = _settings(reports)
        for temperature in heat:
            samples = studio.samples(how.measuring(temperature, length, draws=how.samples), scorers)
            known = reference_of(samples, name=reference, temperature=temperature, by=measuring.name, chosen=chosen)
            references.append(known)
            for report, setting in zip(reports, settings, strict=True):
                drawing = how.measuring(temperature, length, draws=how.draws)
                answers = studio.answers(report, drawing, {measuring.name: measuring})
                found.append(_measured(answers, known, report, by=measuring.name, setting=setting))
    made = summarise(found, references[0], scorer=measuring.name, seed=how.seed)
    made = replace(made, settings=asdict(how), notes=[*made.notes, *_notes(reports, asked)])
    if out is not None:
        write_page(made, Path(out), runs=[Path(run) for run in runs])
    return made


def _measured(answers: Sequence[Pool], known: Reference, report: PolicyReport, *, by: str, setting: str) -> Measured:
    """What one policy's answers come to."""
    cost = {part: asdict(spent) for part, spent in report.cost.items()}
    return measured_of(
        answers, known, by=by, run=report.out, method=report.method, setting=setting, seed=report.seed, cost=cost
    )


def write_page(found: Frontier, out: Path, *, runs: Sequence[Path]) -> None:
    """Write the page of a frontier, whole or not at all. Raises MissingExtra without altair."""
    title = f"Frontier: {', '.join(dict.fromkeys(run.parent.name or run.name for run in runs))}"
    facts = [f"made by bon {__version__}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"]
    text = frontier_page(found, title=title, facts=facts)
    write_atomic(out, iter(text.encode("utf-8", errors="replace").splitlines()))


def _place(out: str | Path | None, folder: str | Path | None, stack: ExitStack) -> Path:
    """Where draws are kept."""
    if folder is not None:
        return Path(folder)
    if out is not None:
        return Path(out).with_name(f"{Path(out).stem}-draws")
    return Path(stack.enter_context(TemporaryDirectory(prefix="bon-")))


def _asked(prompts: str | Path | Iterable[str | Prompt]) -> list[Prompt]:
    asked = list(read_prompts(prompts)) if isinstance(prompts, str | Path) else [as_prompt(each) for each in prompts]
    if not asked:
        raise UsageError("there are no prompts to measure on")
    return asked


def _pointwise(given: Sequence[str | ScorerLike]) -> list[BuiltScorer]:
    """Scorers that are asked about one answer at a time."""
    made = [shared_builder().scorer(each) for each in given]
    for one in made:
        require_pointwise(one)
    return made


def _one_reference(reports: Sequence[PolicyReport]) -> tuple[str, str | None]:
    """What all were trained from, as the first of them calls it."""
    found = {origin(*named): named for named in ((each.reference, each.revision) for each in reversed(reports))}
    if len(found) != 1:
        each = (f"{name}{f' ({revision})' if revision else ''}" for name, revision in reversed(found.values()))
        told = ", ".join(each) or "none"
        raise UsageError(
            f"a frontier is of policies trained from one reference, and these are from {told}: give those of one"
        )
    return next(iter(found.values()))


def _own_method(report: PolicyReport) -> PolicyReport:
    """The report of a training that did what the released code does, under that name, which older folders lack."""
    if _flat(report).get("mode") != "authors" or not report.method.startswith("vbon") or "authors" in report.method:
        return report
    return replace(report, method=f"{report.method.replace('l1', 'l')}-authors")


def _notes(reports: Sequence[PolicyReport], asked: Sequence[Prompt]) -> list[str]:
    """What a reader must know of how the policies were trained."""
    adapted = adapted_otherwise({report.out: _adapted(report, long=True) for report in reports})
    learned = {report.out: known_learned(Path(report.out)) for report in reports}
    return [*([adapted] if adapted else []), *seen_in_training([prompt_digest(prompt) for prompt in asked], learned)]


def _adapted(report: PolicyReport, *, long: bool = False) -> str:
    """Which weights a training changed: `full`, `lora 16`, `last 2`; `long`: `lora (rank 16)`, `last (2 layers)`."""
    own = _flat(report)
    much = {"lora": ("rank {}", own.get("rank")), "last": ("{} layers", own.get("layers"))}.get(report.adapt)
    if much is None or much[1] is None:
        return report.adapt
    return f"{report.adapt} ({much[0].format(much[1])})" if long else f"{report.adapt} {much[1]}"


def _decoding(reports: Sequence[PolicyReport], trial: Trial) -> tuple[list[float], int]:
    """The temperatures and the length: as asked for, else those that all trainings have in common."""
    trained = {
        name: {_flat(report)[name] for report in reports if name in _flat(report)}
        for name in ("temperature", "max_tokens")
    }
    for name, given in (("temperature", trial.temperatures), ("max_tokens", trial.max_tokens)):
        if not given and len(trained[name]) > 1:
            told = ", ".join(f"{value:g}" for value in sorted(trained[name]))
            raise UsageError(
                f"the policies were trained at several values of {name} ({told}): say at which one to measure"
            )
    heat = trial.temperatures or tuple(trained["temperature"]) or (1.0,)
    length = trial.max_tokens or next(iter(trained["max_tokens"]), _TOKENS)
    if len(set(heat)) < len(heat) or any(not value > 0 for value in heat):
        raise UsageError(f"temperatures {', '.join(map(str, heat))}: each is above 0, and there once")
    return list(heat), int(length)


def _flat(report: PolicyReport) -> dict[str, Any]:
    """The settings of a training, those of its parts among them; what is not set is left out."""
    found: dict[str, Any] = {}
    for name, value in report.settings.items():
        found.update(value if isinstance(value, Mapping) else {name: value})
    return {name: value for name, value in found.items() if value is not None}


def _settings(reports: Sequence[PolicyReport]) -> list[str]:
    """What sets each run apart from others of its method: N or beta, which weights it trained where others trained
    other ones, and what else differs where these are equal.
    """
    own = [_flat(report) for report in reports]
    weights: dict[str, set[str]] = defaultdict(set)
    for report in reports:
        weights[report.method].add(_adapted(report))
    heads = [
        (
            report.method,
            *(f"{name}={_told(each[name])}" for name in ("n", "beta") if name in each),
            *([_adapted(report)] if len(weights[report.method]) > 1 else []),
        )
        for report, each in zip(reports, own, strict=True)
    ]
    values: dict[tuple[tuple[str, ...], str], set[str]] = defaultdict(set)
    for head, each in zip(heads, own, strict=True):
        for name in {*each} - _SAID:
            values[head, name].add(repr(each[name]))
    return [
        ", ".join([*head[1:], *(f"{name}={_told(each[name])}" for name in each if len(values[head, name]) > 1)])
        for head, each in zip(heads, own, strict=True)
    ]


def _told(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
