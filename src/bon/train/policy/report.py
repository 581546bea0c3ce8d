"""The folder that training a policy leaves: its report and its model, by which a second run and a frontier know it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from bon._version import __version__
from bon.errors import DataError, UsageError
from bon.models.loading import ADAPTER
from bon.train.finished import REPORT, write_report
from bon.train.policy.card import policy_card
from bon.train.policy.identity import REFERENCE_FILES
from bon.train.policy.model import POLICY, Policy, save_policy
from bon.train.policy.outcome import PolicyReport
from bon.train.resuming import differing
from bon.train.saving import TRAINING

__all__ = ["holds_policy", "known_policy", "leave_policy", "read_run"]


def leave_policy(out: Path, policy: Policy, report: PolicyReport, *, identity: Mapping[str, Any]) -> None:
    """Write the folder: the report that `known_policy` and `read_run` read, then the model, which says all is there.

    `identity` is what makes it the same training when it is asked for again. What a second run would have gone on
    from is taken away. Raises StoreError where the disk refuses.
    """
    (out / TRAINING).mkdir(parents=True, exist_ok=True)
    write_report(out, identity, report)
    manifest = {
        "method": report.method,
        "reference": report.reference,
        "revision": report.revision,
        "adapted": report.adapt,
        "seed": report.seed,
        "bon": __version__,
        "version": 1,
    }
    save_policy(out, policy, card=policy_card(report, licence=policy.licence), manifest=manifest)
    for place in (out / TRAINING).glob("step-*"):
        shutil.rmtree(place, ignore_errors=True)


def known_policy(out: Path, identity: Mapping[str, Any]) -> PolicyReport | None:
    """The report of a folder that is done, and was trained in this way; None where there is no result yet.

    Raises UsageError for a folder with another model.
    """
    if not holds_policy(out):
        return None
    found, report = _read(out)
    differ = differing(found, identity)
    if not differ:
        return report
    if differ == [REFERENCE_FILES]:
        raise UsageError(
            f"{str(out)!r} holds a policy that was trained from {report.reference!r} as it was then, and the files of "
            "that have changed since: name another out, or bring them back as they were, with their times"
        )
    raise UsageError(
        f"{str(out)!r} holds a policy that was trained otherwise ({', '.join(differ)} differ): name another out"
    )


def holds_policy(folder: Path) -> bool:
    """Whether a policy is there that was trained to its end, with its own files: a manifest alone draws nothing."""
    shaped = any((folder / name).is_file() for name in ("config.json", ADAPTER))
    return (folder / POLICY).is_file() and shaped and any(folder.glob("*.safetensors"))


def read_run(folder: Path) -> PolicyReport:
    """The report of a training that is done, with `out` as the folder lies now.

    Raises UsageError for a folder without one, DataError for a report that cannot be read.
    """
    if not holds_policy(folder):
        raise UsageError(
            f"{str(folder)!r} holds no policy that was trained to its end (no {POLICY}, or no model beside it): run "
            "its training again, which goes on where it stopped, or leave the folder out"
        )
    return replace(_read(folder)[1], out=str(folder))


def _read(folder: Path) -> tuple[dict[str, Any], PolicyReport]:
    path = folder / TRAINING / REPORT
    try:
        found = msgspec.json.decode(path.read_bytes())
        return found["identity"], msgspec.convert(found["report"], PolicyReport)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{str(path)!r} is not the report of a training of bon ({error}): train anew") from error
