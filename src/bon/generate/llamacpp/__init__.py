"""GGUF files that openvino-genai does not read, on llama.cpp's own server, which lives in a worker process."""

from __future__ import annotations

from bon.generate.llamacpp.generator import LlamaCppGenerator

__all__ = ["LlamaCppGenerator"]
