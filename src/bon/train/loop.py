"""The one loop that optimises weights, whatever is trained: it steps, evaluates, stops early, and resumes exactly.

Everything random follows from the seed and the step, and a checkpoint holds weights, optimiser and figures: a run that
was stopped anywhere and run again ends with the same bits as one that was not, on the same machine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from bon.errors import ModelError, StoreError, UsageError
from bon.store.appending import append
from bon.train import checkpoints
from bon.train.files import owned
from bon.train.order import learning_rate, passes, rows_of, seed_of, steps_an_epoch, steps_in_all
from bon.train.place import Place, libraries
from bon.train.recipe import Done, Recipe, Step, Task
from bon.train.resuming import cut_after, moments, refill, require_same, restore

__all__ = ["METRICS", "fit"]

R = TypeVar("R")

METRICS = "metrics.jsonl"
"""One line a step, and one an evaluation."""


def fit(
    model: Any,
    task: Task[R],
    recipe: Recipe,
    *,
    folder: Path,
    identity: Mapping[str, Any] | None = None,
    device: str | None = None,
    progress: Callable[[Step], None] | None = None,
) -> Done:
    """Optimise the weights of `model` that ask for gradients, in place; it ends with the best weights it had.

    `folder` keeps checkpoints and `metrics.jsonl`. Where it holds a checkpoint of the same training it is continued;
    `identity` is what makes it the same besides the recipe, the rows' number and the weights' shapes (data, base ...).

    Raises UsageError where the checkpoint is of another training, or there is nothing to train; ModelError, which says
    what to do, where a loss or a gradient is not finite (weights are left as they were before that step); StoreError
    where the disk refuses; MissingExtra without torch.
    """
    libraries()
    if not task.rows:
        raise UsageError("there are no rows to train on")
    place = Place(device)
    with owned(folder) if place.first else nullcontext(), place.own_random():
        return _Run(model, task, recipe, folder, place, identity or {}, progress).to_end()


@dataclass(slots=True, kw_only=True)
class _State:
    """How far a training has come; with the weights and the optimiser it is all there is to know."""

    step: int = 0
    loss: float | None = None
    best: dict[str, float] = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)
    best_step: int = 0
    waited: int = 0
    """Evaluations since the best one."""
    stopped: str | None = None


class _Run(Generic[R]):
    """One training, from where it stands to its end."""

    def __init__(
        self,
        model: Any,
        task: Task[R],
        recipe: Recipe,
        folder: Path,
        place: Place,
        identity: Mapping[str, Any],
        progress: Callable[[Step], None] | None,
    ) -> None:
        import torch

        self.task, self.recipe, self.folder, self.place = task, recipe, folder, place
        self.progress = progress or _unheard
        self.wrapped = place.prepare(model)
        self.model = model
        self.trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        if not self.trained:
            raise UsageError("no weight of the model asks for gradients: there is nothing to train")
        self.optimizer = torch.optim.AdamW(
            self.trained.values(), lr=recipe.lr, eps=recipe.adam_eps, weight_decay=recipe.weight_decay
        )
        self.steps = steps_in_all(len(task.rows), recipe)
        self.epoch = steps_an_epoch(len(task.rows), recipe)
        self.state = _State()
        self.identity = {
            **{name: value for name, value in asdict(recipe).items() if name != "save_seconds"},
            "rows": len(task.rows),
            "weights": {name: list(weight.shape) for name, weight in self.trained.items()},
            **identity,
        }
        self.kept: checkpoints.Checkpoint | None = None
        self.begun = self.saved = time.monotonic()

    def to_end(self) -> Done:
        if not self._resumed():
            self._tell({}, self._evaluated())
        while self.state.stopped is None:
            with self.place.enough_memory():
                figures = self._step()
            due = self.state.step % (self.recipe.evaluate or self.epoch) == 0 or self.state.step == self.steps
            held_out = self._evaluated() if due else None
            if self.state.step == self.steps:
                self.state.stopped = "done"
            elif self.recipe.patience is not None and self.state.waited >= self.recipe.patience:
                self.state.stopped = "patience"
            self._record({"step": self.state.step, **figures})
            self._tell(figures, held_out)
        state = self.state
        self._load(checkpoints.BEST)
        self.place.wait()  # whoever takes the checkpoints away does so when all have read them
        self.model.eval()
        return Done(
            steps=state.step,
            epoch=state.step / self.epoch,
            stopped="patience" if state.stopped == "patience" else "done",
            best_step=state.best_step,
            first=state.first,
            best=state.best,
            loss=state.loss,
        )

    def _tell(self, figures: Mapping[str, float], held_out: Mapping[str, float] | None) -> None:
        """Record what an evaluation found, then make a checkpoint where one is due, then tell the hook."""
        state = self.state
        if held_out is not None and self.task.held_out:
            self._record({"step": state.step, "held_out": held_out})
        due = self.place.agreed(time.monotonic() - self.saved >= self.recipe.save_seconds)
        if held_out is not None or due:
            self._save()
        self.progress(
            Step(
                step=state.step,
                steps=self.steps,
                epoch=state.step / self.epoch,
                figures=figures,
                held_out=held_out if self.task.held_out else None,
                seconds=time.monotonic() - self.begun,
            )
        )

    def _step(self) -> dict[str, float]:
        """One step of the optimiser; how it went, over all of its rows."""
        import torch

        task, recipe, place, step = self.task, self.recipe, self.place, self.state.step
        rows = [task.rows[i] for i in rows_of(step, len(task.rows), recipe)]
        weight = math.fsum(task.weight(row) for row in rows)
        share = rows[place.process :: place.processes] or rows[:1]  # a process without rows computes one for nothing
        idle = place.process >= len(rows)
        cuts = passes([task.length(row) for row in share], recipe.tokens)
        rate = learning_rate(step, self.steps, recipe)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        sums: dict[str, float] = {}
        self.wrapped.train()
        self.optimizer.zero_grad(set_to_none=True)
        for number, cut in enumerate(cuts):
            torch.manual_seed(seed_of("dropout", recipe.seed, step, number, place.process))
            with place.alone(self.wrapped, last=number == len(cuts) - 1):
                with self._precision():
                    losses, logged = task.objective(self.wrapped, [share[i] for i in cut])
                loss = losses.float().sum() * (0.0 if idle else place.processes / weight)
                loss.backward()  # type: ignore[no-untyped-call]
            for name, values in {"loss": losses, **logged}.items():
                sums[name] = sums.get(name, 0.0) + (0.0 if idle else float(values.detach().float().sum()))
        clip = math.inf if recipe.clip is None else recipe.clip
        norm = float(torch.nn.utils.clip_grad_norm_(self.trained.values(), clip))
        totals = place.total(sums)
        figures = {name: value / (weight if name == "loss" else len(rows)) for name, value in totals.items()}
        if not (math.isfinite(figures["loss"]) and math.isfinite(norm)):
            raise self._diverged(figures["loss"], norm, rate)
        self.optimizer.step()
        self.state.step, self.state.loss = step + 1, figures["loss"]
        return {**figures, "lr": rate, "grad_norm": norm}

    def _precision(self) -> Any:
        import torch

        if self.recipe.precision == "float32":
            return nullcontext()
        return torch.autocast(self.place.device.type, dtype=torch.bfloat16)

    def _diverged(self, loss: float, norm: float, rate: float) -> ModelError:
        recipe = self.recipe
        others = "precision='float32', " if recipe.precision != "float32" else ""
        others += "gradient clipping (clip=1.0), " if recipe.clip is None else ""
        return ModelError(
            f"step {self.state.step + 1} of {self.steps} has a loss of {loss} and a gradient of norm {norm} at a "
            f"learning rate of {rate:.3g}: nothing can be learned from there, and the same settings would come to it "
            f"again. Train anew, in another folder, with a smaller lr ({recipe.lr / 10:.1g}), {others}or without rows "
            f"that are not numbers; checkpoints up to that step are kept in {str(self.folder)!r}"
        )

    def _evaluated(self) -> dict[str, float]:
        """Figures on held-out rows; what they say of the weights goes into the state."""
        import torch

        state, task = self.state, self.task
        if task.held_out is None:
            state.best_step = state.step
            return {}
        self.model.eval()
        with torch.no_grad(), self._precision():
            figures: dict[str, float] = self.place.agreed(dict(task.held_out(self.model)))
        if task.watch not in figures:
            raise UsageError(f"there is no figure {task.watch!r} to watch: there are {', '.join(figures)}")
        value, best = figures[task.watch], state.best.get(task.watch, -math.inf if task.higher else math.inf)
        if not math.isfinite(value):
            raise ModelError(
                f"{task.watch} on held-out rows is {value} after step {state.step}: the weights are no numbers any "
                f"more; train anew with a smaller lr ({self.recipe.lr / 10:.1g})"
            )
        if value > best if task.higher else value < best:
            state.best, state.best_step, state.waited = figures, state.step, 0
        else:
            state.waited += 1
        if state.step == 0:
            state.first = figures
        return figures

    def _record(self, row: Mapping[str, Any]) -> None:
        if self.place.first:
            append(self.folder / METRICS, msgspec.json.encode(row))

    def _save(self) -> None:
        """A checkpoint of how it stands, with the best weights so far."""
        self.saved = time.monotonic()
        state = self.state
        if self.place.first:
            best = None if state.best_step == state.step or self.kept is None else self.kept.folder / checkpoints.BEST
            self.kept = checkpoints.save(
                self.folder,
                state.step,
                {"training": asdict(state), "identity": self.identity},
                {checkpoints.WEIGHTS: self.trained, checkpoints.OPTIMIZER: moments(self.optimizer, self.trained)},
                best=best,
            )
        self.place.wait()

    def _resumed(self) -> bool:
        """Whether the folder has a checkpoint, which it then goes on from."""
        self.kept = checkpoints.latest(self.folder)
        if self.kept is not None:
            require_same(self.kept.state["identity"], self.identity, self.folder)
            self.state = msgspec.convert(self.kept.state["training"], _State)
            self._load(checkpoints.WEIGHTS)
            restore(self.optimizer, self.trained, self.kept.tensors(checkpoints.OPTIMIZER))
        if self.place.first and (self.folder / METRICS).exists():
            cut_after(self.folder / METRICS, self.state.step if self.kept else -1)
        self.place.wait()
        return self.kept is not None

    def _load(self, name: str) -> None:
        """The weights of a file of the checkpoint, into the model."""
        kept = self.kept if self.place.first else checkpoints.latest(self.folder)  # which the first one has written
        if kept is None:
            raise StoreError(f"the checkpoint in {str(self.folder)!r} has gone while it was trained from: run it again")
        refill(self.trained, kept.tensors(name))


def _unheard(step: Step) -> None:
    """Progress that nobody asked for."""
