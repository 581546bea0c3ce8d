"""What a SQLite file of ours survives: kills, crowds, closed loops, full and read-only disks, files of others."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from bon.errors import StoreError, UsageError
from bon.store.database import Database
from bon.store.sqlite_errors import Busy, Damaged

SCHEMA = "CREATE TABLE entries (id INTEGER PRIMARY KEY, value BLOB NOT NULL)"
INSERT = "INSERT INTO entries (value) VALUES (?)"


def opened(path: Path, *, exclusive: bool = False, patience: float = 30.0) -> Database:
    return Database(path, schema=SCHEMA, version=1, exclusive=exclusive, patience=patience)


def values(path: Path) -> list[bytes]:
    """What another reader finds, and that the file is sound."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [value for (value,) in connection.execute("SELECT value FROM entries ORDER BY id")]


PRELUDE = f"""
import asyncio, os, resource, signal, sqlite3, sys, time
from pathlib import Path
from bon.errors import BonError
from bon.store.database import Database

SCHEMA, INSERT, PATH = {SCHEMA!r}, {INSERT!r}, Path(sys.argv[1])

def opened(exclusive=False):
    return Database(PATH, schema=SCHEMA, version=1, exclusive=exclusive)
"""


@contextmanager
def process(code: str, path: Path, *args: object) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs `code`; it is killed at the end, if it still lives."""
    running = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + code, str(path), *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def said(running: subprocess.Popen[str]) -> str:
    """The next line that a process says."""
    assert running.stdout is not None
    return running.stdout.readline().strip()


HOLD = """
connection = sqlite3.connect(PATH, isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
print("let go", flush=True)
"""

# Groups


async def test_a_group_is_committed_in_the_loops_next_round(tmp_path: Path) -> None:
    database = opened(tmp_path / "d")
    for i in range(100):
        database.write(INSERT, (b"%d" % i,))
    assert database.read("SELECT count(*) FROM entries") == [(0,)]
    await database.written()
    assert database.read("SELECT count(*) FROM entries") == [(100,)]
    await database.written()  # nothing is left to wait for
    database.close()
    assert values(tmp_path / "d") == [b"%d" % i for i in range(100)]


async def test_a_group_that_lingers_waits_for_more_rows_and_for_nobody_who_waits_for_it(tmp_path: Path) -> None:
    database = Database(tmp_path / "d", schema=SCHEMA, version=1, linger=1.0)
    committed = asyncio.Event()
    database.after_commit = committed.set
    for i in range(10):
        database.write(INSERT, (b"%d" % i,))
        await asyncio.sleep(0.001)
    assert not committed.is_set()
    await asyncio.wait_for(database.written(), 10)
    assert committed.is_set()
    committed.clear()
    database.write(INSERT, (b"10",))
    await asyncio.wait_for(committed.wait(), 10)
    assert database.read("SELECT count(*) FROM entries") == [(11,)]
    database.close()


def test_without_a_loop_flush_and_close_commit(tmp_path: Path) -> None:
    database = opened(tmp_path / "d")
    database.write(INSERT, (b"a",))
    database.flush()
    assert values(tmp_path / "d") == [b"a"]
    database.write(INSERT, (b"b",))
    database.close()
    database.close()
    assert values(tmp_path / "d") == [b"a", b"b"]
    with pytest.raises(StoreError, match="is closed"):
        database.write(INSERT, (b"c",))
    with pytest.raises(StoreError, match="closed"):
        database.read("SELECT 1")


async def test_rows_written_outside_of_a_loop_are_waited_for_too(tmp_path: Path) -> None:
    database = opened(tmp_path / "d")
    await asyncio.to_thread(database.write, INSERT, (b"a",))
    await database.written()
    assert values(tmp_path / "d") == [b"a"]
    database.close()


async def test_what_belongs_to_a_group_is_added_before_it_is_committed(tmp_path: Path) -> None:
    database = opened(tmp_path / "d")
    database.before_commit = lambda: database.write(INSERT, (b"with it",))
    database.schedule()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    database.before_commit = None
    assert values(tmp_path / "d") == [b"with it"]
    database.close()


async def test_a_row_that_cannot_be_kept_ends_the_use_and_is_told(tmp_path: Path) -> None:
    database, told = opened(tmp_path / "d"), []
    database.on_failure = told.append
    database.write(INSERT, (object(),))
    with pytest.raises(StoreError, match=r"a row cannot be kept|type 'object' is not supported"):
        await asyncio.wait_for(database.written(), 10)
    with pytest.raises(StoreError) as again:
        database.write(INSERT, (b"a",))
    assert told == [again.value]
    assert database.read("SELECT count(*) FROM entries") == [(0,)]
    database.close()


def test_who_is_told_holds_no_lock_and_may_wait_for_others_who_use_it(tmp_path: Path) -> None:
    """The mistake: callbacks under the lock, so that two threads wait for each other for ever."""
    database, seen = opened(tmp_path / "d"), []

    def another_thread_reads(*_: object) -> None:
        reading = threading.Thread(target=lambda: seen.append(database.read("SELECT count(*) FROM entries")))
        reading.start()
        reading.join(10)

    database.after_commit = another_thread_reads
    database.on_failure = another_thread_reads
    database.write(INSERT, (b"a",))
    database.flush()
    assert seen == [[(1,)]]
    database.write(INSERT, (object(),))
    with pytest.raises(StoreError):
        database.flush()
    assert seen == [[(1,)]] * 2
    database.close()


INTERRUPTED = """
import random

armed, dice, interrupts = False, random.Random(1), 0

def interrupt(*_):
    if armed:
        raise KeyboardInterrupt

signal.signal(signal.SIGALRM, interrupt)
database = opened(exclusive=True)
for i in range(3000):
    database.write(INSERT, (b"%d" % i,))
    try:
        try:
            armed = True
            signal.setitimer(signal.ITIMER_REAL, dice.uniform(1e-6, 1e-4))
            database.flush()
        finally:
            armed = False
    except KeyboardInterrupt:
        interrupts += 1
    armed = False
database.close()
print(interrupts)
"""


@pytest.mark.skipif(os.name != "posix", reason="timers that interrupt are of POSIX")
def test_an_interrupt_at_any_moment_of_a_commit_neither_loses_nor_doubles_its_rows(tmp_path: Path) -> None:
    with process(INTERRUPTED, tmp_path / "d") as interrupted:
        out, err = interrupted.communicate(timeout=60)
    assert err == ""
    assert int(out) > 300
    assert values(tmp_path / "d") == [b"%d" % i for i in range(3000)]


async def test_a_waiter_that_was_cancelled_keeps_nobody_from_going_on(tmp_path: Path) -> None:
    database = opened(tmp_path / "d")
    database.write(INSERT, (b"a",))
    gone, stays = asyncio.ensure_future(database.written()), asyncio.ensure_future(database.written())
    gone.cancel()
    await asyncio.wait_for(stays, 10)
    assert gone.cancelled()
    database.close()


def test_rows_can_be_read_one_at_a_time_and_left_early(tmp_path: Path) -> None:
    database = opened(tmp_path / "d")
    for i in range(1000):
        database.write(INSERT, (b"%d" % i,))
    database.flush()
    rows = database.each("SELECT value FROM entries ORDER BY id")
    assert [next(rows) for _ in range(3)] == [(b"0",), (b"1",), (b"2",)]
    assert threading.Thread(target=database.read, args=("SELECT 1",)).start() is None  # nobody is kept out meanwhile
    assert len(list(rows)) == 997
    database.close()


# Loops and threads


def test_a_loop_that_was_closed_with_a_group_still_scheduled(tmp_path: Path) -> None:
    database = opened(tmp_path / "d")
    loop = asyncio.new_event_loop()
    waiting: list[asyncio.Future[None]] = []

    def last_act() -> None:
        database.write(INSERT, (b"a",))
        waiting.append(loop.create_task(database.written()))  # type: ignore[arg-type]
        loop.stop()

    loop.call_soon(last_act)
    loop.run_forever()
    assert database.read("SELECT count(*) FROM entries") == [(0,)]
    waiting[0].cancel()
    with suppress(asyncio.CancelledError):
        loop.run_until_complete(waiting[0])
    loop.call_soon(lambda: (database.write(INSERT, (b"b",)), loop.stop()))
    loop.run_forever()
    loop.close()

    async def later() -> None:
        database.write(INSERT, (b"c",))
        await asyncio.wait_for(database.written(), 10)

    asyncio.run(later())
    assert values(tmp_path / "d") == [b"a", b"b", b"c"]
    database.close()


def test_a_loop_that_stands_still_keeps_no_other_from_going_on(tmp_path: Path) -> None:
    database, idle = opened(tmp_path / "d"), asyncio.new_event_loop()
    idle.call_soon(lambda: (database.write(INSERT, (b"a",)), idle.stop()))
    idle.run_forever()

    async def busy() -> None:
        database.write(INSERT, (b"b",))
        await asyncio.wait_for(database.written(), 10)

    asyncio.run(busy())
    assert values(tmp_path / "d") == [b"a", b"b"]
    idle.run_until_complete(asyncio.sleep(0))
    idle.close()
    database.close()


def test_several_threads_each_with_a_loop_of_its_own(tmp_path: Path) -> None:
    database, wrong = opened(tmp_path / "d"), []

    async def work(name: int) -> None:
        for i in range(100):
            value = b"%d:%d" % (name, i)
            database.write(INSERT, (value,))
            await asyncio.wait_for(database.written(), 30)
            if database.read("SELECT count(*) FROM entries WHERE value = ?", (value,)) != [(1,)]:
                wrong.append(value)

    threads = [threading.Thread(target=asyncio.run, args=(work(name),)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database.close()
    assert wrong == []
    assert sorted(values(tmp_path / "d")) == sorted(b"%d:%d" % (name, i) for name in range(4) for i in range(100))


# Other processes


async def test_a_busy_file_stops_no_loop_and_loses_no_group(tmp_path: Path) -> None:
    database = opened(tmp_path / "d")
    calls = 0

    def count() -> None:
        nonlocal calls
        calls += 1

    database.before_commit = count
    with process(HOLD, tmp_path / "d") as other:
        assert said(other) == "held"
        database.write(INSERT, (b"a",))
        waiting = asyncio.ensure_future(database.written())
        rounds, until = 0, time.monotonic() + 0.5
        while time.monotonic() < until:
            await asyncio.sleep(0.001)
            rounds += 1
        assert rounds > 20, "the event loop stood still"
        assert not waiting.done()
        database.write(INSERT, (b"b",))
        assert other.stdin is not None
        other.stdin.write("\n")
        other.stdin.flush()
        assert said(other) == "let go"
        await asyncio.wait_for(waiting, 30)
    assert calls > 1
    assert values(tmp_path / "d") == [b"a", b"b"]
    database.close()


async def test_a_process_that_stopped_with_the_file_in_its_hands(tmp_path: Path) -> None:
    database = opened(tmp_path / "d", patience=0.2)
    with process(HOLD, tmp_path / "d") as other:
        assert said(other) == "held"
        database.write(INSERT, (b"a",))
        with pytest.raises(Busy, match="another process has it locked and does not let go"):
            await asyncio.wait_for(database.written(), 30)
        with pytest.raises(Busy):
            database.write(INSERT, (b"b",))
        second = opened(tmp_path / "d", patience=0.2)  # opening needs no lock where the schema is there
        second.write(INSERT, (b"c",))
        with pytest.raises(Busy):
            second.close()
    database.close()


def test_closing_waits_for_another_process(tmp_path: Path) -> None:
    database = opened(tmp_path / "d")
    with process(HOLD, tmp_path / "d") as other:
        assert said(other) == "held"
        database.write(INSERT, (b"a",))
        assert other.stdin is not None
        threading.Timer(0.3, lambda: (other.stdin.write("\n"), other.stdin.flush())).start()  # type: ignore[union-attr]
        database.close()
    assert values(tmp_path / "d") == [b"a"]


CROWD = """
async def main():
    database = opened()
    for i in range(int(sys.argv[3])):
        database.write(INSERT, (f"{sys.argv[2]}:{i}".encode(),))
        if i % 7 == 0:
            await database.written()
    database.close()

asyncio.run(main())
"""


def test_many_processes_on_one_shared_file(tmp_path: Path) -> None:
    crowd = [
        subprocess.Popen([sys.executable, "-c", PRELUDE + CROWD, str(tmp_path / "d"), str(name), "200"])
        for name in range(6)  # all of them create it at once
    ]
    assert [running.wait(timeout=120) for running in crowd] == [0] * 6
    found = values(tmp_path / "d")
    assert len(found) == len(set(found)) == 1200
    for name in range(6):
        mine = [value for value in found if value.startswith(b"%d:" % name)]
        assert mine == [b"%d:%d" % (name, i) for i in range(200)], "rows of a process stay in their order"


def test_a_file_that_others_are_just_making_is_waited_for(tmp_path: Path) -> None:
    wrong: list[Exception] = []

    def make(path: Path, gate: threading.Barrier) -> None:
        gate.wait()
        try:
            opened(path).close()
        except StoreError as error:
            wrong.append(error)

    for i in range(60):
        gate = threading.Barrier(6)
        crowd = [threading.Thread(target=make, args=(tmp_path / str(i), gate)) for _ in range(6)]
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join()
    assert wrong == []


def test_an_exclusive_file_in_use_is_refused_at_once(tmp_path: Path) -> None:
    hold = "database = opened(exclusive=True); print('held', flush=True); sys.stdin.readline()"
    with process(hold, tmp_path / "d") as other:
        assert said(other) == "held"
        before = time.monotonic()
        with pytest.raises(UsageError, match="in use: wait until that run is done, or choose another output"):
            opened(tmp_path / "d", exclusive=True)
        assert (
            time.monotonic() - before < 5
        )  # a quarter of one, on a machine at rest; and not after the patience that a shared file would have
        other.kill()
        other.wait()
        opened(tmp_path / "d", exclusive=True).close()  # who was killed holds nothing
    with_us = opened(tmp_path / "d", exclusive=True)
    with pytest.raises(UsageError, match="in use"):
        opened(tmp_path / "d", exclusive=True)
    with_us.close()


TAKE_TURNS = """
import random

from bon.errors import UsageError

OWNER, LEFT = Path(f"{PATH}.owner"), Path(f"{PATH}.left")  # who has it now, and what the last one left in it
name, rounds, dice, done = sys.argv[2], int(sys.argv[3]), random.Random(int(sys.argv[2])), 0
while done < rounds:
    try:
        database = opened(exclusive=True)
    except UsageError as error:
        assert "in use" in str(error)
        continue
    os.close(os.open(OWNER, os.O_CREAT | os.O_EXCL))
    left = LEFT.read_text().split() if LEFT.exists() else []
    found = [value.decode() for (value,) in database.read("SELECT value FROM entries ORDER BY id")]
    assert found == left, (found, left)
    mine = f"{name}:{done}"
    database.write(INSERT, (mine.encode(),))
    database.flush()
    keep = dice.random() < 0.3
    LEFT.write_text(" ".join([*left, mine]) if keep else "")
    OWNER.unlink()
    database.close(remove=not keep)
    done += 1
"""


def taking_turns(path: Path, *, processes: int, rounds: int) -> None:
    crowd = [
        subprocess.Popen(
            [sys.executable, "-c", PRELUDE + TAKE_TURNS, str(path), str(name), str(rounds)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in range(processes)
    ]
    assert [running.communicate(timeout=300)[1] for running in crowd] == [""] * processes
    left = path.with_name("d.left").read_text().split()
    database = opened(path, exclusive=True)
    assert [value.decode() for (value,) in database.read("SELECT value FROM entries ORDER BY id")] == left
    database.close(remove=True)
    assert [file.name for file in path.parent.iterdir()] == ["d.left"]


def test_processes_that_open_write_and_remove_one_file_never_meet_in_it_and_lose_nothing(tmp_path: Path) -> None:
    """The mistake: a run that ends removes the journal that another run has just opened."""
    taking_turns(tmp_path / "d", processes=5, rounds=40)


@pytest.mark.slow
def test_many_processes_that_remove_one_file_lose_nothing(tmp_path: Path) -> None:
    taking_turns(tmp_path / "d", processes=12, rounds=100)


START = """
from bon.errors import UsageError

print("ready", flush=True)
for line in sys.stdin:  # all of them get it at once
    PATH = Path(line.strip())
    try:
        database = opened(exclusive=True)
        print("won", flush=True)
    except UsageError:
        print("refused", flush=True)
"""


def test_of_several_that_start_at_once_exactly_one_wins(tmp_path: Path) -> None:
    """The mistake: each of them is refused because of the other."""
    with ExitStack() as stack:
        crowd = [stack.enter_context(process(START, tmp_path)) for _ in range(3)]
        assert [said(running) for running in crowd] == ["ready"] * 3
        for i in range(12):
            for running in crowd:
                assert running.stdin is not None
                running.stdin.write(f"{tmp_path / str(i)}\n")
                running.stdin.flush()
            assert sorted(said(running) for running in crowd) == ["refused", "refused", "won"]


def test_a_shared_file_is_not_removed(tmp_path: Path) -> None:
    database = opened(tmp_path / "d")
    with pytest.raises(UsageError, match="cannot be removed while others may have it open"):
        database.close(remove=True)
    database.close()
    assert values(tmp_path / "d") == []


def test_closing_again_removes_nothing_of_who_came_after(tmp_path: Path) -> None:
    database = opened(tmp_path / "d", exclusive=True)
    database.close()
    after = opened(tmp_path / "d", exclusive=True)
    database.close(remove=True)
    with pytest.raises(UsageError, match="in use"):
        opened(tmp_path / "d", exclusive=True)
    after.write(INSERT, (b"a",))
    after.close()
    assert values(tmp_path / "d") == [b"a"]


FORK = """
database = opened()
database.write(INSERT, (b"the parent's",))
child = os.fork()
if child == 0:
    for use in (lambda: database.read("SELECT 1"), database.flush, lambda: database.write(INSERT, (b"the child's",))):
        try:
            use()
        except BonError as error:
            print(error, flush=True)
    database.close()
    os._exit(0)
os.waitpid(child, 0)
database.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_forked_child_is_told_to_open_it_anew(tmp_path: Path) -> None:
    with process(FORK, tmp_path / "d") as forking:
        out, err = forking.communicate(timeout=60)
    assert err == ""
    assert out.count("open it anew in the child") == 3
    assert values(tmp_path / "d") == [b"the parent's"]


# Kills

WRITE = """
async def main():
    database, i = opened(), int(sys.argv[2])
    while True:
        for _ in range(i % 5 + 1):
            database.write(INSERT, (b"%d " % i + b"x" * (i * 37 % 900),))
            i += 1
        await database.written()
        os.write(1, b"%d\\n" % (i - 1))  # all up to here are said to be safe

asyncio.run(main())
"""


def killed_at_random(path: Path, seed: int, *, kills: int) -> None:
    dice, safe = random.Random(seed), -1
    for _ in range(kills):
        with process(WRITE, path, safe + 1) as writing:
            said(writing)
            time.sleep(dice.uniform(0, 0.05))
            writing.send_signal(signal.SIGKILL)
            out, err = writing.communicate()
            assert err == ""
        acknowledged = [int(line) for line in out.split("\n")[:-1]]
        found = values(path)
        numbers = [int(value.split()[0]) for value in found]
        assert numbers == list(range(len(numbers))), "a row is lost, or there twice"
        assert len(numbers) > max(acknowledged, default=safe)
        assert all(len(value) == len(b"%d " % i) + i * 37 % 900 for i, value in enumerate(found))
        safe = len(numbers) - 1


def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    killed_at_random(tmp_path / "d", seed=1, kills=4)


@pytest.mark.slow
def test_fifty_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    killed_at_random(tmp_path / "d", seed=2, kills=50)


# Disks


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


def remounted(disk: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(disk)], check=True)


@pytest.mark.parametrize("exclusive", [False, True])
async def test_a_full_disk_is_said_and_what_was_written_stays_whole(disk: Path, exclusive: bool) -> None:
    database, told, safe = opened(disk / "d", exclusive=exclusive), [], 0
    database.on_failure = told.append
    while not told:
        database.write(INSERT, (b"%06d" % safe + b"x" * 5000,))
        with suppress(StoreError):
            await database.written()
            safe += 1
    assert re.search(r"the disk (is full|refused).*run the same command again", str(told[0]))
    assert safe > 50
    with pytest.raises(StoreError) as again:
        database.write(INSERT, (b"more",))
    assert [again.value] == told
    assert len(database.read("SELECT id FROM entries")) == safe, "it can still be read"
    database.close()
    remounted(disk, "size=8m")
    assert [int(value[:6]) for value in values(disk / "d")] == list(range(safe))
    database = opened(disk / "d", exclusive=exclusive)
    database.write(INSERT, (b"room",))
    database.close()
    assert values(disk / "d")[-1] == b"room"


QUOTA = """
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

async def main():
    database, safe = opened(sys.argv[2] == "True"), 0
    try:
        while True:
            database.write(INSERT, (b"%06d" % safe + b"x" * 5000,))
            await database.written()
            safe += 1
    except BonError as error:
        print(safe, type(error).__name__, error)
    database.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("exclusive", [False, True])
def test_a_quota_is_said_and_what_was_written_stays_whole(tmp_path: Path, exclusive: bool) -> None:
    with process(QUOTA, tmp_path / "d", exclusive) as limited:
        out, err = limited.communicate(timeout=60)
    assert err == ""
    safe, kind, words = out.split(maxsplit=2)
    assert kind == "StoreError"
    assert "the disk" in words
    assert "run the same command again" in words
    assert [int(value[:6]) for value in values(tmp_path / "d")] == list(range(int(safe)))
    assert int(safe) > 50


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("exclusive", [False, True])
def test_a_read_only_disk_is_said(disk: Path, there: bool, exclusive: bool) -> None:
    if there:
        opened(disk / "d").close()
    remounted(disk, "ro")
    with pytest.raises(StoreError, match="disk' is not there, or may not be written: check it"):
        opened(disk / "d", exclusive=exclusive)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everything")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_file_that_may_not_be_written_is_said(tmp_path: Path, what: str) -> None:
    opened(tmp_path / "d").close()
    target = tmp_path if what == "folder" else tmp_path / "d"
    target.chmod(0o500 if what == "folder" else 0o400)
    try:
        with pytest.raises(StoreError, match="is not there, or may not be written: check it"):
            opened(tmp_path / "d")
    finally:
        target.chmod(0o700)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="missing' is not there, or may not be written: check it"):
        opened(tmp_path / "missing" / "d")
    with pytest.raises(StoreError, match=r"it cannot be written .*check that the folder is there"):
        opened(tmp_path)  # a folder itself


# Files of others


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    path, text = tmp_path / "d", b'{"id": "p1", "prompt": "This is a file of prompts"}\n' * 100
    path.write_bytes(text)
    for exclusive in (False, True):
        with pytest.raises(Damaged, match=r"it is damaged, or no file of bon's .*; move it away"):
            opened(path, exclusive=exclusive)
    assert path.read_bytes() == text
    assert [file.name for file in tmp_path.iterdir()] == ["d"]


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE theirs (x)", "PRAGMA user_version = 1", "PRAGMA application_id = 7"]
)
def test_a_database_of_another_program_is_left_as_it_is(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "d"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
    before = path.read_bytes()
    with pytest.raises(Damaged, match="a database, but not one of bon's: move it away"):
        opened(path)
    assert path.read_bytes() == before


def test_another_version_of_the_schema_is_named(tmp_path: Path) -> None:
    Database(tmp_path / "d", schema=SCHEMA, version=2).close()
    with pytest.raises(StoreError, match=r"another version of bon \(schema 2, not 1\).*or remove the file") as caught:
        opened(tmp_path / "d")
    assert not isinstance(caught.value, Damaged)
    Database(tmp_path / "d", schema=SCHEMA, version=2).close()


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "d").touch()
    opened(tmp_path / "d").close()
    assert values(tmp_path / "d") == []


def test_damage_found_while_reading_is_said(tmp_path: Path) -> None:
    database = opened(tmp_path / "d")
    for _ in range(200):
        database.write(INSERT, (b"x" * 3000,))
    database.close()
    with (tmp_path / "d").open("rb+") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 40)
    with pytest.raises(Damaged, match="it is damaged"):
        opened(tmp_path / "d").read("SELECT sum(length(value)) FROM entries WHERE value > x'00'")
