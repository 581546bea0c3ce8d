"""Where a training runs: on one device, or as one of several processes, each with a device; it trains nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from bon.errors import MissingExtra, ModelError, UsageError

__all__ = ["Place", "libraries"]


def libraries() -> Any:
    """Finds torch. Raises MissingExtra where it is not installed."""
    try:
        import accelerate  # noqa: F401
        import safetensors  # noqa: F401
        import torch
    except ImportError as error:
        raise MissingExtra(error.name or "torch", extra="torch", needed_for="bon train") from error
    return torch


class Place:
    """A device, and how many processes share the work.

    Alone it is plain torch: accelerate's state is one for a whole process, and could not be on the CPU now and on a GPU
    later. Under torchrun or `accelerate launch` each process computes its share of each step, on a device of its own.
    """

    def __init__(self, device: str | None = None) -> None:
        torch = libraries()
        self._accelerator = _accelerator(device) if int(os.environ.get("WORLD_SIZE", "1")) > 1 else None
        accelerator = self._accelerator
        best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        self.device = accelerator.device if accelerator else torch.device(best if device in (None, "auto") else device)
        self.processes: int = accelerator.num_processes if accelerator else 1
        self.process: int = accelerator.process_index if accelerator else 0

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files and tells people."""
        return self.process == 0

    def prepare(self, model: Any) -> Any:
        """The model on its device, its gradients averaged over processes."""
        if self._accelerator:
            return self._accelerator.prepare_model(model)
        spread = getattr(model, "hf_device_map", None)  # on several devices already
        return model if spread and len(set(spread.values())) > 1 else model.to(self.device)

    def alone(self, model: Any, *, last: bool) -> AbstractContextManager[Any]:
        """Around a pass: gradients stay in this process, unless it is the last pass of a step."""
        return self._accelerator.no_sync(model) if self._accelerator and not last else nullcontext()

    def total(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Sums over processes."""
        if not self._accelerator:
            return dict(sums)
        import torch

        table = torch.tensor(list(sums.values()), dtype=torch.float64, device=self.device)
        return dict(zip(sums, self._accelerator.reduce(table, "sum").tolist(), strict=True))

    def agreed(self, value: Any) -> Any:
        """What the first process says, in all of them."""
        if not self._accelerator:
            return value
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]

    def wait(self) -> None:
        """Wait for all processes."""
        if self._accelerator:
            self._accelerator.wait_for_everyone()

    @contextmanager
    def enough_memory(self) -> Iterator[None]:
        """Around a step: what torch says when memory runs out, as a ModelError that says what to do."""
        import torch

        try:
            yield
        except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
            if isinstance(error, RuntimeError) and "memory" not in str(error).lower():
                raise
            raise ModelError(
                f"there is not enough memory on {self.device} for a step ({str(error).splitlines()[0]}): take fewer "
                "tokens a pass, checkpointing, bfloat16, adapters or a head alone, or leave out the longest rows "
                "(max_length); what was trained so far is kept"
            ) from error

    @contextmanager
    def own_random(self) -> Iterator[None]:
        """Leaves torch's random numbers as they were: a training has its own."""
        import torch

        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            yield


def _accelerator(device: str | None) -> Any:
    """What joins this process to the others. Raises UsageError where it does not find them."""
    import torch
    from accelerate import Accelerator

    if device not in (None, "auto"):
        raise UsageError(f"device {device!r}: where several processes train, each has its own; leave it out")
    wanted = os.environ["WORLD_SIZE"]
    try:
        # Unless it is told to, it joins no processes on a CPU: each of them would take itself for the only one.
        found = Accelerator(cpu=not torch.cuda.is_available())
    except ValueError as error:
        raise _lost(wanted, str(error)) from error
    if found.num_processes == 1:
        raise _lost(wanted, "accelerate finds one alone")
    return found


def _lost(wanted: str, why: str) -> UsageError:
    return UsageError(
        f"WORLD_SIZE says that {wanted} processes train together, and this one does not find the others ({why}): start "
        f"them with torchrun --nproc-per-node {wanted} -m bon train ..., or take WORLD_SIZE out of the environment"
    )
