"""The model card of a process reward model: what it was made of, what it is worth, and what to beware of; pure text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bon.models.own import Manifest
from bon.train.card import ends, figures_table, front, made, percent, row, settings_table
from bon.train.step_report import StepReport

__all__ = ["step_card"]

_MEANING = {
    "loss": "cross-entropy of a labelled step, in nats",
    "accuracy": "labelled steps called what they are, at a threshold of 0.5",
    "auc": "chance that a right step has the higher score of a right and a wrong one",
    "calibration": "expected error of a step's score as the probability that it is right",
    "first_error_f1": "harmonic mean of the next two, as in ProcessBench",
    "first_error_found": "flawed solutions whose first wrong step is the first one it calls wrong",
    "flawless_found": "flawless solutions of which it calls no step wrong",
}


def step_card(report: StepReport, manifest: Manifest, settings: Mapping[str, Any], *, licence: str | None) -> str:
    """The README.md of the folder; `settings` are what the training was made with, `licence` is that of the base."""
    return "\n".join(
        [
            *front(manifest, licence),
            "# A process reward model",
            "",
            f"`prm:{report.out}` says of each step of a solution how likely it is right; the value of a solution is",
            "the least of these, or another aggregate (`?aggregate=prod`).",
            "",
            *made(report, manifest, licence, of="solutions"),
            f"It learned from {report.steps} labelled steps, by the loss {report.loss!r}; a label sits on the last",
            f"token of the separator {manifest.separator!r} after its step.",
            "",
            *figures_table(report.figures, report.before, _MEANING, of="solutions"),
            *_probes(report),
            *settings_table(settings),
        ]
    )


def _probes(report: StepReport) -> Iterator[str]:
    probes = report.probes
    yield from ("## What it can be fooled by", "")
    yield from (f"- {finding}" for finding in probes.findings or ("Nothing that was tried is sure to fool it.",))
    yield from ("", "| tried | share | 95 % interval |", "|---|---|---|")
    for name, figure in sorted(probes.beats_right.items(), key=lambda entry: -entry[1].value):
        yield row(f"beats a right solution: {name}", percent(figure), ends(figure))
    said, true = probes.length_correlation, probes.length_of_right
    yield from (
        "",
        f"Rank correlation of value and length: {_shown(said)}; of being right and length: {_shown(true)}.",
        "",
    )


def _shown(rho: float | None) -> str:
    return "none" if rho is None else f"{rho:+.3f}"
