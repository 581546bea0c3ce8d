"""Loads the tokenizer of a checkpoint without running code that comes with it; models are loaded elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bon.errors import ModelError

__all__ = ["load_tokenizer"]


def load_tokenizer(folder: str | Path, *, config: Any = None) -> Any:
    """The tokenizer of a folder: transformers' own class for it, else what its tokenizer.json says.

    A folder may name a class of its own, which is code in it (InternLM2). That code never runs: a fast tokenizer is
    whole in tokenizer.json, and special tokens and chat template are in tokenizer_config.json. Raises ModelError for
    such a folder without a tokenizer.json, and says how to make one.
    """
    import transformers

    folder = Path(folder)
    path = folder / "tokenizer_config.json"
    stated: Any = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if not (isinstance(stated.get("auto_map"), dict) and "AutoTokenizer" in stated["auto_map"]):
        return transformers.AutoTokenizer.from_pretrained(str(folder), config=config, trust_remote_code=False)
    if not (folder / "tokenizer.json").is_file():
        raise ModelError(
            f"the tokenizer of {str(folder)!r} is code that comes with it, which does not run here, and there is no "
            "tokenizer.json: make one where you trust that code, with AutoTokenizer.from_pretrained(ID, "
            "trust_remote_code=True, revision=...).save_pretrained(FOLDER), and name a folder with it and the weights"
        )
    return transformers.PreTrainedTokenizerFast.from_pretrained(str(folder), trust_remote_code=False)
