"""What tests of several rooms share: the real embedded model, fetched once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from bon.errors import ModelError
from bon.generate.embedded import EmbeddedGenerator
from bon.models.cache import cache_directory
from bon.models.pull import pull


@pytest.fixture(scope="session")
def embedded_model() -> Path:
    """The embedded model, ready to run. Where it cannot be had the test is skipped; under CI=true it fails."""
    if find_spec("openvino_genai") is None:  # not imported: in this process it would be free to call home
        pytest.skip("needs openvino-genai: pip install 'bon[local]'")
    try:
        return pull()
    except ModelError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"the embedded model cannot be had here: {error}")


@pytest.fixture(scope="session")
def embedded_source(embedded_model: Path) -> Path:
    """The embedded model's file as it was fetched, quantised."""
    path = cache_directory() / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if not path.exists():
        pytest.skip(f"{path.name} is not in the cache: BON_MODEL names another model")
    return path


@pytest.fixture(scope="session")
def embedded(embedded_model: Path) -> Iterator[EmbeddedGenerator]:
    """The embedded generator with short answers; one worker process for the whole session."""
    defaults = {"temperature": 0.7, "top_p": 0.9, "max_tokens": 16}
    generator = EmbeddedGenerator(embedded_model, name="local:SmolLM2-135M-Instruct", defaults=defaults)
    yield generator
    generator.close()
