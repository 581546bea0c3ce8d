from __future__ import annotations

import gzip
import stat
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon.errors import DataError, UsageError
from bon.store.appending import append
from bon.store.jsonl import read_jsonl, write_atomic


def test_rows_come_with_their_line_numbers_and_blank_lines_count(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n\n  \n{"a": 2}\n{"a": 3}')
    assert list(read_jsonl(path)) == [(1, {"a": 1}), (4, {"a": 2}), (5, {"a": 3})]


def test_a_byte_order_mark_and_windows_line_endings_are_no_data(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"a": 2}\r\n')
    assert list(read_jsonl(path)) == [(1, {"a": 1}), (3, {"a": 2})]


def test_only_newlines_end_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": "one\u2028line\u0085still\x7f"}\n', encoding="utf-8")
    assert list(read_jsonl(path)) == [(1, {"a": "one\u2028line\u0085still\x7f"})]


def test_compressed_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n{"a": 2}\n'))
    assert [row for _, row in read_jsonl(path)] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("cut", [3, 12, -4])
def test_a_compressed_file_that_is_cut_short_says_so(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n' * 100)[:cut])
    with pytest.raises(DataError, match=r"a\.jsonl\.gz.*damaged or cut short"):
        list(read_jsonl(path))


def test_a_dash_is_stdin() -> None:
    code = "from bon.store.jsonl import read_jsonl; print(list(read_jsonl('-')))"
    done = subprocess.run(
        [sys.executable, "-c", code], input='{"a": 1}\n', capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[(1, {'a': 1})]\n"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b'{"a": 1', "not valid JSON"),
        (b"[1, 2]", "expected `object`, got `array`; each line holds one JSON object"),
        (b'{"a": NaN}', "not valid JSON"),
        (b'{"a": Infinity}', "not valid JSON"),
        (b'{"a": 1e999}', "number out of range"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b"[" * 100_000, "JSON"),
        (b'{"a": 1} {"a": 2}', "not valid JSON"),
    ],
)
def test_a_malformed_line_is_named_by_path_and_number(tmp_path: Path, line: bytes, what: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n\n' + line + b"\n")
    rows = read_jsonl(path)
    assert next(rows) == (1, {"a": 1})
    with pytest.raises(DataError) as caught:
        next(rows)
    assert str(caught.value).startswith(f"{path}:3: ")
    assert what in str(caught.value)


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*none\.jsonl"):
        list(read_jsonl(tmp_path / "none.jsonl"))


@given(st.integers(min_value=0))
def test_a_file_cut_anywhere_gives_its_whole_lines(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    whole = [{"text": "über", "n": n} for n in range(5)]
    data = b"".join(f'{{"text": "über", "n": {n}}}\n'.encode() for n in range(5))
    cut %= len(data) + 1
    path = tmp_path_factory.getbasetemp() / "cut.jsonl"
    path.write_bytes(data[:cut])
    rows = [row for _, row in read_jsonl(path, tolerate_truncated_tail=True)]
    # a line that lacks its newline only is whole
    assert rows == whole[: data[: cut + 1].count(b"\n")]


def test_a_truncated_tail_is_an_error_unless_the_caller_expects_it(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": "\xc3')
    with pytest.raises(DataError, match=":2:"):
        list(read_jsonl(path))
    assert [row for _, row in read_jsonl(path, tolerate_truncated_tail=True)] == [{"a": 1}]


def test_only_the_tail_may_be_truncated(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1\n{"a": 2}\n')
    with pytest.raises(DataError, match=":1:"):
        list(read_jsonl(path, tolerate_truncated_tail=True))
    path.write_bytes(b'{"a": 1}\n{"a": 2\n')
    with pytest.raises(DataError, match=":2:"):
        list(read_jsonl(path, tolerate_truncated_tail=True))


def test_reading_holds_one_line_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        for n in range(20_000):
            file.write(b'{"n": %d, "text": "%s"}\n' % (n, b"x" * 500))
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_jsonl(path)) == 20_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000 < path.stat().st_size


def test_append_makes_the_file_and_adds_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    append(path, b'{"a": 1}')
    append(path, b'{"a": 2}')
    assert path.read_bytes() == b'{"a": 1}\n{"a": 2}\n'


@pytest.mark.parametrize("padding", [0, 70_000, 200_000])
def test_append_cuts_off_what_a_killed_writer_left(tmp_path: Path, padding: int) -> None:
    path = tmp_path / "a.jsonl"
    whole = b'{"a": "' + b"x" * padding + b'"}\n'
    for torn in (b'{"a": "' + b"y" * padding, b"{"):
        for before in (whole, b""):
            path.write_bytes(before + torn)
            append(path, b'{"a": 3}')
            assert path.read_bytes() == before + b'{"a": 3}\n'


def test_append_keeps_a_last_line_that_only_lacks_its_newline(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": 2}')
    append(path, b'{"a": 3}')
    assert path.read_bytes() == b'{"a": 1}\n{"a": 2}\n{"a": 3}\n'


def test_append_refuses_two_lines_in_one_and_compressed_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no newline"):
        append(tmp_path / "a.jsonl", b"{}\n{}")
    with pytest.raises(UsageError, match=r"without \.gz"):
        append(tmp_path / "a.jsonl.gz", b"{}")
    assert list(tmp_path.iterdir()) == []


_FULL_DISK = """
import resource, sys
from bon.errors import StoreError
from bon.store.appending import append
from bon.store.jsonl import write_atomic
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
path = sys.argv[2]
line = b'{"text": "' + b"x" * 287 + b'"}'
try:
    if sys.argv[1] == "append":
        for _ in range(10):
            append(path, line)
    else:
        write_atomic(path, [line] * 10)
except (OSError, StoreError) as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_write_that_fails_half_way_leaves_whole_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, "append", path], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "StoreError\n"
    assert path.stat().st_size == 900
    assert len(list(read_jsonl(path))) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_rewrite_that_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"old\n")
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, "rewrite", path], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "StoreError\n"
    assert path.read_bytes() == b"old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_rewrite_whose_lines_raise_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"old\n")

    def lines():
        yield b"new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, lines())
    assert path.read_bytes() == b"old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_can_be_rewritten_from_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n' * 1000)
    write_atomic(path, (b"%d" % number for number, _ in read_jsonl(path)))
    assert path.read_bytes().split() == [b"%d" % n for n in range(1, 1001)]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_rewrite_keeps_permissions_and_new_files_obey_the_umask(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.touch()
    old.chmod(0o640)
    write_atomic(old, [b"x"])
    write_atomic(new, [b"x"])
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert new.stat().st_mode == ordinary.stat().st_mode


def test_a_rewrite_goes_through_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    real, link = tmp_path / "far" / "real.jsonl", tmp_path / "link.jsonl"
    link.symlink_to(real)
    for content in (b"first", b"second"):
        write_atomic(link, [content])
        assert link.is_symlink()
        assert real.read_bytes() == content + b"\n"
    assert sorted(tmp_path.rglob("*")) == sorted([tmp_path / "far", real, link])


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="needs /dev/null")
def test_a_device_is_written_to_and_not_replaced() -> None:
    write_atomic("/dev/null", [b"x"])
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_compressed_rewrite_gives_equal_bytes_for_equal_lines(tmp_path: Path) -> None:
    one, two = tmp_path / "one.jsonl.gz", tmp_path / "two.jsonl.gz"
    for path in (one, two):
        write_atomic(path, [b'{"a": 1}', b'{"a": 2}'])
    assert one.read_bytes() == two.read_bytes()
    assert [row for _, row in read_jsonl(one)] == [{"a": 1}, {"a": 2}]


def test_a_rewrite_says_where_it_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="it is a folder"):
        write_atomic(tmp_path, [])
    with pytest.raises(UsageError, match="there is no folder"):
        write_atomic(tmp_path / "no" / "a.jsonl", [])
