"""The generators that specs can name; each is imported when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bon.errors import ModelError, SpecError
from bon.protocols import Generator
from bon.registry.endpoints import ENDPOINT, make_endpoint, plan_endpoint
from bon.registry.kinds import Kind, checked_options, known_options
from bon.registry.spec import Spec
from bon.registry.undrawn import Undrawn

if TYPE_CHECKING:
    from bon.registry.builder import Builder

__all__ = ["GENERATORS"]

_REQUEST = (
    "temperature", "top_p", "top_k", "min_p", "max_tokens", "seed", "stop", "presence_penalty", "frequency_penalty",
    "repetition_penalty", "response_format", "num_beams", "num_beam_groups", "diversity_penalty", "return_token_ids",
)  # fmt: skip
_EMBEDDED_OPTIONS = ("deterministic", "engine", "threads")
_HF_OPTIONS = ("adapter", "dtype", "device", "revision", "trust_remote_code")
_HF_TARGET = "a model folder or a hub id"


def _local(spec: Spec, builder: Builder) -> Generator:
    from bon.models.pull import MODEL_NAME, pull

    path = pull(progress=builder.progress)
    name = MODEL_NAME if path.stem.startswith(MODEL_NAME) else path.stem
    return _embedded(path, f"local:{name}", spec, builder)


def _gguf(spec: Spec, builder: Builder) -> Generator:
    path = _gguf_path(spec)
    return _embedded(path, f"gguf:{path.stem}", spec, builder)


def _gguf_path(spec: Spec) -> Path:
    path = Path(_target(spec, "a GGUF file or a folder with an OpenVINO model"))
    if not path.exists():
        raise ModelError(f"{spec.text!r}: there is no {str(path)!r}")
    return path


def _plan_local(spec: Spec, builder: Builder) -> Generator:
    from bon.models.pull import MODEL_NAME

    return _planned(f"local:{MODEL_NAME}", spec, builder, own=_EMBEDDED_OPTIONS)


def _plan_gguf(spec: Spec, builder: Builder) -> Generator:
    return _planned(f"gguf:{_gguf_path(spec).stem}", spec, builder, own=_EMBEDDED_OPTIONS)


def _plan_hf(spec: Spec, builder: Builder) -> Generator:
    _target(spec, _HF_TARGET)
    return _planned(spec.name, spec, builder, own=_HF_OPTIONS)


def _planned(name: str, spec: Spec, builder: Builder, *, own: Sequence[str]) -> Generator:
    """What stands for a model of one's own in a plan."""
    options = known_options(spec, *own, *_REQUEST)
    set_by_it = {key: value for key, value in options.items() if key not in own}
    return Undrawn(name=name, defaults={**builder.request, **set_by_it})


def _embedded(path: Path, name: str, spec: Spec, builder: Builder) -> Generator:
    """The engine that reads this model: openvino-genai for Llama and Qwen families, llama.cpp for the others."""
    from bon.generate.embedded import EmbeddedGenerator, reads
    from bon.generate.llamacpp import LlamaCppGenerator

    options = known_options(spec, *_EMBEDDED_OPTIONS, *_REQUEST)
    engine = options.pop("engine", None) or ("openvino" if reads(path) else "llama.cpp")
    deterministic, threads = bool(options.pop("deterministic", False)), options.pop("threads", None)
    defaults = {**builder.request, **options}
    if engine == "openvino":
        return EmbeddedGenerator(path, name=name, defaults=defaults, deterministic=deterministic, threads=threads)
    if engine == "llama.cpp":
        return LlamaCppGenerator(path, name=name, defaults=defaults, threads=threads)
    raise SpecError(f"{spec.text!r}: engine {engine!r} is unknown; there are 'openvino' and 'llama.cpp'")


def _hf(spec: Spec, builder: Builder) -> Generator:
    from bon.generate.hf import HFGenerator

    options = known_options(spec, *_HF_OPTIONS, *_REQUEST)
    chosen = {key: options.pop(key) for key in _HF_OPTIONS if key in options}
    model = _target(spec, _HF_TARGET)
    return HFGenerator(model, name=spec.name, defaults={**builder.request, **options}, **chosen)


def _replay(spec: Spec, builder: Builder) -> Generator:  # noqa: ARG001
    from bon.generate.replay import Replay

    known_options(spec)
    return Replay(Path(_target(spec, "a file of pools")))


def _variations(spec: Spec, builder: Builder) -> Generator:
    from bon.generate.variations import DEFAULT_VARIATIONS, Variations

    options = known_options(spec, "generator", "variations")
    inner = builder.generator(options.get("generator") or spec.target or "local")
    return Variations(inner, options.get("variations", DEFAULT_VARIATIONS))


def _mixture(spec: Spec, builder: Builder) -> Generator:
    from bon.generate.mixture import Mixture

    known_options(spec, "generators")
    return Mixture(_several(spec, builder))


def _fallback(spec: Spec, builder: Builder) -> Generator:
    from bon.generate.breaker import Tolerance
    from bon.generate.fallback import Fallback

    bearing = ("failures", "share", "window", "pause", "longest")
    known_options(spec, "generators", "patience", *bearing)

    def part(*names: str) -> Spec:
        return replace(spec, options={name: spec.options[name] for name in names if name in spec.options})

    own = checked_options(part("patience"), Fallback, "patience")
    try:
        tolerance = Tolerance(**checked_options(part(*bearing), Tolerance, *bearing))
    except ValueError as error:
        raise error if isinstance(error, SpecError) else SpecError(f"{spec.text!r}: {error}") from None
    return Fallback(_several(spec, builder), tolerance=tolerance, **own)


def _several(spec: Spec, builder: Builder) -> list[Generator]:
    """The generators that a spec of several names."""
    specs = spec.options.get("generators")
    if not isinstance(specs, list) or not specs:
        raise SpecError(f'{spec.text!r} needs generators = ["...", "..."], best in bon.toml: [generators.NAME]')
    return [builder.generator(str(inner)) for inner in specs]


def _target(spec: Spec, what: str) -> str:
    if not spec.target:
        raise SpecError(f"{spec.text!r} needs {what}: {GENERATORS[spec.kind].usage}")
    return spec.target


_FIELDS = f"Request fields that it sets where the prompt does not: {', '.join(_REQUEST)}."
_EMBEDDED = f"""Options: deterministic=true (bit-equal repeats, at about half speed), threads=N, engine=openvino or
llama.cpp. {_FIELDS}"""
_HF = f"""Options: adapter=FOLDER, dtype=bfloat16, device=cuda, revision=COMMIT, trust_remote_code=true (with a revision
only). {_FIELDS}"""
_FALLBACK = """A draw that fails is made by the next; who keeps failing is left alone for a while, and then tried again.
Options: failures=5 in a row open its circuit, as does a share=0.5 of failures among the last window=50 draws, for a
pause=1 s at first, twice as long after each probe that failed, longest=60 s; patience=30 s is how long a draw waits
while nobody works."""

GENERATORS: Mapping[str, Kind] = {
    "local": Kind(
        usage="local",
        summary="SmolLM2-135M-Instruct, embedded: no key, no GPU; fetched on first use",
        make=_local,
        plan=_plan_local,
        target=False,
        documentation=_EMBEDDED,
    ),
    "gguf": Kind(
        usage="gguf:FILE",
        summary="a GGUF file or an OpenVINO folder, embedded",
        make=_gguf,
        plan=_plan_gguf,
        documentation=_EMBEDDED,
    ),
    "hf": Kind(
        usage="hf:DIR_OR_ID",
        summary="a transformers model or a LoRA adapter: a folder or a hub id",
        make=_hf,
        plan=_plan_hf,
        documentation=_HF,
    ),
    "openai": Kind(
        usage="openai:MODEL[@URL]",
        summary="any OpenAI-compatible endpoint; without a URL OPENAI_BASE_URL and OPENAI_API_KEY",
        make=make_endpoint,
        plan=plan_endpoint,
        url=True,
        documentation=ENDPOINT,
    ),
    "ollama": Kind(
        usage="ollama:MODEL",
        summary="a model of the local Ollama",
        make=make_endpoint,
        plan=plan_endpoint,
        url=True,
        documentation=ENDPOINT,
    ),
    "replay": Kind(usage="replay:POOLS", summary="the candidates of a file of pools, drawn again", make=_replay),
    "variations": Kind(
        usage="variations:GENERATOR",
        summary="another generator, each draw with its own twist of the prompt",
        make=_variations,
    ),
    "mixture": Kind(
        usage='mixture (bon.toml: generators = ["...", "..."])',
        summary="several generators in turn",
        make=_mixture,
        target=False,
    ),
    "fallback": Kind(
        usage='fallback (bon.toml: generators = ["...", "..."])',
        summary="the first of several generators that works",
        make=_fallback,
        target=False,
        documentation=_FALLBACK,
    ),
}
"""Kind of generator -> how it is written, what it is, how it is made."""
