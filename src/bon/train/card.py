"""The model card of a reward model: what it was made of, what it is worth, and what to beware of; pure text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bon._version import __version__
from bon.models.own import Manifest
from bon.train.metrics import Figure
from bon.train.report import Report
from bon.train.step_report import StepReport

__all__ = ["card", "ends", "figures_table", "front", "made", "percent", "row", "settings_table"]

_MEANING = {
    "accuracy": "pairs whose chosen answer has the higher reward",
    "auc": "chance that a chosen answer is above a rejected one, whichever their prompts",
    "loss": "Bradley-Terry, in nats; 0.693 is a coin",
    "calibration": "expected error of 1 / (1 + exp(-gap)) as the probability of being right",
    "gap": "mean reward of the chosen answer less that of the rejected one",
}


def card(report: Report, manifest: Manifest, settings: Mapping[str, Any], *, licence: str | None) -> str:
    """The README.md of the folder; `settings` are what the training was made with, `licence` is that of the base."""
    return "\n".join(
        [
            *front(manifest, licence),
            "# A reward model",
            "",
            f"`rm:{report.out}` gives an answer a number: the higher, the better, beside others to the same prompt.",
            "Its scale means nothing by itself.",
            "",
            *made(report, manifest, licence, of="pairs"),
            *figures_table(report.figures, report.before, _MEANING, of="pairs", more=_over_length(report)),
            *_probes(report),
            *settings_table(settings),
        ]
    )


def front(manifest: Manifest, licence: str | None) -> Iterator[str]:
    """What a hub reads of a card."""
    yield "---"
    if licence:
        yield f"license: {licence}"
    yield from (f"base_model: {manifest.base}", "tags: [reward-model]", "---", "")


def made(report: Report | StepReport, manifest: Manifest, licence: str | None, *, of: str) -> Iterator[str]:
    """What it was made of; `of` are the rows that were learned from."""
    trained = {
        "head": f"a head ({manifest.head}) on its hidden states, which were left as they are",
        "lora": f"LoRA adapters on its linear layers and a head ({manifest.head})",
        "full": f"all of its weights and a head ({manifest.head})",
    }[report.adapt]
    done = report.done
    ended = "early, since nothing got better," if done.stopped == "patience" else "as planned"
    sizes = f"{report.train} {of} to train on, {report.watched} to stop by, {report.held_out} to measure on"
    yield from ("## What it was made of", "")
    yield f"- Base: {manifest.base}. Its licence: {licence or 'not stated where it lies; look it up first'}."
    yield f"- Trained: {trained}."
    yield f"- Data{f', of {report.source}' if report.source else ''}: {sizes}. No two of these share a prompt."
    yield from (f"- Left out: {count}, {why}." for why, count in report.left_out.items())
    yield (
        f"- It ended {ended} after {done.steps} steps ({done.epoch:.1f} epochs); the weights are those of step "
        f"{done.best_step}, where the loss on the {of} to stop by was least."
    )
    yield f"- Longest row: {manifest.max_length or 'no limit'} tokens, prompt included; longer ones are not scored."
    yield ""


def figures_table(
    figures: Mapping[str, Figure],
    before: Mapping[str, float],
    meaning: Mapping[str, str],
    *,
    of: str,
    more: Sequence[str] = (),
) -> Iterator[str]:
    """What was measured on held-out rows, and what each figure means; `more` rows stand at the end."""
    yield from (
        f"## What it is worth on {of} it has not met",
        "",
        "| figure | value | 95 % interval | before | meaning |",
        "|---|---|---|---|---|",
    )
    for name, figure in figures.items():
        was = f"{before[name]:.3f}" if name in before else ""
        yield row(name, f"{figure.value:.3f}", ends(figure), was, meaning[name])
    yield from (*more, "")


def _over_length(report: Report) -> list[str]:
    gain = report.probes.over_length
    return [row("accuracy over length", f"{gain.value:+.3f}", ends(gain), "", "less that of taking the longer answer")]


def _probes(report: Report) -> Iterator[str]:
    probes = report.probes
    yield from ("## What it can be fooled by", "")
    yield from (f"- {finding}" for finding in probes.findings or ("Nothing that was tried is sure to fool it.",))
    yield from ("", "| tried | share | 95 % interval |", "|---|---|---|")
    yield row("the longer answer has the higher reward", percent(probes.longer), ends(probes.longer))
    yield row("the longer answer was chosen", percent(probes.longer_chosen), ends(probes.longer_chosen))
    for name, figure in probes.raises.items():
        yield row(f"{name} raises the reward of the chosen answer", percent(figure), ends(figure))
    for name, figure in sorted(probes.beats_chosen.items(), key=lambda entry: -entry[1].value):
        yield row(f"beats the chosen answer: {name}", percent(figure), ends(figure))
    rho = probes.length_correlation
    yield from (
        "",
        f"Rank correlation of reward and length within pairs: {'none' if rho is None else f'{rho:+.3f}'}.",
        "",
    )


def settings_table(settings: Mapping[str, Any]) -> Iterator[str]:
    """What it was trained with."""
    yield from ("## Settings", "", f"Trained with bon {__version__}.", "", "| setting | value |", "|---|---|")
    for name, value in settings.items():
        inner = value.items() if isinstance(value, Mapping) else [("", value)]
        yield from (row(f"{name}.{key}" if key else name, _seen(one)) for key, one in inner if one is not None)
    yield ""


def row(*cells: object) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(_cell(str(cell)) for cell in cells)} |"


def _seen(value: object) -> object:
    """A value as it can be seen: a text of white space in quotes."""
    return repr(value) if isinstance(value, str) and not value.strip() else value


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def percent(figure: Figure) -> str:
    """A share, for people."""
    return f"{100 * figure.value:.0f} %"


def ends(figure: Figure) -> str:
    """An interval, for people."""
    return "" if figure.low is None or figure.high is None else f"{figure.low:.3f} to {figure.high:.3f}"
