"""The model card of a reward model: what it was made of, what it is worth, and what to beware of; pure text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bon._version import __version__
from bon.models.own import Manifest
from bon.train.metrics import Figure
from bon.train.report import Report

__all__ = ["card"]

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
            *_front(manifest, licence),
            "# A reward model",
            "",
            f"`rm:{report.out}` gives an answer a number: the higher, the better, beside others to the same prompt.",
            "Its scale means nothing by itself.",
            "",
            *_made(report, manifest, licence),
            *_worth(report),
            *_probes(report),
            *_settings(settings),
        ]
    )


def _front(manifest: Manifest, licence: str | None) -> Iterator[str]:
    yield "---"
    if licence:
        yield f"license: {licence}"
    yield from (f"base_model: {manifest.base}", "tags: [reward-model]", "---", "")


def _made(report: Report, manifest: Manifest, licence: str | None) -> Iterator[str]:
    trained = {
        "head": f"a head ({manifest.head}) on its hidden states, which were left as they are",
        "lora": f"LoRA adapters on its linear layers and a head ({manifest.head})",
        "full": f"all of its weights and a head ({manifest.head})",
    }[report.adapt]
    done = report.done
    ended = "early, since nothing got better," if done.stopped == "patience" else "as planned"
    sizes = f"{report.train} pairs to train on, {report.watched} to stop by, {report.held_out} to measure on"
    yield from ("## What it was made of", "")
    yield f"- Base: {manifest.base}. Its licence: {licence or 'not stated where it lies; look it up first'}."
    yield f"- Trained: {trained}."
    yield f"- Data{f', of {report.source}' if report.source else ''}: {sizes}. No two of these share a prompt."
    yield from (f"- Left out: {count}, {why}." for why, count in report.left_out.items())
    yield (
        f"- It ended {ended} after {done.steps} steps ({done.epoch:.1f} epochs); the weights are those of step "
        f"{done.best_step}, where the loss on the pairs to stop by was least."
    )
    yield f"- Longest row: {manifest.max_length or 'no limit'} tokens, prompt included; longer ones are not scored."
    yield ""


def _worth(report: Report) -> Iterator[str]:
    yield from (
        "## What it is worth on pairs it has not met",
        "",
        "| figure | value | 95 % interval | before | meaning |",
    )
    yield "|---|---|---|---|---|"
    for name, figure in report.figures.items():
        before = report.before.get(name)
        yield _row(
            name, f"{figure.value:.3f}", _ends(figure), "" if before is None else f"{before:.3f}", _MEANING[name]
        )
    gain = report.probes.over_length
    yield _row("accuracy over length", f"{gain.value:+.3f}", _ends(gain), "", "less that of taking the longer answer")
    yield ""


def _probes(report: Report) -> Iterator[str]:
    probes = report.probes
    yield from ("## What it can be fooled by", "")
    yield from (f"- {finding}" for finding in probes.findings or ("Nothing that was tried is sure to fool it.",))
    yield from ("", "| tried | share | 95 % interval |", "|---|---|---|")
    yield _row("the longer answer has the higher reward", _share(probes.longer), _ends(probes.longer))
    yield _row("the longer answer was chosen", _share(probes.longer_chosen), _ends(probes.longer_chosen))
    for name, figure in probes.raises.items():
        yield _row(f"{name} raises the reward of the chosen answer", _share(figure), _ends(figure))
    for name, figure in sorted(probes.beats_chosen.items(), key=lambda entry: -entry[1].value):
        yield _row(f"beats the chosen answer: {name}", _share(figure), _ends(figure))
    rho = probes.length_correlation
    yield from (
        "",
        f"Rank correlation of reward and length within pairs: {'none' if rho is None else f'{rho:+.3f}'}.",
        "",
    )


def _settings(settings: Mapping[str, Any]) -> Iterator[str]:
    yield from ("## Settings", "", f"Trained with bon {__version__}.", "", "| setting | value |", "|---|---|")
    for name, value in settings.items():
        inner = value.items() if isinstance(value, Mapping) else [("", value)]
        yield from (_row(f"{name}.{key}" if key else name, one) for key, one in inner if one is not None)
    yield ""


def _row(*cells: object) -> str:
    return f"| {' | '.join(_cell(str(cell)) for cell in cells)} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _share(figure: Figure) -> str:
    return f"{100 * figure.value:.0f} %"


def _ends(figure: Figure) -> str:
    return "" if figure.low is None or figure.high is None else f"{figure.low:.3f} to {figure.high:.3f}"
