"""The folder that a training leaves: written beside its place and moved there, its manifest last; trains nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

from bon.models.loading import quiet
from bon.models.own import HEAD, MANIFEST, Manifest, write_manifest
from bon.train.files import as_store_error, sync, whole
from bon.train.network import merged
from bon.train.starting import Setup, Start

__all__ = ["TRAINING", "manifest_of", "save_folder"]

TRAINING = "training"
"""Where in the folder a training keeps its checkpoints and what it measured while it was under way."""


def manifest_of(
    start: Start,
    setup: Setup,
    *,
    kind: Literal["rm", "prm"],
    loss: str,
    outputs: int = 1,
    separator: str | None = None,
    steps: str | None = None,
) -> Manifest:
    """What the folder will say of itself."""
    merged = setup.adapt == "lora" and start.merge
    return Manifest(
        kind=kind,
        base=start.base,
        revision=start.revision,
        adapted="full" if merged else setup.adapt,
        head=start.kind,
        outputs=outputs,
        max_length=start.limit,
        separator=separator,
        steps=steps,
        loss=loss,
    )


def save_folder(folder: Path, start: Start, *, model: Any, head: Any, manifest: Manifest, card: str) -> None:
    """Write what was trained: the head, the model card, and the backbone or its adapter where they were changed.

    `model` is the backbone as it is after training, with its adapters; None where only a head was trained. A folder
    without a manifest is not whole, and it is written last. Raises StoreError where the disk refuses.
    """
    from bon.models.heads import save_head

    for left in folder.glob("result*"):  # by one that was stopped here
        shutil.rmtree(left, ignore_errors=True)
    with as_store_error("the model", folder), whole(folder / "result") as part:
        part.mkdir(parents=True)
        save_head(part / HEAD, head)
        if manifest.adapted != "head":
            with quiet():
                _save_model(part, start, model, manifest)
        (part / "README.md").write_text(card, encoding="utf-8")  # peft has written one of its own
        write_manifest(part, manifest)
    with as_store_error("the model", folder):
        for file in sorted((folder / "result").iterdir(), key=lambda file: file.name == MANIFEST):
            file.replace(folder / file.name)
        (folder / "result").rmdir()
        sync(folder)


def _save_model(folder: Path, start: Start, model: Any, manifest: Manifest) -> None:
    if manifest.adapted == "lora":
        for config in model.peft_config.values():
            config.base_model_name_or_path, config.revision = start.base, start.revision
        model.save_pretrained(str(folder), save_embedding_layers=False)  # else it asks the hub whether they changed
    else:
        plain = merged(model) if hasattr(model, "merge_and_unload") else model
        plain.save_pretrained(str(folder))
    start.backbone.tokenizer.save_pretrained(str(folder))
