"""The journal of a run over files: what was drawn and scored, kept until its pool is in the output; it runs nothing."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bon.errors import StoreError
from bon.events import Drawn, Event, Scored
from bon.store.database import Database
from bon.store.lines import PathLike
from bon.store.plain import canonical, encode
from bon.types import Candidate, Prompt, Score, Spent

__all__ = ["Begun", "Journal", "journal_path"]

_SCHEMA = """
    CREATE TABLE entries (id INTEGER PRIMARY KEY, prompt TEXT NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL);
    CREATE TABLE state (name TEXT PRIMARY KEY, value BLOB NOT NULL)
"""
_VERSION = 1
_INSERT = "INSERT INTO entries VALUES (?, ?, ?, ?)"
_DELETE = "DELETE FROM entries WHERE id = ?"
_STATE = "INSERT OR REPLACE INTO state VALUES (?, ?)"

_ABOUT, _DRAW, _POOL, _SCORES = "about", "draw", "pool", "scores:"
"""Kinds of entries; behind the last one follows the scorer's name."""


@dataclass(frozen=True, kw_only=True)
class Begun:
    """What an earlier run recorded of a prompt whose pool is not in the output yet."""

    candidates: tuple[Candidate, ...] = ()
    scores: dict[str, dict[int, Score]] = field(default_factory=dict)
    """By the scorer's name and the candidate's index."""


def journal_path(output: PathLike) -> Path:
    """Where the journal of an output lies: beside it."""
    return Path(f"{os.fspath(output)}.journal")


class Journal:
    """What a run has paid for and not yet put into its output: killing it at any moment loses none of it.

    `hear` is a hook for the engine: each candidate and each score is recorded when it lands, and committed before
    anything that is started because of it runs (both wait for the event loop's next round, in this order). `begun`
    gives back what an earlier run recorded; `park` keeps a finished pool whose turn in the output has not come;
    `forget` lets go of what lies in the output. `spent` is what all runs of this output have spent.

    One process at a time: opening it raises `UsageError` while another has it. Every method raises `StoreError` once
    the disk has refused a write.
    """

    def __init__(self, output: PathLike) -> None:
        self.path = journal_path(output)
        self._database = Database(self.path, schema=_SCHEMA, version=_VERSION, exclusive=True)
        self._database.before_commit = self._note_spent
        self._entries: dict[str, list[tuple[int, str]]] = {}
        """By prompt: the id and the kind of each entry. Only prompts under way have any, so this stays small."""
        self._last = 0
        for id_, prompt, kind in self._database.each("SELECT id, prompt, kind FROM entries ORDER BY id"):
            self._entries.setdefault(prompt, []).append((id_, kind))
            self._last = id_
        self._found = frozenset(self._entries)
        self._stored = found = self._read_spent()
        self._spent: Callable[[], Spent] = lambda: found
        self._about: dict[str, bytes] = {}

    def on_failure(self, told: Callable[[StoreError], None]) -> None:
        """Have somebody told as soon as the disk refuses a write."""
        self._database.on_failure = told

    @property
    def empty(self) -> bool:
        """Whether everything that was recorded lies in the output by now."""
        return not self._entries

    def resume_from(self, spent: Spent) -> None:
        """What the runs of this output spent before it had this journal."""
        self.follow(lambda: spent)
        self.flush()

    def follow(self, spent: Callable[[], Spent]) -> None:
        """From now on what all runs have spent is asked of this, each time something is committed."""
        self._spent = spent

    def touch(self, *_: object) -> None:
        """Something was spent: have it committed."""
        self._database.schedule()

    @property
    def spent(self) -> Spent:
        """What all runs have spent."""
        return self._spent()

    def begin(self, prompt: Prompt, given: Iterable[Candidate] = ()) -> Begun:
        """Begin with a prompt, or go on with it: what is recorded of it, if it was about the same thing.

        `given` are the candidates that a run starts from, which scores are of.
        """
        about = _digest(prompt, given)
        found = self._entries.get(prompt.id, []) if prompt.id in self._found else []
        if found and not any(kind == _ABOUT and self._body(id_) == about for id_, kind in found):
            self.forget([prompt.id])
            found = []
        self._about[prompt.id] = about
        draws: dict[int, Candidate] = {}
        scores: dict[str, dict[int, Score]] = {}
        for id_, kind in found:
            if kind == _DRAW:
                candidate = _draw.decode(self._body(id_))
                draws[candidate.index] = candidate
            elif kind.startswith(_SCORES):
                scores.setdefault(kind.removeprefix(_SCORES), {}).update(_scores.decode(self._body(id_)))
        return Begun(candidates=tuple(draws[index] for index in sorted(draws)), scores=scores)

    def hear(self, event: Event) -> None:
        """Record what has landed; failures are not, for they are tried again."""
        if isinstance(event, Drawn):
            if isinstance(event.draw, Candidate):
                self._put(event.prompt_id, _DRAW, encode(event.draw))
        elif isinstance(event, Scored):
            failed = {failure.index for failure in event.failures}
            kept = [
                (index, score)
                for index, score in zip(event.indices, event.scores, strict=True)
                if None not in failed and index not in failed
            ]
            if kept:
                self._put(event.prompt_id, f"{_SCORES}{event.scorer}", encode(kept))

    def park(self, prompt_id: str, line: bytes) -> None:
        """Keep the line of a finished pool until its turn has come; it stands for all that was recorded of it."""
        for id_, _ in self._entries.pop(prompt_id, ()):
            self._database.write(_DELETE, (id_,))
        self._put(prompt_id, _POOL, line)

    def parked(self, prompt_id: str) -> bytes | None:
        """The line of a finished pool, if there is one."""
        for id_, kind in reversed(self._entries.get(prompt_id, [])):
            if kind == _POOL:
                return self._body(id_)
        return None

    def forget(self, prompt_ids: Iterable[str]) -> None:
        """Let go of prompts whose pools lie in the output."""
        for prompt_id in prompt_ids:
            self._about.pop(prompt_id, None)
            for id_, _ in self._entries.pop(prompt_id, ()):
                self._database.write(_DELETE, (id_,))

    def clear(self) -> None:
        """Let go of everything, what was spent included: the output is begun again."""
        self.forget(list(self._entries))
        self.follow(Spent)
        self.flush()

    def flush(self) -> None:
        """Commit what was recorded, now."""
        self._database.flush()

    def close(self, *, remove: bool = False) -> None:
        """Commit and close; with `remove` the file goes too. Closing twice is fine."""
        self._database.close(remove=remove)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _put(self, prompt_id: str, kind: str, body: bytes) -> None:
        entries = self._entries.get(prompt_id)
        if entries is None:
            entries = self._entries[prompt_id] = []
            self._insert(entries, prompt_id, _ABOUT, self._about.get(prompt_id, b""))
        self._insert(entries, prompt_id, kind, body)

    def _insert(self, entries: list[tuple[int, str]], prompt_id: str, kind: str, body: bytes) -> None:
        self._last += 1
        self._database.write(_INSERT, (self._last, prompt_id, kind, body))
        entries.append((self._last, kind))

    def _body(self, id_: int) -> bytes:
        rows = self._database.read("SELECT body FROM entries WHERE id = ?", (id_,))
        if not rows:  # it is still in the group that is about to be committed
            self._database.flush()
            rows = self._database.read("SELECT body FROM entries WHERE id = ?", (id_,))
        body: bytes = rows[0][0]
        return body

    def _note_spent(self) -> None:
        spent = self._spent()
        if spent != self._stored:
            self._stored = spent
            self._database.write(_STATE, ("spent", encode(spent)))

    def _read_spent(self) -> Spent:
        rows = self._database.read("SELECT value FROM state WHERE name = 'spent'")
        return msgspec.json.decode(rows[0][0], type=Spent) if rows else Spent()


_draw = msgspec.json.Decoder(Candidate)
_scores = msgspec.json.Decoder(tuple[tuple[int, Score], ...])


def _digest(prompt: Prompt, given: Iterable[Candidate]) -> bytes:
    """What the entries of a prompt are about: the same prompt, asked in the same way, of the same candidates."""
    shown = [(candidate.index, candidate.text, candidate.answer) for candidate in given]
    whole = canonical([prompt.messages, prompt.request, prompt.reference, shown])
    return hashlib.blake2b(whole, digest_size=16).digest()
