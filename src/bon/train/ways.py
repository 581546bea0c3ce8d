"""Two ways to train a head on a backbone: on hidden states that were read once, or the network as a whole.

Both give the loop an objective, the outputs for what is read, and in the end what is to be saved; what is learned of
outputs, and what they mean, is said by whoever trains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from bon.errors import ModelError
from bon.models.reading import Reader, Row
from bon.models.stamp import stamp
from bon.train.features import features_of, folded, spread, standardised
from bon.train.network import network, outputs_at
from bon.train.order import passes
from bon.train.recipe import Hook, Reading, Recipe
from bon.train.starting import Setup, Start

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Floats", "HeadAlone", "Judged", "Sample", "Way", "Whole", "way_of"]

Floats = npt.NDArray[np.float64]

_TOKENS = 8192
"""Tokens of a pass that only reads, where the recipe does not say."""


class Sample(Protocol):
    """What is learned from: some rows of tokens that are read at positions, and whatever the loss wants to know."""

    @property
    def reads(self) -> tuple[Row, ...]: ...


S = TypeVar("S", bound=Sample)
S_contra = TypeVar("S_contra", bound=Sample, contravariant=True)

Judged: TypeAlias = Callable[["Tensor", Sequence[S]], "tuple[Tensor, Mapping[str, Tensor]]"]
"""(outputs, samples) -> a loss a sample, shape `(samples,)`, and values to log of the same shape.

`outputs`, float32, have shape `(P, outputs)`: at all positions of all reads, sample by sample."""


class Way(Protocol[S_contra]):
    """How a head is trained, and what it says; `model` is the module that is optimised."""

    model: Any

    def losses(self, model: Any, rows: Sequence[S_contra]) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The objective of the loop."""
        ...

    def length(self, row: S_contra) -> int:
        """Tokens of a sample in a pass, padding of its shorter reads included."""
        ...

    def outputs(self, reads: Sequence[Row]) -> Floats:
        """What it says at all positions, by the weights as they are: shape `(P, outputs)`, one read after the other."""
        ...

    def result(self) -> tuple[Any, Any]:
        """The backbone as it is now, None where it is as it was, and the head on its hidden states."""
        ...


def way_of(
    start: Start,
    setup: Setup,
    judged: Judged[S],
    *,
    recipe: Recipe,
    folder: Path,
    progress: Hook | None,
    samples: tuple[Sequence[S], Sequence[S]],
) -> Way[S]:
    """The way that `setup` names. `samples` are those to train on, and others that it will be asked about.

    `folder` is where hidden states are kept, of a head alone.
    """
    if setup.adapt != "head":
        return Whole(start, setup, judged, seed=recipe.seed, tokens=recipe.tokens)
    alone = HeadAlone(start, judged, fresh=setup.init is None, folder=folder, progress=progress)
    training, others = ([read for sample in some for read in sample.reads] for some in samples)
    alone.prepare([*training, *others], training)
    return alone


class HeadAlone(Generic[S]):
    """A head on the hidden states of a frozen backbone, which reads each row once.

    Each dimension of the states is standardised over the rows that it is prepared with, since a few are hundreds of
    times larger than the others; in the end that is folded into the head's first layer, which is exact.
    """

    def __init__(
        self, start: Start, judged: Judged[S], *, fresh: bool, folder: Path, progress: Hook | None = None
    ) -> None:
        self.model = start.head
        self._start, self._judged, self._fresh, self._folder = start, judged, fresh, folder
        self._progress = progress
        self._reader = Reader(start.backbone)
        self._known: dict[Row, Tensor] = {}
        self._scale: tuple[Tensor, Tensor] | None = None

    def prepare(self, reads: Sequence[Row], training: Sequence[Row]) -> None:
        """Read rows; the scale of their dimensions is that of those which are trained on."""
        import torch

        self._known |= dict(zip(reads, self._read(reads), strict=True))
        self._scale = standardised(torch.cat([self._known[row] for row in training]))
        if not self._fresh:
            spread(self.model, *self._scale)

    def losses(self, model: Any, rows: Sequence[S]) -> tuple[Tensor, Mapping[str, Tensor]]:
        return self._judged(model(self._standard([read for row in rows for read in row.reads])).float(), rows)

    def length(self, row: S) -> int:  # noqa: ARG002  # states are all of one size
        return 1

    def outputs(self, reads: Sequence[Row]) -> Floats:
        import torch

        missing = [row for row in dict.fromkeys(reads) if row not in self._known]
        self._known |= dict(zip(missing, self._read(missing), strict=True))
        self.model.eval()
        with torch.no_grad():
            return _numbers(np.asarray(self.model(self._standard(reads)).double().cpu().numpy()))

    def result(self) -> tuple[Any, Any]:
        if self._scale is None:
            raise RuntimeError("prepare() comes before result()")
        return None, folded(self.model, *self._scale)

    def _read(self, reads: Sequence[Row]) -> list[Tensor]:
        def told(done: int, rows: int) -> None:
            if self._progress:
                self._progress(Reading(done=done, rows=rows))

        model = self._start.backbone.model
        identity = {
            "base": self._start.base,
            "revision": self._start.revision,
            "dtype": str(model.dtype),
            "model": type(model).__name__,
            "files": stamp(name) if Path(name := self._start.backbone.name).is_dir() else None,
        }
        return features_of(self._reader, reads, folder=self._folder, identity=identity, progress=told)

    def _standard(self, reads: Sequence[Row]) -> Tensor:
        import torch

        if self._scale is None:
            raise RuntimeError("prepare() comes first: it finds the scale of the states")
        mean, sd = self._scale
        states = torch.cat([self._known[row] for row in reads])
        return ((states - mean) / sd).to(next(self.model.parameters()).device)


class Whole(Generic[S]):
    """A backbone, or adapters on it, with its head: all reads of a sample go through in one pass."""

    def __init__(self, start: Start, setup: Setup, judged: Judged[S], *, seed: int, tokens: int | None) -> None:
        self.model = network(start, setup, seed=seed)
        self._judged, self._tokens = judged, tokens or _TOKENS

    def losses(self, model: Any, rows: Sequence[S]) -> tuple[Tensor, Mapping[str, Tensor]]:
        reads = [read for row in rows for read in row.reads]
        return self._judged(outputs_at(model, [read.ids for read in reads], [read.at for read in reads]), rows)

    def length(self, row: S) -> int:
        return len(row.reads) * max(len(read.ids) for read in row.reads)

    def outputs(self, reads: Sequence[Row]) -> Floats:
        import torch

        found: dict[int, Floats] = {}
        self.model.eval()
        with torch.no_grad():
            for cut in passes([len(read.ids) for read in reads], self._tokens):
                some = [reads[place] for place in cut]
                values = outputs_at(self.model, [read.ids for read in some], [read.at for read in some])
                ends = np.cumsum([len(read.at) for read in some])[:-1]
                found |= dict(zip(cut, np.split(values.double().cpu().numpy(), ends), strict=True))
        return _numbers(np.concatenate([found[place] for place in range(len(reads))]))

    def result(self) -> tuple[Any, Any]:
        return self.model.backbone, self.model.head


def _numbers(outputs: Floats) -> Floats:
    """The outputs, all of which are finite. Raises ModelError where training has gone astray."""
    if np.isfinite(outputs).all():
        return outputs
    raise ModelError(
        "the model gives outputs that are no numbers: its weights are none any more, or its dtype is too narrow; train "
        "anew, in another folder, with a smaller lr, or with precision='float32'"
    )
