"""The model card of a policy: what it was made from, what training came to, what it cost; pure text."""

from __future__ import annotations

from collections.abc import Iterator

from bon.train.card import row, settings_table
from bon.train.policy.outcome import PolicyReport

__all__ = ["policy_card"]

_ADAPTED = {
    "full": "all of its weights",
    "lora": "LoRA adapters on its linear layers",
    "last": "its last layers and the norm behind them",
}


def policy_card(report: PolicyReport, *, licence: str | None) -> str:
    """The README.md of the folder; `licence` is that of the reference, where it is known."""
    return "\n".join(
        [*_front(report, licence), *_made(report, licence), *_figures(report), *_costs(report), *_end(report)]
    )


def _front(report: PolicyReport, licence: str | None) -> Iterator[str]:
    yield "---"
    if licence:
        yield f"license: {licence}"
    yield from (f"base_model: {report.reference}", f"tags: [{report.method}]", "---", "")
    yield from ("# A policy", "", f"`hf:{report.out}` draws from it.", "")


def _made(report: PolicyReport, licence: str | None) -> Iterator[str]:
    yield from ("## What it was made of", "")
    revision = f", revision {report.revision}" if report.revision else ""
    known = licence or "not stated where it lies; look it up first"
    yield f"- Reference: {report.reference}{revision}. Its licence: {known}."
    yield f"- Method: {report.method}. Trained: {_ADAPTED.get(report.adapt, report.adapt)}."
    yield f"- {report.episodes} answers to {report.prompts} prompts, in {report.steps} steps, from seed {report.seed}."
    yield from (f"- Left out: {count}, {why}." for why, count in report.left_out.items())
    yield from (f"- {note}" for note in report.notes)
    yield ""


def _figures(report: PolicyReport) -> Iterator[str]:
    if not report.first:
        return
    yield from ("## How it went", "", "| figure | first step | last step |", "|---|---|---|")
    for name, value in report.first.items():
        last = report.last.get(name)
        yield row(name, f"{value:.4g}", "" if last is None else f"{last:.4g}")
    yield from ("", "These are of answers that it was trained on; `bon frontier` measures it on prompts held out.", "")


def _costs(report: PolicyReport) -> Iterator[str]:
    if not report.cost:
        return
    yield from ("## What it cost", "", "| part | seconds | tokens | answers |", "|---|---|---|---|")
    for name, cost in report.cost.items():
        yield row(name, f"{cost.seconds:.1f}", cost.tokens, cost.draws)
    yield ""


def _end(report: PolicyReport) -> Iterator[str]:
    yield from settings_table(report.settings)
