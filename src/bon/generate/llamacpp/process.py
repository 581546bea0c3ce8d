"""Starts, watches and ends the worker process that runs llama.cpp's server; it sends no prompt."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bon.errors import ModelError
from bon.models.environment import for_workers

__all__ = ["Address", "ServerProcess"]

_PATIENCE = 5.0
"""Seconds a worker gets to end by itself."""
_MOMENT = 0.2
"""Seconds between a broken connection and the end of the process that broke it."""
_LAST_WORDS = 30
"""Lines of its error output that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a worker listens."""

    url: str
    socket: str | None
    """A Unix socket in a folder that only this user can enter; None where the platform has none."""
    key: str = field(repr=False)


class ServerProcess:
    """One worker, started when it is first needed and again when it has died.

    It reads its settings, the key among them, from a pipe, and ends when that pipe closes: with this process, however
    that ends.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._address: Address | None = None
        self._words: deque[str] = deque(maxlen=_LAST_WORDS)
        self._end: weakref.finalize[..., ServerProcess] | None = None
        self._closed = False

    def start(self) -> Address:
        """Where the worker listens; blocks while the model loads. Raises ModelError where it cannot be loaded."""
        with self._lock:
            if self._closed:
                raise ModelError(f"the generator of {self._settings['path']!r} is closed: make a new one")
            if self._address is None or self._process is None or self._process.poll() is not None:
                self._address = self._launch()
            return self._address

    def last_words(self) -> str:
        """How the worker ended and what it said last, or "" if it runs; waits a moment, as its end may be under way."""
        process = self._process
        if process is None:
            return ""
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_MOMENT)
        if process.returncode is None:
            return ""
        return f"its process ended with status {process.returncode}: {' / '.join(self._words) or 'no message'}"

    def close(self) -> None:
        """End the worker, and wait until it has."""
        with self._lock:
            self._closed = True
            if self._end is not None:
                self._end()
            self._process = self._address = None

    def _launch(self) -> Address:
        if self._end is not None:
            self._end()  # clears up after one that died
        folder = tempfile.mkdtemp(prefix="bon-") if sys.platform != "win32" else ""
        socket = str(Path(folder) / "llama.sock") if folder else None
        key = secrets.token_urlsafe(24)
        process = subprocess.Popen(  # our own module, by our own interpreter
            [sys.executable, "-m", "bon.generate.llamacpp.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=for_workers(),
            start_new_session=True,  # Ctrl-C is ours to handle, not the worker's
        )
        self._words.clear()
        listener = threading.Thread(target=_listen, args=(process, self._words), daemon=True)
        listener.start()
        self._process, self._end = process, weakref.finalize(self, _stop, process, listener, folder)
        settings = {**self._settings, "host": socket or "127.0.0.1", "key": key, "folder": folder}
        try:
            print(json.dumps(settings), file=process.stdin, flush=True)
            answer = json.loads(process.stdout.readline() or "{}") if process.stdout else {}
        except OSError:
            answer = {}
        if "address" in answer:
            return Address(url="http://bon" if socket else answer["address"], socket=socket, key=key)
        self._end()
        raise ModelError(" / ".join([*self._words, answer.get("error", f"status {process.returncode}")]))


def _listen(process: subprocess.Popen[str], words: deque[str]) -> None:
    if process.stderr is not None:
        with contextlib.suppress(ValueError):  # closed while reading
            words.extend(line.strip() for line in process.stderr if line.strip())


def _stop(process: subprocess.Popen[str], listener: threading.Thread, folder: str) -> None:
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    listener.join(_PATIENCE)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
