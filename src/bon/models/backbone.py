"""Loads the backbone of a reward model: a transformers model without a head, every tensor accounted for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bon.errors import MissingExtra, ModelError
from bon.models.loading import (
    as_model_error,
    base_and_adapter,
    chosen_device,
    chosen_dtype,
    libraries,
    quiet,
)
from bon.models.weights import Weights, folder_of
from bon.models.words import load_tokenizer

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Backbone", "load_backbone"]

_SHOWN = 8
"""How many names of tensors an error lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backbone:
    """A transformers model without a head, ready to run, with its tokenizer."""

    name: str
    """What it was loaded from."""
    model: Any = field(repr=False)
    """A transformers `PreTrainedModel` in eval mode, whose `last_hidden_state` is `(rows, tokens, H)`."""
    tokenizer: Any = field(repr=False)
    context: int | None
    """Most tokens a row may have; None where the configuration sets no limit."""
    causal: bool
    """Whether a position sees only those before it: then rows may share what they begin with."""

    @property
    def width(self) -> int:
        """How many numbers a hidden state has."""
        config = self.model.config.get_text_config()
        return int(getattr(config, "word_embed_proj_dim", None) or config.hidden_size)  # OPT projects its last states


def load_backbone(
    source: str | Path,
    *,
    config: Any = None,
    tensors: Callable[[Weights], Mapping[str, Tensor]] | None = None,
    heads: Collection[str] = (),
    dtype: str | None = None,
    device: str | None = None,
    revision: str | None = None,
) -> Backbone:
    """Load the model without its head from a folder or a hub id; from safetensors only, and no code runs.

    `config` (a transformers configuration) replaces the folder's own. `tensors` makes, of the checkpoint's tensors,
    those of the model by the model's names; by default they are taken as they are, and a prefix such as `model.` is
    stripped as transformers does it. `heads` are names that the caller reads itself (`Weights`), a pooler's among
    them: models that can be made without one have none. A folder of a LoRA adapter is laid on the base that it names
    and merged; `heads` are then names of its tensors or of the base's.

    `dtype` and `device` are as for `load_language_model`. Raises MissingExtra without torch or transformers, UsageError
    for a dtype that is none, and ModelError where the model cannot be found or read, where it reads and writes with
    different parts (an encoder-decoder), and where a tensor is left over, missing or of another shape.
    """
    _, transformers = libraries("a reward model")
    folder = folder_of(source, revision)
    base, adapter = base_and_adapter(folder, None)
    base = folder_of(base) if adapter else folder
    place = chosen_device(device)
    precision = chosen_dtype(dtype, place)
    with quiet(), _without_reports(), as_model_error(source, kind="a model"):
        given = config or transformers.AutoConfig.from_pretrained(str(base), trust_remote_code=False)
        if getattr(given, "is_encoder_decoder", False):
            raise ModelError(
                f"{str(source)!r} is an encoder-decoder ({given.model_type}); bon reads encoders and decoders"
            )
        words = adapter if adapter and (adapter / "tokenizer_config.json").is_file() else base
        tokenizer = load_tokenizer(words, config=given)
        made = _model_class(given)
        state = None if tensors is None else dict(tensors(Weights(base)))
        model, report = made.from_pretrained(
            None if state is not None else str(base),
            config=given,
            state_dict=state,
            dtype=precision,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # refused below, by name
            output_loading_info=True,
            **({"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(made).parameters else {}),
            **({"device_map": "auto"} if place == "auto" else {}),
        )
    _refuse_unaccounted(source, report, heads)
    model = model if place == "auto" else model.to(place)
    if adapter:
        model = _with_adapter(model, adapter, heads)
    model.eval()
    return Backbone(
        name=str(source),
        model=model,
        tokenizer=tokenizer,
        context=_context(given),
        causal=_is_causal(given),
    )


def _model_class(config: Any) -> Any:
    from transformers.models.auto.modeling_auto import MODEL_MAPPING

    try:
        return MODEL_MAPPING[type(config)]
    except KeyError as error:
        raise ModelError(f"transformers has no model for {type(config).__name__} ({config.model_type!r})") from error


def _context(config: Any) -> int | None:
    stated = getattr(config.get_text_config(), "max_position_embeddings", None)
    return stated if stated and stated > 0 else None  # XLNet states -1


def _is_causal(config: Any) -> bool:
    """Whether positions see only those before them: what writes text does, unless it also fills in masks."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

    if getattr(config, "is_decoder", False):
        return True
    kind = type(config)
    writes, fills = kind in MODEL_FOR_CAUSAL_LM_MAPPING, kind in MODEL_FOR_MASKED_LM_MAPPING
    return writes and not fills and getattr(config, "is_causal", True) is not False


@contextmanager
def _without_reports() -> Iterator[None]:
    """Without transformers' table of left-over tensors: what matters of it becomes an error of ours."""
    from transformers.utils import logging

    loud = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(loud)


def _refuse_unaccounted(source: str | Path, report: Mapping[str, Any], heads: Collection[str]) -> None:
    wrong = {
        "left over": set(report["unexpected_keys"]) - set(heads),
        "missing": set(report["missing_keys"]),
        "of another shape": {entry if isinstance(entry, str) else entry[0] for entry in report["mismatched_keys"]},
    }
    told = [f"{len(names)} {what} ({_listed(names)})" for what, names in wrong.items() if names]
    if told:
        raise ModelError(
            f"{str(source)!r} is not the model that its config.json says: tensors are {'; '.join(told)}. "
            "Such a model would score at random: give the family it belongs to, or a checkpoint that is whole"
        )


def _listed(names: Collection[str]) -> str:
    shown = sorted(names)[:_SHOWN]
    return ", ".join(shown) + (" ..." if len(names) > _SHOWN else "")


def _with_adapter(model: Any, folder: Path, heads: Collection[str]) -> Any:
    """The model with a LoRA adapter merged into its weights, so that each token costs what it cost before.

    The adapter may have been trained on the model with a head: its names then have the prefix of the model without.
    """
    try:
        import peft
    except ImportError as error:
        raise MissingExtra("peft", extra="torch", needed_for="a LoRA adapter") from error
    if not (folder / "adapter_model.safetensors").is_file():
        raise ModelError(f"the adapter {str(folder)!r} has no adapter_model.safetensors; pickled adapters are not read")
    weights = Weights(folder)
    try:
        with quiet():
            config = peft.PeftConfig.from_pretrained(str(folder))
            config.task_type, config.modules_to_save, config.inference_mode = None, None, True
            merging = peft.get_peft_model(model, config)
            known = set(peft.get_peft_model_state_dict(merging))
            state, left = _adapter_state(weights, known, model.base_model_prefix, heads)
            _refuse_unaccounted(
                folder, {"unexpected_keys": left, "missing_keys": known - set(state), "mismatched_keys": ()}, ()
            )
            peft.set_peft_model_state_dict(merging, state)
            return merging.merge_and_unload(safe_merge=True)
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        raise ModelError(
            f"the adapter {str(folder)!r} does not fit its base {model.name_or_path!r}: {error}"
        ) from error


def _adapter_state(
    weights: Weights, known: Collection[str], prefix: str, heads: Collection[str]
) -> tuple[dict[str, Tensor], set[str]]:
    """The adapter's tensors by the names they have on a model without a head, and what belongs nowhere."""
    root = "base_model.model."
    state, left = {}, set[str]()
    for name in weights:
        bare = name.removeprefix(root)
        if name in heads or bare in heads:
            continue
        own = next((n for n in (name, f"{root}{bare.removeprefix(f'{prefix}.')}") if n in known), None)
        if own is None:
            left.add(name)
        else:
            state[own] = weights[name]
    return state, left
