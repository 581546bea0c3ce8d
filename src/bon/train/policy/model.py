"""The policy: a causal model whose weights are trained, beside the frozen one it started as; loaded and saved here."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from bon.errors import MissingExtra, ModelError, UsageError
from bon.models.loading import ADAPTER, quiet
from bon.store.plain import canonical
from bon.train.files import as_store_error, sync, whole
from bon.train.network import compute_twice, merged
from bon.train.starting import licence_of

__all__ = ["POLICY", "Policy", "PolicySetup", "load_policy", "save_policy"]

POLICY = "bon_policy.json"
"""What makes a folder one of a policy that bon trained: written last, so that one without it is not whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySetup:
    """Which model is trained, and which of its weights."""

    reference: str = "local"
    """What training starts from and is held to: a transformers folder, a hub id, `gguf:FILE` or `local`."""
    revision: str | None = None
    """Of a reference on a hub."""
    adapt: Literal["full", "lora", "last"] = "full"
    """What is trained: every weight; LoRA adapters on all linear layers; or the last `layers` transformer layers and
    the final norm, and neither the embeddings nor the output matrix, which many models tie to them."""
    layers: int = 2
    """How many layers `last` trains."""
    rank: int = 16
    """Of the LoRA adapters (Hu et al. 2021); their alpha is twice that."""
    device: str | None = None
    """A torch device; None: a GPU where there is one."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """What passes are computed in. Weights that are trained are kept in float32; a base under LoRA is loaded in it."""
    checkpointing: bool = False
    """Whether activations are computed twice rather than kept: a third slower, in far less memory."""

    def __post_init__(self) -> None:
        for name in ("rank", "layers"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)!r}: give a whole number from 1")
        if self.device == "auto":
            raise UsageError(
                "device 'auto' spreads a model over several devices, and a policy is trained on one: name it, or start "
                "one process a device with torchrun"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A model in training and the reference it began as. It has no dropout, in any mode."""

    setup: PolicySetup
    model: Any = field(repr=False)
    """A transformers causal model, or peft's around one; what is not trained asks for no gradients."""
    copy: Any = field(repr=False)
    """The frozen reference; None under LoRA, where it is the model without its adapters."""
    tokenizer: Any = field(repr=False)
    eos: frozenset[int]
    """Token ids that end an answer."""
    context: int | None
    """Most tokens of a prompt and its answer; None where the configuration sets no limit."""
    merge: bool
    """Whether adapters are merged when they are saved, since nothing else could load what they lie on."""
    licence: str | None
    """Of the reference, where its folder says it."""

    @contextmanager
    def referring(self) -> Iterator[Any]:
        """The reference as a model to call, for as long as the block lasts."""
        if self.copy is not None:
            yield self.copy
            return
        with self.model.disable_adapter():
            yield self.model

    def computing(self) -> AbstractContextManager[Any]:
        """Around a pass of either model: the precision that the setup asks for."""
        import torch

        if self.setup.precision == "float32":
            return nullcontext()
        return torch.autocast(next(self.model.parameters()).device.type, dtype=torch.bfloat16)

    def to(self, device: Any) -> None:
        """Move both models to a device, in place."""
        self.model.to(device)
        if self.copy is not None:
            self.copy.to(device)


def load_policy(setup: PolicySetup, *, seed: int) -> Policy:
    """Load the model twice over: to train, and to hold it to. Adapters begin as the seed says, and change nothing yet.

    Raises ModelError where the reference cannot be loaded or its layers cannot be told apart, MissingExtra without
    torch, transformers, or peft where `setup` asks for LoRA.
    """
    from bon.models.from_gguf import resolved
    from bon.models.transformers import load_language_model

    source = resolved(setup.reference)
    dtype = setup.precision if setup.adapt == "lora" else "float32"
    loaded = load_language_model(source, dtype=dtype, device=setup.device, revision=setup.revision)
    model = loaded.model
    _without_dropout(model)
    model.requires_grad_(False)
    frozen = None if setup.adapt == "lora" else copy.deepcopy(model).eval()
    if setup.adapt == "lora":
        model = _with_adapters(model, setup.rank, seed)
    elif setup.adapt == "full":
        model.requires_grad_(True)
    else:
        _ask_last(model, setup.layers)
    if setup.checkpointing:
        compute_twice(model)
    own = source != setup.reference or setup.revision not in (None, "main")
    return Policy(
        setup=setup,
        model=model.eval(),
        copy=frozen,
        tokenizer=loaded.tokenizer,
        eos=loaded.eos,
        context=loaded.context,
        merge=own or (Path(source).expanduser() / ADAPTER).is_file(),
        licence=licence_of(Path(source).expanduser()),
    )


def save_policy(folder: Path, policy: Policy, *, card: str, manifest: Mapping[str, Any]) -> None:
    """Write the policy as a model folder, which `hf:FOLDER` loads; `bon_policy.json`, the `manifest`, last of all.

    LoRA: an adapter folder on the reference; or, where nothing else could load that (`local`, `gguf:`, a revision,
    another adapter), the whole model in float32, in which case `policy.model` is used up. Raises StoreError where the
    disk refuses; what was in the folder is then as it was.
    """
    for left in folder.glob("result*"):  # by one that was stopped here
        shutil.rmtree(left, ignore_errors=True)
    with as_store_error("the model", folder), whole(folder / "result") as part:
        part.mkdir(parents=True)
        with quiet():
            _save_weights(part, policy)
        policy.tokenizer.save_pretrained(str(part))
        (part / "README.md").write_text(card, encoding="utf-8")  # peft has written one of its own
        (part / POLICY).write_bytes(msgspec.json.format(canonical(manifest), indent=2) + b"\n")
    with as_store_error("the model", folder):
        for file in sorted((folder / "result").iterdir(), key=lambda file: file.name == POLICY):
            file.replace(folder / file.name)
        (folder / "result").rmdir()
        sync(folder)


def _save_weights(folder: Path, policy: Policy) -> None:
    model = policy.model
    if policy.setup.adapt != "lora":
        model.save_pretrained(str(folder))
    elif policy.merge:
        merged(model).save_pretrained(str(folder))
    else:
        reference = Path(policy.setup.reference).expanduser()
        for config in model.peft_config.values():
            name = str(reference.resolve()) if reference.is_dir() else policy.setup.reference
            config.base_model_name_or_path, config.revision = name, policy.setup.revision
        model.save_pretrained(str(folder), save_embedding_layers=False)  # else it asks the hub whether they changed


def _without_dropout(model: Any) -> None:
    """No dropout whatever the mode: modules of it, and the rates that attention reads as numbers."""
    for module in model.modules():
        if "Dropout" in type(module).__name__:
            module.p = 0.0
        for name, value in vars(module).items():
            if "dropout" in name and isinstance(value, float):
                setattr(module, name, 0.0)


def _with_adapters(model: Any, rank: int, seed: int) -> Any:
    import torch

    try:
        import peft
    except ImportError as error:
        raise MissingExtra("peft", extra="torch", needed_for="LoRA") from error
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
        fan_in_fan_out=any(type(module).__name__ == "Conv1D" for module in model.modules()),  # as GPT-2's are
    )
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        return peft.get_peft_model(model, config)


def _ask_last(model: Any, layers: int) -> None:
    """Let the last layers and the norm behind them ask for gradients. Raises UsageError for more than there are."""
    import torch

    count = model.config.get_text_config().num_hidden_layers
    if layers > count:
        raise UsageError(
            f"the last {layers} layers are asked for, and the model has {count}: give layers={count} or less"
        )
    for parent in model.modules():
        for stack in parent.children():
            if isinstance(stack, torch.nn.ModuleList) and len(stack) == count:
                norms = [child for child in parent.children() if "norm" in type(child).__name__.lower()]
                for part in (*stack[-layers:], *norms[-1:]):
                    part.requires_grad_(True)
                return
    raise ModelError(
        f"{type(model).__name__} has no list of its {count} layers, so adapt='last' cannot tell which are the last: "
        "take 'full' or 'lora'"
    )
