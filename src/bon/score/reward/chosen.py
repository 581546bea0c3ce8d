"""The model on this machine that a scorer was asked for: what is known of it, and opening it; it scores nothing."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from bon.errors import ModelError
from bon.models.stamp import stamp
from bon.score.reward.aliases import alias_of, aliases
from bon.score.reward.domain import domain_of
from bon.score.reward.families import checkpoint_of
from bon.score.reward.family import Checkpoint, Options
from bon.score.reward.memory import said
from bon.types import Prompt

if TYPE_CHECKING:
    from bon.models.backbone import Backbone
    from bon.models.reading import Reader

__all__ = ["Chosen", "Opened", "Readable", "say_on_stderr"]

_CALLED = {"rm": "reward model", "prm": "process reward model"}
_OPTIONAL = ("output", "template", "instruct")
"""Options that not every family reads."""


class Readable(Protocol):
    """What is loaded: a judge of answers or a critic of steps."""

    @property
    def backbone(self) -> Backbone: ...


R = TypeVar("R", bound=Readable)
R_co = TypeVar("R_co", bound=Readable, covariant=True)


class Adapter(Protocol[R_co]):
    """How a checkpoint is read: a family of reward models or a format of process reward models."""

    @property
    def name(self) -> str: ...
    @property
    def reads(self) -> tuple[str, ...]: ...
    @property
    def load(self) -> Callable[[Checkpoint, Options], R_co]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened(Generic[R]):
    """A model that is loaded, and what reads hidden states out of it."""

    model: R
    reader: Reader


def say_on_stderr(line: str) -> None:
    """Tell whoever sits there."""
    sys.stderr.write(f"bon: {line}\n")


class Chosen:
    """A model by the folder, the id or the short name that a spec has for it, and how it is to be loaded.

    `kind` is that of the spec; `tokens` how many are read at a time, None for the usual; `say` takes lines for whoever
    runs it.
    """

    def __init__(
        self,
        kind: Literal["rm", "prm"],
        source: str | Path,
        *,
        name: str | None,
        family: str | None,
        options: Options | None,
        tokens: int | None,
        say: Callable[[str], None],
    ) -> None:
        self.kind = kind
        self.name = name or f"{kind}:{source}"
        self.known = alias_of(kind, str(source))
        self.source = self.known.id if self.known else str(source)
        self.family = family
        self.options = options or Options()
        if self.known is not None and self.options.max_length is None:
            self.options = replace(self.options, max_length=self.known.max_length)
        if self.known is not None and self.options.revision is None and not self.is_folder:
            self.options = replace(self.options, revision=self.known.revision)
        self._tokens = tokens
        self._say = say
        self._warned = False

    @property
    def is_folder(self) -> bool:
        """Whether it is here, and not published under an id."""
        return Path(self.source).expanduser().is_dir()

    @property
    def identity(self) -> dict[str, Any]:
        """What tells its scores from those of other models; see `score.cached`."""
        options = {key: value for key, value in asdict(self.options).items() if value is not None}
        if self.options.template is not None:
            options["template"] = stamp(self.options.template)
        model = stamp(self.source) if self.is_folder else self.source
        return {"kind": self.kind, "model": model, "family": self.family, **options}

    def warn(self, prompt: Prompt) -> None:
        """Say once that it was trained on other things than it is asked about."""
        good_at = self.known.good_at if self.known else ()
        if self._warned or not good_at or (domain := domain_of(prompt)) in good_at:
            return
        self._warned = True
        what = "a step" if self.kind == "prm" else "an answer"
        self._say(
            f"{self.name} was trained on {' and '.join(good_at)}, and this prompt looks like {domain}: "
            f"its scores say little of whether {what} is right"
        )

    def checkpoint(self) -> Checkpoint:
        """Its folder, fetched first where it is published under an id.

        Raises ModelError for what is neither, with the short names that are like it, and for a revision of a folder.
        """
        if self.is_folder and self.options.revision is not None:
            raise ModelError(
                f"{self.name}: revision={self.options.revision} is of a model on a hub, and {self.source!r} is a folder"
            )
        if not self.is_folder and "/" not in self.source:
            near = difflib.get_close_matches(self.source, aliases(self.kind), n=1)
            hint = f"did you mean {self.kind}:{near[0]}?" if near else "`bon list scorers` shows the short names"
            raise ModelError(
                f"{self.source!r} is no folder here, no id of a hub (OWNER/NAME) and no short name of a "
                f"{_CALLED[self.kind]}: {hint}"
            )
        return checkpoint_of(self.source, revision=self.options.revision)

    def opened(self, checkpoint: Checkpoint, adapter: Adapter[R]) -> Opened[R]:
        """Say what it will take of the memory, and load it.

        Raises ModelError where it does not fit or cannot be read, and for an option that would change nothing.
        """
        from bon.models.reading import TOKENS, Reader

        idle = [name for name in _OPTIONAL if getattr(self.options, name) is not None and name not in adapter.reads]
        if idle:
            raise ModelError(
                f"{self.name}: {adapter.name!r} models read no {idle[0]}="
                + (f"; they read {', '.join(adapter.reads)}" if adapter.reads else "")
            )
        self._say(said(checkpoint, self.options, name=self.name, tokens=self._tokens))
        try:
            model = adapter.load(checkpoint, self.options)
        except ModelError as error:
            if self.source in str(error):
                raise
            raise ModelError(
                f"{self.name}: {error}"
            ) from error  # what was wrong with a tensor knows not of which model
        return Opened(model=model, reader=Reader(model.backbone, tokens=self._tokens or TOKENS))
