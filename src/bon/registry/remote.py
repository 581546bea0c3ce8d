"""The kind `remote`: where scores are asked for, in which shape, and what the model behind it is; out of a spec."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bon.errors import SpecError, UsageError
from bon.protocols import Scorer
from bon.registry.endpoints import key_of, limits_of, refuse_secrets
from bon.registry.kinds import Kind, checked_options
from bon.registry.prices import price_of
from bon.registry.spec import Spec

if TYPE_CHECKING:
    from bon.registry.builder import Builder
    from bon.score.remote import Terms
    from bon.transport import Limits

__all__ = ["REMOTE"]

_USAGE = "remote:URL[?api=SHAPE&...]"
_PATHS = ("/classify", "/pooling", "/score", "/rerank")


@dataclass(frozen=True, kw_only=True)
class _Read:
    """What a spec says of an endpoint and of the model behind it."""

    url: str
    api: str
    path: str
    terms: Terms
    pointwise: bool
    limits: Limits | None


def _make(spec: Spec, builder: Builder) -> Scorer:
    return _made(spec, builder, key=key_of(spec, spec.options.get("key_env")))


def _plan(spec: Spec, builder: Builder) -> Scorer:
    """What stands for it in a plan: nothing is asked, so no key is needed."""
    return _made(spec, builder, key=None)


def _made(spec: Spec, builder: Builder, *, key: str | None) -> Scorer:
    from bon.score.remote import RemoteScorer
    from bon.transport import Endpoint

    read = _read(spec)
    name = str(spec.options.get("name", spec.name))
    endpoint = Endpoint(read.url, key=key, limits=read.limits)
    price = price_of(read.terms.model or name, url=endpoint.name, prices=builder.config.prices)
    return RemoteScorer(endpoint, api=read.api, terms=read.terms, name=name, price=price, pointwise=read.pointwise)


def _about(spec: Spec) -> str:
    """Where this one asks; the options are checked on the way."""
    if not (spec.target or spec.url or "url" in spec.options):
        return ""
    read = _read(spec)
    return f"This one asks POST {read.url}{read.path}."


def _read(spec: Spec) -> _Read:
    """Take a spec apart. Raises SpecError."""
    from bon.score.remote import SHAPES

    url, model = _where(spec)
    options = {name: value for name, value in spec.options.items() if name not in ("name", "key_env", "url")}
    limits, api, pointwise = limits_of(spec, options), options.pop("api", "bon"), options.pop("pointwise", True)
    if api not in SHAPES:
        raise SpecError(f"{spec.text!r}: api is {api!r}; it must be one of {', '.join(SHAPES)}")
    if not isinstance(pointwise, bool) or not (pointwise or api == "bon"):
        raise SpecError(f"{spec.text!r}: pointwise is {pointwise!r}; it must be true, or false for a scorer of api=bon")
    shape = SHAPES[api]
    terms = _terms(spec, api, options if model is None else {"model": model, **options})
    url = url.removesuffix("/v1") if shape.rooted else url
    return _Read(url=url, api=api, path=shape.path, terms=terms, pointwise=pointwise, limits=limits)


def _where(spec: Spec) -> tuple[str, str | None]:
    """The address of `remote:URL`, of `remote:MODEL@URL` or of `url` in bon.toml, and the model. Raises SpecError."""
    url, model = (
        (spec.url, spec.target or None) if spec.url else (spec.target or str(spec.options.get("url", "")), None)
    )
    refuse_secrets(replace(spec, target="", url=url), spec.options)  # first, for other errors show the spec
    if not url.startswith(("http://", "https://")):
        raise SpecError(
            f"{spec.text!r} needs an address: {_USAGE}, as in remote:http://localhost:8000?api=vllm-classify"
        )
    url = url.rstrip("/")
    if path := next((path for path in _PATHS if url.endswith(path)), None):
        base = url.removesuffix(path)
        raise SpecError(f"{spec.text!r}: the address ends at the server; what is asked there api= says: {base}?api=...")
    return url, model


def _terms(spec: Spec, api: str, options: dict[str, Any]) -> Terms:
    """What the options say of the model. Raises SpecError for one that means nothing to the shape."""
    from bon.score.remote import SHAPES, Terms

    stated = checked_options(replace(spec, kind=f"api={api}", options=options), Terms, *SHAPES[api].terms)
    labels = stated.get("labels", [0])
    if not isinstance(labels, list) or not labels or not all(type(label) is int and label >= 0 for label in labels):
        raise SpecError(
            f"{spec.text!r}: labels is {labels!r}; it must be a list of token ids, as in labels=[9454,2753]"
        )
    if "labels" in stated:
        stated["labels"] = tuple(labels)
    try:
        return Terms(**stated)
    except UsageError as error:
        raise SpecError(f"{spec.text!r}: {error}") from None


REMOTE = Kind(
    usage=_USAGE,
    summary="scores from an endpoint: a reward model or reranker of vLLM or SGLang, or a scorer of ours",
    make=_make,
    plan=_plan,
    url=True,
    about=_about,
    documentation="""URL is the server's, without a path. api: bon (POST /score, ours; the default), vllm-classify,
vllm-pooling, vllm-score, vllm-rerank, sglang-classify, sglang-score, sglang-rerank. Options for the model, where the
shape has them: model (the name it is served by; remote:MODEL@URL says the same), output=N (which of several numbers is
the score, from 0), activation=true (after sigmoid or softmax; a reward is what goes into it), system (the system
message, in the place of the chat's own), separator, steps, aggregate (process reward models of vllm-pooling),
labels=[ID,...] and template (sglang-score). pointwise=false for a scorer behind api=bon that must see the whole pool.
key_env=NAME: the environment variable that holds the key. Limits, as for openai: slots, rpm, tpm, adaptive.""",
)
