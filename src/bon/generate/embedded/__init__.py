"""The embedded engine: Llama and Qwen models on this machine's CPU, through openvino-genai in a worker process."""

from __future__ import annotations

from bon.generate.embedded.generator import EmbeddedGenerator
from bon.generate.embedded.load import reads

__all__ = ["EmbeddedGenerator", "reads"]
