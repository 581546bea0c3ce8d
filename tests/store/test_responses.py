"""The response cache: what is found is what was put, the file stays small, and trouble costs the run nothing."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import random
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bon.store.database import Database
from bon.store.responses import Responses
from bon.store.sqlite_errors import Busy

MIB = 1 << 20


def key(of: object) -> bytes:
    return hashlib.sha256(repr(of).encode()).digest()


def value(of: object, size: int = 3000) -> bytes:
    """A value that says whose it is."""
    return (repr(of).encode() + b"\0").ljust(size, b"x")


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "responses.sqlite"


@pytest.fixture
def responses(path: Path) -> Iterator[Responses]:
    kept = Responses(path)
    yield kept
    kept.close()


def sql(path: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as connection:
        return connection.execute(statement, values).fetchall()


# What is found


def test_what_was_put_is_found_until_it_is_put_anew(path: Path, responses: Responses) -> None:
    assert responses.get(key(1)) is None
    responses.put(key(1), b"one")
    responses.put(key(2), b"")
    responses.flush()
    assert (responses.get(key(1)), responses.get(key(2)), responses.get(key(3))) == (b"one", b"", None)
    responses.put(key(1), b"another one")
    responses.close()
    assert responses.get(key(1)) is None
    again = Responses(path)
    assert (again.get(key(1)), again.get(key(2))) == (b"another one", b"")
    again.close()


async def test_in_an_event_loop_it_commits_by_itself(path: Path, responses: Responses) -> None:
    responses.put(key(1), b"one")
    assert responses.get(key(1)) == b"one", "what was put is found, committed or not"
    other = Responses(path)
    for _ in range(500):
        await asyncio.sleep(0.01)
        if other.get(key(1)) == b"one":
            break
    assert other.get(key(1)) == b"one"
    other.close()


@pytest.mark.parametrize("column", ["value", "digest", "key"])
def test_every_flipped_bit_is_a_miss(path: Path, responses: Responses, column: str) -> None:
    whole = {"value": b'{"text": "The answer is 42."}', "key": key(1), "digest": b""}
    for bit in range(8 * (len(whole[column]) or 16)):
        responses.put(key(1), whole["value"])
        responses.flush()
        assert responses.get(key(1)) == whole["value"]
        ((stored,),) = sql(path, f"SELECT {column} FROM responses")
        flipped = bytearray(stored)  # type: ignore[call-overload]
        flipped[bit // 8] ^= 1 << bit % 8
        sql(path, f"UPDATE responses SET {column} = ?", bytes(flipped))
        assert responses.get(key(1)) is None
        assert responses.get(bytes(flipped) if column == "key" else key(1)) is None
        responses.flush()
        assert sql(path, "SELECT count(*) FROM responses") == [(0,)], "the row is dropped"


def test_a_value_that_lies_under_anothers_key_is_a_miss(path: Path, responses: Responses) -> None:
    """The mistake: a cache returns another prompt's answer."""
    responses.put(key(1), b"one")
    responses.put(key(2), b"two")
    responses.flush()
    sql(path, "UPDATE responses SET (value, digest) = (SELECT value, digest FROM responses WHERE key = ?)", key(2))
    assert responses.get(key(1)) is None
    assert responses.get(key(2)) == b"two"


@pytest.mark.parametrize(
    "change",
    ["value = 'text'", "value = 7", "value = 1.5", "value = CAST(x'ff' AS TEXT)", "digest = 'text'", "digest = 9"],
)
def test_a_row_of_other_types_is_a_miss(path: Path, responses: Responses, change: str) -> None:
    responses.put(key(1), b"one")
    responses.flush()
    sql(path, f"UPDATE responses SET {change}")
    assert responses.get(key(1)) is None
    responses.put(key(1), b"one")
    responses.flush()
    sql(path, "UPDATE responses SET used = 'never'")
    assert responses.get(key(1)) == b"one"


# Its size


def size(path: Path) -> int:
    return path.stat().st_size


def test_the_file_stays_within_its_bound_whatever_is_put(path: Path) -> None:
    clock = Clock()
    responses = Responses(path, most_bytes=4 * MIB, clock=clock)
    dice, largest = random.Random(1), 0
    for i in range(8000):  # about 24 MB
        clock.now += 1
        responses.put(key(i), value(i, dice.randrange(100, 6000)))
        if i % 16 == 0:
            responses.flush()
            largest = max(largest, size(path))
    responses.close()
    assert largest <= 4 * MIB
    assert size(path) > 3 * MIB, "the room there is is used"
    assert sql(path, "PRAGMA integrity_check") == [("ok",)]
    again = Responses(path, most_bytes=4 * MIB)
    found = [i for i in range(8000) if again.get(key(i)) is not None]
    assert found == list(range(found[0], 8000)), "the oldest went, and nothing else"
    assert len(found) > 700
    again.close()


def test_what_is_used_stays_and_a_use_is_noted_once_an_hour(path: Path) -> None:
    clock = Clock()
    responses = Responses(path, most_bytes=MIB, clock=clock)
    for i in range(100):
        responses.put(key(i), value(i))
    responses.flush()
    first = clock.now
    clock.now += 3600
    assert responses.get(key(7)) == value(7)
    responses.flush()
    assert sql(path, "SELECT used FROM responses WHERE key = ?", key(7)) == [(first,)]
    clock.now += 1
    assert responses.get(key(7)) == value(7)
    responses.flush()
    assert sql(path, "SELECT used FROM responses WHERE key = ?", key(7)) == [(clock.now,)]
    for i in range(100, 260):
        responses.put(key(i), value(i))
        responses.flush()
    assert responses.get(key(6)) is None
    assert responses.get(key(7)) == value(7)
    responses.close()


def test_a_file_that_had_more_room_shrinks(path: Path) -> None:
    clock = Clock()
    large = Responses(path, most_bytes=16 * MIB, clock=clock)
    for i in range(3000):
        clock.now += 1
        large.put(key(i), value(i))
    large.close()
    assert size(path) > 8 * MIB
    small = Responses(path, most_bytes=2 * MIB, clock=clock)
    assert small.get(key(0)) is None
    assert small.get(key(2999)) == value(2999)
    small.close()
    assert MIB < size(path) <= 2 * MIB


def test_a_value_that_would_push_out_much_of_the_rest_is_not_kept(responses: Responses, tmp_path: Path) -> None:
    small = Responses(tmp_path / "small", most_bytes=MIB)
    small.put(key(1), value(1, MIB // 8 + 1))
    small.put(key(2), value(2, MIB // 8))
    small.flush()
    assert small.get(key(1)) is None
    assert small.get(key(2)) == value(2, MIB // 8)
    small.close()


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
def test_what_people_asked_is_for_their_eyes_only(path: Path, responses: Responses) -> None:
    responses.put(key(1), b"one")
    responses.flush()
    assert {file.name: oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()} == {
        f"responses.sqlite{suffix}": "0o600" for suffix in ("", "-wal", "-shm")
    }


# Several at a time

CROWD = """
import asyncio, hashlib, random, sys, warnings
from pathlib import Path
from bon.store.responses import Responses

warnings.simplefilter("error")
dice, wrong, found = random.Random(int(sys.argv[2])), 0, 0

def key(i): return hashlib.sha256(b"%d" % i).digest()
def value(i): return (b"%d\\0" % i).ljust(500 + i * 7919 % 4000, b"x")

async def main():
    global wrong, found
    responses = Responses(Path(sys.argv[1]), most_bytes=1 << 20)
    for _ in range(1500):
        i = dice.randrange(1000)
        got = responses.get(key(i))
        wrong += got is not None and got != value(i)
        found += got is not None
        if got is None:
            responses.put(key(i), value(i))
        await asyncio.sleep(0)
    responses.close()

asyncio.run(main())
print(wrong, found)
"""


def test_many_processes_share_one_file(path: Path) -> None:
    crowd = [
        subprocess.Popen([sys.executable, "-c", CROWD, str(path), str(seed)], stdout=subprocess.PIPE, text=True)
        for seed in range(5)
    ]
    said = [running.communicate(timeout=120)[0].split() for running in crowd]
    assert [running.returncode for running in crowd] == [0] * 5
    assert [wrong for wrong, _ in said] == ["0"] * 5
    assert all(int(found) > 100 for _, found in said)
    assert sql(path, "PRAGMA integrity_check") == [("ok",)]
    Responses(path, most_bytes=MIB).close()
    assert MIB * 0.7 < size(path) <= MIB


LEAVE = """
import sys
from pathlib import Path
from bon.store.responses import Responses

responses = Responses(Path(sys.argv[1]))
responses.put(b"k" * 32, b"kept")
"""


def test_the_end_of_the_process_commits(path: Path) -> None:
    subprocess.run([sys.executable, "-c", LEAVE, str(path)], check=True, timeout=60)
    responses = Responses(path)
    assert responses.get(b"k" * 32) == b"kept"
    responses.put(b"l" * 32, b"kept too")
    del responses
    gc.collect()  # nobody has it any more
    again = Responses(path)
    assert again.get(b"l" * 32) == b"kept too"
    again.close()


BLOCK = """
import fcntl, sys

with open(sys.argv[1] + "-shm", "rb+") as locks:
    fcntl.lockf(locks, fcntl.LOCK_EX, 3, 120)
    locks.write(bytes(136))
    locks.flush()  # so it looks while a process that found a log of somebody who was killed reads it anew
    print("blocked", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.skipif(os.name != "posix", reason="locks of byte ranges are of POSIX")
def test_room_that_could_not_be_made_for_another_process_is_made_with_the_next_try(path: Path) -> None:
    """The mistake: what is to come is taken for measured, and the file grows beyond its bound."""
    responses = Responses(path, most_bytes=MIB)
    database = responses._database
    assert database is not None
    for i in range(400):
        responses.put(key(i), value(i))
    with subprocess.Popen(
        [sys.executable, "-c", BLOCK, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "blocked\n"
        with pytest.raises(Busy):
            database._attempt()  # as in the event loop's round
        other.communicate("\n", timeout=60)
    assert responses._unmeasured > 400 * 3000, "all of it is still to be made room for"
    responses.flush()
    assert responses._unmeasured == 0
    assert responses.get(key(399)) == value(399)
    responses.close()


# Trouble


def put(responses: Responses, count: int) -> None:
    for i in range(count):
        responses.put(key(i), value(i))
        responses.flush()


def useless(responses: Responses) -> None:
    """It finds and keeps nothing, and says no more."""
    put(responses, 3)
    assert responses.get(key(1)) is None
    responses.close()
    responses.close()


def test_a_file_that_is_no_cache_is_set_aside(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"what is this?" * 1000)
    with pytest.warns(UserWarning, match=r"is damaged \(it is now responses.sqlite.damaged.*a new one is begun"):
        responses = Responses(path)
    responses.put(key(1), b"one")
    responses.flush()
    assert responses.get(key(1)) == b"one"
    assert path.with_name("responses.sqlite.damaged").read_bytes() == b"what is this?" * 1000
    responses.close()


def filled(path: Path, count: int) -> None:
    responses = Responses(path)
    for i in range(count):
        responses.put(key(i), value(i))
    responses.close()


@pytest.mark.parametrize("seed", range(12))
def test_damage_anywhere_gives_no_wrong_value_and_no_error(path: Path, seed: int) -> None:
    filled(path, 300)
    dice = random.Random(seed)
    with path.open("rb+") as file:
        for _ in range(dice.choice([1, 30, 300])):
            file.seek(dice.randrange(size(path)))
            file.write(dice.randbytes(dice.choice([1, 16, 1000])))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        responses = Responses(path)
        for i in range(300):
            assert responses.get(key(i)) in (value(i), None)
            responses.put(key(i + 1000), value(i + 1000))
        responses.flush()
        for i in range(300):
            assert responses.get(key(i + 1000)) in (value(i + 1000), None)
        responses.close()
    assert len(said) <= 2
    assert all("response cache" in str(warning.message) for warning in said)


def test_damage_that_another_process_has_seen_to_is_not_seen_to_twice(path: Path) -> None:
    filled(path, 2000)
    one, other = Responses(path), Responses(path)
    with path.open("rb+") as file:
        file.seek(4096)
        file.write(b"\xff" * (size(path) - 4096))
    with pytest.warns(UserWarning, match="it is now"):
        assert one.get(key(1234)) is None
    one.put(key(1), b"anew")
    one.flush()
    with pytest.warns(UserWarning, match=r"responses.sqlite' is damaged; a new one"):
        assert other.get(key(1)) in (None, b"anew")
    assert other.get(key(1)) == b"anew"
    one.close()
    other.close()
    Responses(path).close()
    assert {path.name, f"{path.name}.damaged"} <= {file.name for file in path.parent.iterdir()}


def test_a_cache_of_another_version_is_left_alone_and_not_used(path: Path) -> None:
    path.parent.mkdir()
    Database(path, schema="CREATE TABLE other (x)", version=99).close()
    before = path.read_bytes()
    with pytest.warns(UserWarning, match=r"the response cache is not used: .*another version of bon") as said:
        responses = Responses(path)
    assert len(said) == 1
    useless(responses)
    assert path.read_bytes() == before


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_said_once_and_what_is_there_is_still_found(disk: Path) -> None:
    responses = Responses(disk / "responses.sqlite")
    with pytest.warns(UserWarning, match=r"nothing is added to the response cache any more: .*disk") as said:
        put(responses, 2000)
    assert len(said) == 1
    assert responses.get(key(0)) == value(0)
    assert responses.get(key(1999)) is None
    responses.close()


def test_a_read_only_disk_is_said_once(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for path in (disk / "responses.sqlite", disk / "folder" / "responses.sqlite"):
        with pytest.warns(UserWarning, match="the response cache is not used: ") as said:
            responses = Responses(path)
        assert len(said) == 1
        useless(responses)


def test_a_folder_that_cannot_be_made_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.warns(UserWarning, match=r"the response cache is not used: .*file") as said:
        responses = Responses(tmp_path / "file" / "responses.sqlite")
    assert len(said) == 1
    useless(responses)
