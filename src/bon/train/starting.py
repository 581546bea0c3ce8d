"""What a training starts from: a backbone with its tokenizer, and a head; of a base, or of what bon trained before."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bon.errors import ModelError, UsageError
from bon.models.own import MANIFEST, Manifest, read_manifest

__all__ = ["Setup", "Start", "licence_of", "start"]

_LICENCE = re.compile(r"\A---\n(?:(?!---).*\n)*?license:[ ]*(\S.*)\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What is trained, as `Recipe` says how."""

    base: str = "local"
    """A transformers folder, a hub id, `gguf:FILE` or `local`."""
    revision: str | None = None
    """Of a base on a hub."""
    adapt: Literal["head", "lora", "full"] = "head"
    """What is trained with the head: nothing else (hidden states are computed once), LoRA adapters on all linear
    layers, or every weight."""
    head: Literal["linear", "mlp"] = "mlp"
    init: Path | None = None
    """A folder that bon trained: its backbone and head are what training begins with, instead of `base` and `head`."""
    rank: int = 16
    """Of the LoRA adapters (Hu et al. 2021); their alpha is twice that."""
    max_length: int | None = None
    """Most tokens of a row; longer ones are left out and counted. None: what the model has positions for."""
    features: Path | None = None
    """Where the hidden states of a head alone are kept, for other trainings on the same rows; None: beside the result,
    until it is done."""
    device: str | None = None
    """A torch device, or "auto" to spread a model over all of them; None: a GPU where there is one."""
    checkpointing: bool = False
    """Whether activations are computed twice rather than kept: a third slower, in far less memory."""

    def __post_init__(self) -> None:
        for name in ("rank", "max_length"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value!r}: give a whole number from 1")
        if self.adapt == "head" and self.checkpointing:
            raise UsageError(
                "checkpointing is for adapt='lora' or 'full': a head alone keeps no activations of its base"
            )
        if self.adapt != "head" and self.features is not None:
            raise UsageError(f"features are kept of a base that stays as it is: adapt is {self.adapt!r}, not 'head'")
        if self.revision is not None and (self.base == "local" or self.base.startswith("gguf:") or _here(self.base)):
            raise UsageError(f"revision={self.revision!r} is of a base on a hub, and base is {self.base!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a training starts from, loaded."""

    base: str
    """What the result's manifest names."""
    revision: str | None
    backbone: Any = field(repr=False)
    """A `bon.models.backbone.Backbone`."""
    head: Any = field(repr=False)
    """A head of `bon.models.heads`, float32."""
    kind: Literal["linear", "mlp"]
    """Which one it is."""
    limit: int | None
    """Most tokens of a row."""
    merge: bool
    """Whether a LoRA adapter is merged when it is saved, since nothing else could load what it lies on."""
    licence: str | None
    """The base's own, where its folder says it."""


def start(setup: Setup, *, kind: Literal["rm", "prm"], outputs: int, precision: str, seed: int) -> Start:
    """Load what `setup` names; a fresh head follows from the seed.

    Weights that are trained are float32; a frozen base has the dtype `precision`. Raises ModelError where the model
    cannot be loaded, UsageError where `init` is of another kind.
    """
    import torch

    from bon.models.from_gguf import resolved
    from bon.models.heads import load_head, make_head
    from bon.models.own import load_base, load_headless

    dtype = "float32" if setup.adapt == "full" else precision
    if setup.init is None:
        _refuse_head_alone(setup.base)
        source = resolved(setup.base)
        _refuse_too_large(source, setup, dtype)
        backbone = load_headless(source, dtype=dtype, device=setup.device, revision=setup.revision)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            head = make_head(setup.head, size=backbone.width, outputs=outputs, bias=True)
        base, revision, known = _located(setup.base), setup.revision, None
    else:
        known = _fitting(setup.init, kind, outputs)
        backbone = load_base(setup.init, known, dtype=dtype, device=setup.device)
        head = load_head(setup.init)
        unchanged = known.adapted == "head"
        base = known.base if unchanged else str(setup.init.resolve())
        revision = known.revision if unchanged else None
    return Start(
        base=base,
        revision=revision,
        backbone=backbone,
        head=head.to(backbone.model.device),
        kind=known.head if known else setup.head,
        limit=min((n for n in (setup.max_length, backbone.context) if n is not None), default=None),
        licence=licence_of(Path(backbone.name)),
        merge=base == "local" or base.startswith("gguf:") or (known is not None and known.adapted == "lora"),
    )


def licence_of(folder: Path) -> str | None:
    """What the front matter of a model card (README.md) says."""
    with suppress(OSError, UnicodeDecodeError):
        found = _LICENCE.search((folder / "README.md").read_text(encoding="utf-8"))
        return found[1].strip("\"' ") if found else None
    return None


def _refuse_too_large(source: str, setup: Setup, dtype: str) -> None:
    """Raise ModelError where there is no room for the weights and what is kept of each, let alone for passes."""
    from bon.models.loading import chosen_device
    from bon.models.memory import need_of, there

    place = chosen_device(setup.device)
    weights = need_of(source, dtype=dtype).weights
    least, what = (4 * weights, ", their gradients and two moments") if setup.adapt == "full" else (weights, "")
    room = there(place)
    if least > room:
        raise ModelError(
            f"the weights of {source!r} in {dtype}{what} take {least / 1e9:.1f} GB, and {room / 1e9:.1f} GB are there "
            f"on {place}: adapt='lora' or 'head' with precision='bfloat16' take an eighth of what training all weights "
            "does; or take a smaller base, or another device"
        )


def _located(base: str) -> str:
    """A base that lies on this disk by its whole path: what is trained on it is used from other folders too."""
    kind, path = ("gguf:", base.removeprefix("gguf:")) if base.startswith("gguf:") else ("", base)
    return f"{kind}{Path(path).expanduser().resolve()}" if base != "local" and _here(path) else base


def _here(path: str) -> bool:
    return Path(path).expanduser().exists()


def _refuse_head_alone(base: str) -> None:
    """Raise UsageError for a folder that bon trained and that has no backbone of its own."""
    folder = Path(base).expanduser()
    if (folder / MANIFEST).is_file() and (known := read_manifest(folder)).adapted == "head":
        raise UsageError(
            f"base={base!r} is a head on {known.base!r}: give that as base=, or the folder as init= to go on from both"
        )


def _fitting(init: Path, kind: str, outputs: int) -> Manifest:
    if not (init / MANIFEST).is_file():
        raise UsageError(f"init={str(init)!r} has no {MANIFEST}: give a folder that bon trained, or a model as base=")
    known = read_manifest(init)
    if (known.kind, known.outputs) != (kind, outputs):
        raise UsageError(
            f"init={str(init)!r} is a {known.kind} with {known.outputs} outputs, where a {kind} with {outputs} is "
            "trained: give its backbone as base= instead"
        )
    return known
