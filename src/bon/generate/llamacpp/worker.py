"""The worker process: runs llama.cpp's server on a private socket until its parent closes the pipe, or dies.

llama.cpp takes over SIGINT and SIGTERM, ends the process on a broken model, and holds the GIL while it loads one; none
of that may happen to whoever imported bon.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import Any

__all__: list[str] = []


def _server(settings: dict[str, Any]) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["path"]
    params.hostnames = [settings["host"]]
    params.api_keys = [settings["key"]]
    params.n_parallel = settings["n_parallel"]
    params.n_ctx = settings["n_ctx"]
    params.kv_unified = True  # draws of one prompt share its cells
    params.cache_ram_mib = settings["cache_mib"]
    params.ui = False
    params.offline = True
    params.warmup = False
    params.verbosity = 1  # errors only
    if settings["threads"]:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["threads"]
    if settings["chat_template"]:
        params.chat_template = settings["chat_template"]
    return xllamacpp.Server(params)


def _main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever the library prints is not an answer
    settings = json.loads(sys.stdin.readline())
    try:
        server = _server(settings)
        print(json.dumps({"address": server.listening_address}), file=answers, flush=True)
        sys.stdin.read()
    except (RuntimeError, ValueError, ImportError) as error:
        print(json.dumps({"error": f"{error}"}), file=answers, flush=True)
    finally:
        if settings["folder"]:
            shutil.rmtree(settings["folder"], ignore_errors=True)
        os._exit(0)  # the parent is gone or wants us gone: nothing is left that would need a tidy end


if __name__ == "__main__":
    _main()
