"""The journal of a run over files: what was drawn and scored, kept until its pool is in the output; it runs nothing."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from bon.errors import StoreError, UsageError
from bon.events import Drawn, Event, Failed, Keep, Scored
from bon.store.database import Database
from bon.store.landed import Begun, answer_line, answers, begun, lines_of
from bon.store.lines import PathLike
from bon.store.plain import canonical, encode
from bon.store.sqlite_errors import Damaged
from bon.types import Candidate, Prompt, Spent

__all__ = ["Begun", "Journal", "journal_path"]

_SCHEMA = """
    CREATE TABLE entries (id INTEGER PRIMARY KEY, prompt TEXT NOT NULL, lines BLOB NOT NULL, spent BLOB);
    CREATE TABLE spent (id INTEGER PRIMARY KEY, value BLOB NOT NULL)
"""
"""An entry is what landed of one prompt in one round of the event loop, a line of JSON each. The last one of a round
says what was spent by then; so does, where a round deletes entries or adds none, the one row of the other table, whose
id is that of the last entry: the newer of the two is right. (A page less to write in most rounds.)"""
_VERSION = 1
_INSERT = "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)"
"""Or replace: an interrupt in the middle of a round has its entries written again, as they are by then."""
_DELETE = "DELETE FROM entries WHERE id IN (SELECT value FROM json_each(?))"
_SPENT = ("DELETE FROM spent", "INSERT INTO spent VALUES (?, ?)")

_ABOUT, _POOL = "about", "pool"
"""Kinds of lines, beside those of what lands (see `landed`)."""
_DRAWING, _SCORING = "drawing", "scoring"
"""Kinds of runs."""


class _Line(NamedTuple):
    """Where a line lies."""

    entry: int
    place: int
    kind: str


def journal_path(output: PathLike) -> Path:
    """Where the journal of an output lies: beside it, or beside what it is a link to."""
    return Path(f"{os.path.realpath(output)}.journal")


class Journal:
    """What a run has paid for and not yet put into its output: killing it at any moment loses none of it.

    `hear` is a hook for the engine: each candidate and each score is recorded when it lands, and committed before
    anything that is started because of it runs (both wait for the event loop's next round, in this order). `begin`
    gives back what an earlier run recorded; `park` keeps a finished pool whose turn in the output has not come;
    `forget` lets go of what lies in the output. `spent` is what all runs of this output have spent.

    One process at a time: opening it raises `UsageError` while another has it. Every method raises `StoreError` once
    the disk has refused a write.
    """

    def __init__(self, output: PathLike) -> None:
        self.path = journal_path(output)
        self._database = Database(self.path, schema=_SCHEMA, version=_VERSION, exclusive=True)
        self._database.before_commit = self._close_round
        self._lines: dict[str, list[_Line]] = {}
        """By prompt. Only prompts under way have any, so this stays small."""
        self._about: dict[str, str] = {}
        self._answers: dict[str, dict[tuple[str, str], list[Candidate]]] = {}
        """By prompt, and by scorer and key: what scorers of earlier runs had paid for."""
        self._open: dict[str, tuple[int, list[bytes]]] = {}
        """By prompt: the entry of this round, with its number."""
        self._gone: list[int] = []
        """Entries to delete."""
        self._last = 0
        self._stored = Spent()
        try:
            self._load()
        except BaseException as error:
            self._database.close()
            if isinstance(error, ValueError):
                raise Damaged(f"{self.path}: it is damaged ({error}); move it away to begin without it") from error
            raise
        self._found = frozenset(self._lines)
        stored = self._stored
        self._spent: Callable[[], Spent] = lambda: stored

    def _load(self) -> None:
        said = -1
        for said, spent in self._database.read("SELECT id, value FROM spent"):
            self._last, self._stored = said, _spent.decode(spent)
        for entry, prompt_id, lines, spent in self._database.each("SELECT * FROM entries ORDER BY id"):
            kinds = (_line.decode(line)[0] for line in lines.split(b"\n"))
            found = self._lines.setdefault(prompt_id, [])
            found.extend(_Line(entry, place, kind) for place, kind in enumerate(kinds))
            self._last = max(self._last, entry)
            if spent is not None and entry > said:
                self._stored = _spent.decode(spent)

    def on_failure(self, told: Callable[[StoreError], None]) -> None:
        """Have somebody told as soon as the disk refuses a write."""
        self._database.on_failure = told

    @property
    def empty(self) -> bool:
        """Whether everything that was recorded lies in the output by now."""
        return not self._lines

    @property
    def prompts(self) -> tuple[str, ...]:
        """The ids of the prompts of which something is recorded that does not."""
        return tuple(self._lines)

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

    def begin(self, prompt: Prompt, given: Sequence[Candidate] | None = None) -> Begun:
        """Begin with a prompt, or go on with it: what is recorded of it.

        `given` are the candidates of a run that only scores. Scores of other candidates than these are let go of: the
        source has changed. What was paid for otherwise is not: `UsageError` is raised for draws that answer another
        prompt, and for what a run of the other kind has left unfinished.
        """
        about = _about(prompt, given)
        found = self._lines.get(prompt.id, []) if prompt.id in self._found else []
        then = {_text.decode(self._payload(prompt.id, line)) for line in found if line.kind == _ABOUT}
        if found and about not in then:
            self._refuse_other(prompt.id, about, then)
            self.forget([prompt.id])
            found = []
        self._about[prompt.id] = about
        lines = [(line.kind, self._payload(prompt.id, line)) for line in found]
        self._answers[prompt.id] = answers(lines)
        return begun(lines)

    def _refuse_other(self, prompt_id: str, about: str, then: Iterable[str]) -> None:
        (kind, _), kinds = about.split(":"), {one.partition(":")[0] for one in then}
        if kinds - {kind}:
            raise UsageError(
                f"{self.path}: a run that {'scores' if kind == _DRAWING else 'draws'} is unfinished here, and has paid "
                f"for {prompt_id!r}: finish it first with its own command, or choose another output (-o)"
            )
        if kind == _DRAWING:
            raise UsageError(
                f"{self.path}: what is drawn for {prompt_id!r} answers another prompt, or one asked with other "
                "settings, than that id now has; give the prompt another id, choose another output (-o), or begin "
                "again (--restart)"
            )

    def hear(self, event: Event) -> None:
        """Record what has landed, and what went wrong on the way; what failed is not, for it is tried again."""
        if isinstance(event, (Drawn, Failed, Scored)):  # which asks sooner than a union does
            for kind, payload in lines_of(event):
                self._put(event.prompt_id, kind, payload)

    def keep(self, prompt_id: str, scorer: str, index: int | None) -> Keep:
        """Where a scorer keeps the answers it pays for, about one candidate or all of them."""
        return _Kept(scorer, index, self._answers.get(prompt_id, {}), partial(self._put, prompt_id))

    def park(self, prompt_id: str, line: bytes) -> None:
        """Keep the line of a finished pool until its turn has come; it stands for all that was recorded of it."""
        self._bury(prompt_id)
        self._put(prompt_id, _POOL, msgspec.Raw(line))

    def parked(self, prompt_id: str) -> bytes | None:
        """The line of a finished pool, if there is one."""
        for line in reversed(self._lines.get(prompt_id, [])):
            if line.kind == _POOL:
                return self._payload(prompt_id, line)
        return None

    def forget(self, prompt_ids: Iterable[str]) -> None:
        """Let go of prompts whose pools lie in the output."""
        for prompt_id in prompt_ids:
            self._about.pop(prompt_id, None)
            self._bury(prompt_id)
        self._database.schedule()

    def clear(self) -> None:
        """Let go of everything, what was spent included: the output is begun again."""
        self.forget(list(self._lines))
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

    def _put(self, prompt_id: str, kind: str, payload: Any) -> None:
        if prompt_id not in self._lines:
            self._lines[prompt_id] = []
            self._put(prompt_id, _ABOUT, self._about.get(prompt_id, ""))
        if prompt_id not in self._open:
            self._last += 1
            self._open[prompt_id] = (self._last, [])
        entry, lines = self._open[prompt_id]
        self._lines[prompt_id].append(_Line(entry, len(lines), kind))
        lines.append(encode((kind, payload)))
        self._database.schedule()

    def _bury(self, prompt_id: str) -> None:
        self._gone += {line.entry for line in self._lines.pop(prompt_id, ())}
        self._open.pop(prompt_id, None)
        self._answers.pop(prompt_id, None)

    def _payload(self, prompt_id: str, line: _Line) -> bytes:
        entry, lines = self._open.get(prompt_id, (0, []))
        if entry != line.entry:
            rows = self._database.read("SELECT lines FROM entries WHERE id = ?", (line.entry,))
            if not rows:
                raise StoreError(f"{self.path}: what was recorded of {prompt_id!r} could not be written")
            lines = rows[0][0].split(b"\n")
        return bytes(_line.decode(lines[line.place])[1])

    def _close_round(self) -> None:
        """Hand over what landed in this round, and what all runs have spent by now."""
        spent = self._spent()
        said = encode(spent) if spent != self._stored else None
        rows = [(entry, prompt_id, b"\n".join(lines)) for prompt_id, (entry, lines) in self._open.items()]
        for row in rows:
            self._database.write(_INSERT, (*row, said if row is rows[-1] else None))
        if self._gone:
            self._database.write(_DELETE, (encode(self._gone).decode(),))
        if self._gone or (said and not rows):
            self._database.write(_SPENT[0], ())
            self._database.write(_SPENT[1], (self._last, said or encode(spent)))
        self._open.clear()
        self._gone.clear()
        self._stored = spent


@dataclass(frozen=True, slots=True)
class _Kept:
    """The answers of one scorer about one pool, or one candidate of it."""

    scorer: str
    about: int | None
    found: Mapping[tuple[str, str], list[Candidate]]
    record: Callable[[str, Any], None]

    def get(self, key: str) -> Candidate | None:
        left = self.found.get((self.scorer, key))
        return left.pop(0) if left else None

    def put(self, key: str, answer: Candidate) -> None:
        self.record(*answer_line(key, answer, scorer=self.scorer, index=self.about))


_line = msgspec.json.Decoder(tuple[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)
_spent = msgspec.json.Decoder(Spent)


def _about(prompt: Prompt, given: Sequence[Candidate] | None) -> str:
    """What the lines of a prompt are about: the same prompt, asked in the same way, of the same candidates."""
    shown = [(candidate.index, candidate.text, candidate.answer) for candidate in given or ()]
    whole = canonical([prompt.messages, prompt.request, prompt.reference, shown])
    return f"{_DRAWING if given is None else _SCORING}:{hashlib.blake2b(whole, digest_size=16).hexdigest()}"
