"""Two ways to train rewards of answers: a head on hidden states that were read once, or the network as a whole.

Both give the loop rows and an objective, rewards of encoded answers, and in the end what is to be saved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from bon.train.features import features_of, folded, spread, standardised
from bon.train.losses import bradley_terry
from bon.train.network import network, outputs_at
from bon.train.order import passes
from bon.train.recipe import Hook, Reading
from bon.train.starting import Setup, Start

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Encoded", "Floats", "HeadAlone", "Way", "Whole"]

Ids = tuple[int, ...]
Floats = npt.NDArray[np.float64]

_TOKENS = 8192
"""Tokens of a pass that only reads, where the recipe does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """A pair as token ids; the reward of an answer is read at its last token."""

    chosen: Ids
    rejected: Ids
    margin: float
    target: float


class Way(Protocol):
    """How rewards are trained and read; `model` is the module that is optimised."""

    model: Any

    def losses(self, model: Any, rows: Sequence[Encoded]) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The objective of the loop."""
        ...

    def length(self, row: Encoded) -> int:
        """Tokens of a row in a pass, padding of its shorter answer included."""
        ...

    def rewards(self, answers: Sequence[Ids]) -> Floats:
        """Rewards of answers, shape `(n,)`, by the weights as they are."""
        ...

    def result(self) -> tuple[Any, Any]:
        """The backbone as it is now, None where it is as it was, and the head on its hidden states."""
        ...


class HeadAlone:
    """A head on the hidden states of a frozen backbone, which reads each answer once.

    Each dimension of the states is standardised over the answers that it is prepared with, since a few are hundreds of
    times larger than the others; in the end that is folded into the head's first layer, which is exact.
    """

    def __init__(self, start: Start, *, centre: float, fresh: bool, folder: Path, progress: Hook | None = None) -> None:
        from bon.models.reading import Reader

        self.model = start.head
        self._start, self._centre, self._fresh, self._folder = start, centre, fresh, folder
        self._progress = progress
        self._reader = Reader(start.backbone)
        self._known: dict[Ids, Tensor] = {}
        self._scale: tuple[Tensor, Tensor] | None = None

    def prepare(self, answers: Sequence[Ids], training: Sequence[Ids]) -> None:
        """Read answers; the scale of their dimensions is that of those which are trained on."""
        import torch

        self._known |= dict(zip(answers, self._read(answers), strict=True))
        self._scale = standardised(torch.stack([self._known[ids] for ids in training]))
        if not self._fresh:
            spread(self.model, *self._scale)

    def losses(self, model: Any, rows: Sequence[Encoded]) -> tuple[Tensor, Mapping[str, Tensor]]:
        states = self._standard([*(row.chosen for row in rows), *(row.rejected for row in rows)])
        return _losses(model(states)[:, 0], rows, self._centre)

    def length(self, row: Encoded) -> int:  # noqa: ARG002  # states are all of one size
        return 1

    def rewards(self, answers: Sequence[Ids]) -> Floats:
        import torch

        missing = [ids for ids in dict.fromkeys(answers) if ids not in self._known]
        self._known |= dict(zip(missing, self._read(missing), strict=True))
        with torch.no_grad():
            return np.asarray(self.model(self._standard(answers))[:, 0].double().cpu().numpy())

    def result(self) -> tuple[Any, Any]:
        if self._scale is None:
            raise RuntimeError("prepare() comes before result()")
        return None, folded(self.model, *self._scale)

    def _read(self, answers: Sequence[Ids]) -> list[Tensor]:
        from bon.models.reading import Row

        def told(done: int, rows: int) -> None:
            if self._progress:
                self._progress(Reading(done=done, rows=rows))

        model = self._start.backbone.model
        states = features_of(
            self._reader,
            [Row(ids=ids, at=(len(ids) - 1,)) for ids in answers],
            folder=self._folder,
            identity={
                "base": self._start.base,
                "revision": self._start.revision,
                "dtype": str(model.dtype),
                "model": type(model).__name__,
            },
            progress=told,
        )
        return [state[0] for state in states]

    def _standard(self, answers: Sequence[Ids]) -> Tensor:
        import torch

        if self._scale is None:
            raise RuntimeError("prepare() comes first: it finds the scale of the states")
        mean, sd = self._scale
        states = torch.stack([self._known[ids] for ids in answers])
        return ((states - mean) / sd).to(next(self.model.parameters()).device)


class Whole:
    """A backbone, or adapters on it, with its head: chosen and rejected answers go through in one pass."""

    def __init__(self, start: Start, setup: Setup, *, centre: float, seed: int, tokens: int | None) -> None:
        self.model = network(start, setup, seed=seed)
        self._centre, self._tokens = centre, tokens or _TOKENS

    def losses(self, model: Any, rows: Sequence[Encoded]) -> tuple[Tensor, Mapping[str, Tensor]]:
        answers = [*(row.chosen for row in rows), *(row.rejected for row in rows)]
        rewards = outputs_at(model, answers, [[len(ids) - 1] for ids in answers])[:, 0]
        return _losses(rewards, rows, self._centre)

    def length(self, row: Encoded) -> int:
        return 2 * max(len(row.chosen), len(row.rejected))

    def rewards(self, answers: Sequence[Ids]) -> Floats:
        import torch

        found = np.zeros(len(answers))
        with torch.no_grad():
            for cut in passes([len(ids) for ids in answers], self._tokens):
                some = [answers[place] for place in cut]
                values = outputs_at(self.model, some, [[len(ids) - 1] for ids in some])[:, 0]
                found[cut] = values.double().cpu().numpy()
        return found

    def result(self) -> tuple[Any, Any]:
        return self.model.backbone, self.model.head


def _losses(rewards: Tensor, rows: Sequence[Encoded], centre: float) -> tuple[Tensor, Mapping[str, Tensor]]:
    import torch

    chosen, rejected = rewards.float().chunk(2)
    margin = torch.tensor([row.margin for row in rows], device=chosen.device)
    target = torch.tensor([row.target for row in rows], device=chosen.device)
    losses = bradley_terry(chosen, rejected, margin=margin, target=target, centre=centre)
    return losses, {"accuracy": (chosen > rejected).float(), "gap": chosen - rejected}
