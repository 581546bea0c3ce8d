"""Inputs as they come: whatever is wrong with a line is told of, and the rest is read."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import subprocess
import sys
import threading
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bon.errors import DataError, UsageError
from bon.store.diagnosis import BadLine
from bon.store.lines import lines_of, rereadable
from bon.store.plain import encode
from bon.store.pools import PoolFile, dump_pool
from bon.store.prompts import read_prompts
from bon.types import Candidate, Pool, Prompt, as_messages


def _good(name: str) -> bytes:
    return json.dumps({"id": name, "prompt": f"What is {name}?"}).encode()


_DEEP = b'{"id": "deep", "prompt": "?", "metadata": {"a": ' + b"[" * 600 + b"]" * 600 + b"}}"
CORPUS: list[tuple[bytes, str, str | None, str]] = [
    (b'{"prompt": "no end"', "not_json", None, "not valid JSON (input data was truncated)"),
    (b'{"id": "x1", "prompt": "no quote}', "not_json", "x1", "not valid JSON"),
    (b"{'prompt': 'python'}", "not_json", None, "not valid JSON"),
    (b'{"prompt": "two"} {"prompt": "objects"}', "not_json", None, "trailing characters"),
    (b'{"prompt": "?", "request": {"temperature": NaN}}', "not_json", None, "NaN is no JSON number"),
    (b'{"prompt": "?", "reference": Infinity}', "not_json", None, "Infinity is no JSON number"),
    (b'{"prompt": "?", "reference": -Infinity}', "not_json", None, "-Infinity is no JSON number"),
    (b'{"id": "x2", "prompt": "?", "reference": 1e999}', "invalid", "x2", "out of range"),
    (b'{"id": "x3", "prompt": "caf\xe9"}', "not_utf8", "x3", "not UTF-8 text"),
    (b'{"prompt": "\xed\xa0\x80"}', "not_utf8", None, "save the file as UTF-8"),
    (b'{"prompt": "half \\ud83d"}', "not_json", None, "half of a surrogate pair, \\ud83d"),
    (b'{"prompt": "one"}\r{"prompt": "two"}', "not_json", None, "carriage returns"),
    (b"\0" * 4096, "not_json", None, "nothing but NUL bytes"),
    (b'{"prompt": "a NUL \0 byte"}', "not_json", None, "a NUL byte"),
    ('{"prompt": "sixteen"}'.encode("utf-16-le"), "not_utf8", None, "looks like UTF-16"),
    (_good("a"), "duplicate_id", "a", "the id 'a' (made from the content where none is given) is that of line 1"),
    (b'{"id": "x4", "prompt": ["?"]}', "invalid", "x4", "field 'prompt': expected `str | null`, got `array`"),
    (b'{"id": "x5", "promt": "?"}', "invalid", "x5", "did you mean 'prompt'"),
    (b'{"id": "x6", "prompt": ""}', "invalid", "x6", "the prompt is empty"),
    (b'{"id": 7, "prompt": " \\n "}', "invalid", "7", "the prompt is empty"),
    (b'{"id": "x8"}', "invalid", "x8", "neither `prompt` nor `messages`"),
    (b'{"id": "x9", "messages": []}', "invalid", "x9", "`messages` is empty"),
    (b'{"id": "pool", "prompt": "?", "candidates": []}', "invalid", "pool", "a pool, not a prompt"),
    (b'["a list"]', "invalid", None, "expected `object`, got `array`"),
    (b"null", "invalid", None, "expected `object`"),
    (_DEEP, "too_deep", "deep", "nested too deeply"),
    (b'{"a": ' + b"[" * 90_000, "too_deep", None, "nested too deeply"),
    (b'{"id": "' + b"9" * 5000 + b'", "prompt": ""}', "invalid", "9" * 200, "the prompt is empty"),
    (b'{"id": ' + b"9" * 5000 + b', "prompt": "?"}', "invalid", None, ""),
    (
        b'{"id": "long", "prompt": "' + b"x" * 200_000 + b'"}',
        "too_long",
        "long",
        "bytes in one line; is this a file of JSON Lines?",
    ),
    (b"#" * 150_000, "too_long", None, "bytes in one line"),
]
"""A line, its error, its id where that can be read, and what the message says."""


def _read(path: Path, **options: int) -> tuple[list[Prompt], list[BadLine]]:
    bad: list[BadLine] = []
    return list(read_prompts(path, on_bad=bad.append, **options)), bad


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
@pytest.mark.parametrize("name", ["prompts.jsonl", "prompts.jsonl.gz"])
def test_every_bad_line_is_told_of_and_every_good_one_read(tmp_path: Path, ending: bytes, name: str) -> None:
    lines = [_good("a")]
    for number, (line, *_) in enumerate(CORPUS):
        lines += [line, _good(f"g{number}")]
    path = tmp_path / name
    data = b"\xef\xbb\xbf" + ending.join(lines) + b'\n\n{"id": "cut", "prompt": "the la'
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    prompts, bad = _read(path, longest=100_000)
    assert [prompt.id for prompt in prompts] == ["a", *(f"g{number}" for number in range(len(CORPUS)))]
    expected = [(2 + 2 * place, error, id_) for place, (_, error, id_, _) in enumerate(CORPUS)]
    last = 2 * len(CORPUS) + 3
    assert [(one.line, one.error, one.id) for one in bad] == [*expected, (last, "truncated", "cut")]
    for one, (line, _, _, says) in zip(bad, CORPUS, strict=False):
        assert says in one.message
        assert len(one.text) <= 200
        if line.isascii() and b"\0" not in line:
            assert line.decode().startswith(one.text)
        assert len(one.message) < 400
    assert "the last line is cut short" in bad[-1].message
    assert bad[-1].text == '{"id": "cut", "prompt": "the la'


@pytest.mark.parametrize(("line", "says"), [(line, says) for line, _, _, says in CORPUS if not line.startswith(b"\0")])
def test_without_a_callback_the_first_bad_line_is_an_error(tmp_path: Path, line: bytes, says: str) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(b"\n".join([_good("a"), b"", line, _good("b")]))
    prompts = read_prompts(path, longest=100_000)
    assert next(prompts).id == "a"
    with pytest.raises(DataError) as caught:
        next(prompts)
    assert str(caught.value).startswith(f"{path}:3: ")
    assert says in str(caught.value)


def test_a_truncated_last_line_is_said_to_be_one_and_one_that_lacks_its_newline_is_read(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(_good("a") + b"\n" + _good("b"))
    assert [prompt.id for prompt in _read(path)[0]] == ["a", "b"]
    path.write_bytes(_good("a") + b"\n" + _good("b")[:-3])
    prompts, (bad,) = _read(path)
    assert [prompt.id for prompt in prompts] == ["a"]
    assert (bad.line, bad.error, bad.id) == (2, "truncated", "b")
    with pytest.raises(DataError, match=r"prompts\.jsonl:2: the last line is cut short"):
        list(read_prompts(path))


@pytest.mark.parametrize("joint", [b"\xef\xbb\xbf", b""])
def test_files_joined_with_their_byte_order_marks_are_read(tmp_path: Path, joint: bytes) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + _good("a") + b"\r\n" + joint + b"\r\n" + joint + _good("b") + b"\r\n")
    prompts, bad = _read(path)
    assert [prompt.id for prompt in prompts] == ["a", "b"]
    assert bad == []


def test_a_text_file_is_read_as_tolerantly(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_bytes(b"Why?\r\ncaf\xe9\nold\rMac\nWhy?\n\n\x00\nHow?")
    prompts, bad = _read(path)
    assert [prompt.text for prompt in prompts] == ["Why?", "How?"]
    assert [(one.line, one.error) for one in bad] == [
        (2, "not_utf8"),
        (3, "invalid"),
        (4, "duplicate_id"),
        (6, "invalid"),
    ]


def test_a_bad_line_takes_no_id_from_a_good_one(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(b'{"id": "a", "prompt": ""}\n' + _good("a") + b"\n" + _good("a") + b"\n")
    prompts, bad = _read(path)
    assert [prompt.id for prompt in prompts] == ["a"]
    assert [(one.line, one.error) for one in bad] == [(1, "invalid"), (3, "duplicate_id")]
    assert "line 2" in bad[1].message


def test_compressed_data_under_another_name_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(gzip.compress(_good("a")))
    assert "give the file a name that ends in .gz" in _read(path)[1][0].message


def test_what_is_wrong_with_a_whole_file_is_still_an_error(tmp_path: Path) -> None:
    bad: list[BadLine] = []
    with pytest.raises(UsageError, match="cannot read"):
        list(read_prompts(tmp_path / "none.jsonl", on_bad=bad.append))
    with pytest.raises(UsageError, match="cannot read"):
        list(read_prompts(tmp_path, on_bad=bad.append))
    path = tmp_path / "plain.jsonl.gz"
    path.write_bytes(_good("a") + b"\n")
    with pytest.raises(DataError, match="damaged or cut short"):
        list(read_prompts(path, on_bad=bad.append))
    assert bad == []


# Compressed data


def _rows(count: int) -> list[bytes]:
    chance = random.Random(0)
    return [json.dumps({"id": str(n), "prompt": chance.randbytes(200).hex()}).encode() + b"\n" for n in range(count)]


@pytest.mark.parametrize("share", [0.3, 0.9])
@pytest.mark.parametrize("how", ["cut", "damaged"])
def test_damaged_compressed_data_is_read_up_to_the_damage(tmp_path: Path, share: float, how: str) -> None:
    rows = _rows(2000)
    data = bytearray(gzip.compress(b"".join(rows)))
    place = int(len(data) * share)
    if how == "cut":
        del data[place:]
    else:
        data[place : place + 64] = bytes(64)
    path = tmp_path / "prompts.jsonl.gz"
    path.write_bytes(data)
    prompts, bad = _read(path)
    whole = [prompt.id for prompt in prompts if prompt.id.isdigit()]
    assert whole == [str(n) for n in range(len(whole))]
    assert len(prompts) > 2000 * share - 500
    assert bad[-1].error == "damaged"
    assert "fetch the file again" in bad[-1].message
    assert bad[-1].line > len(whole)
    with pytest.raises(DataError, match=r"damaged or cut short|not valid JSON|not UTF-8"):
        list(read_prompts(path))


def test_a_compressed_file_without_its_checksum_gives_all_lines_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(_rows(50)))[:-8])
    prompts, bad = _read(path)
    assert len(prompts) == 50
    assert [(one.line, one.error) for one in bad] == [(51, "damaged")]


# Memory


class _Endless(io.RawIOBase):
    """A line of so many bytes between two others, made as it is read."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.parts = [_good("a") + b'\n{"id": "huge", "prompt": "', b'"}\n' + _good("b")]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if len(self.parts) == 2 or (self.parts and not self.left):
            part = self.parts.pop(0)
        else:
            part = b"x" * min(len(buffer), self.left)
            self.left -= len(part)
        buffer[: len(part)] = part
        return len(part)


def test_a_huge_line_is_passed_over_with_bounded_memory() -> None:
    size = 300 << 20
    tracemalloc.start()
    try:
        lines = list(lines_of(io.BufferedReader(_Endless(size), 1 << 16), longest=1 << 20))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [(line.number, line.size) for line in lines] == [(1, None), (2, size + 28), (3, None)]
    assert peak < 4 << 20


@pytest.mark.parametrize("through", ["gz", "pipe"])
def test_a_huge_line_of_a_stream_is_reported_with_its_size(tmp_path: Path, through: str) -> None:
    size = 300 << 20
    path = tmp_path / ("prompts.jsonl.gz" if through == "gz" else "pipe")
    if through == "gz":
        with gzip.open(path, "wb", compresslevel=1) as packed:
            _write_huge(packed, size)
    else:
        os.mkfifo(path)
        threading.Thread(target=lambda: _write_huge(path.open("wb"), size), daemon=True).start()
    tracemalloc.start()
    try:
        prompts, bad = _read(path, longest=1 << 20)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [prompt.id for prompt in prompts] == ["a", "b"]
    assert [(one.line, one.error, one.id, len(one.text)) for one in bad] == [(2, "too_long", "huge", 200)]
    assert f"{size + 28:,} bytes" in bad[0].message
    assert peak < 5 << 20


def _write_huge(file: io.BufferedIOBase | gzip.GzipFile, size: int) -> None:
    with file:
        file.write(_good("a") + b'\n{"id": "huge", "prompt": "')
        block = b"x" * (1 << 20)
        for _ in range(size >> 20):
            file.write(block)
        file.write(b'"}\n' + _good("b") + b"\n")


def test_the_default_limit_bounds_memory_too() -> None:
    tracemalloc.start()
    try:
        lines = list(lines_of(io.BufferedReader(_Endless(300 << 20), 1 << 16), longest=64 << 20))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert lines[1].size == (300 << 20) + 28
    assert peak < 200 << 20


def test_a_line_of_just_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    line = _good("a")
    for ending in (b"\n", b""):
        path.write_bytes(line + ending)
        assert len(_read(path, longest=len(line))[0]) == 1
        assert [one.error for one in _read(path, longest=len(line) - 1)[1]] == ["too_long"]


# Any bytes whatever


_pieces = st.lists(
    st.sampled_from([b"\n", b"\r", b"\r\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"[", b"{", b'"', b"\\ud83d", b"NaN"])
    | st.binary(max_size=12)
    | st.sampled_from([_good("a"), _good("b"), b'{"prompt": "' + "ü".encode() * 40 + b'"}']),
    max_size=12,
)


@given(pieces=_pieces, longest=st.integers(1, 120), name=st.sampled_from(["a.jsonl", "a.txt"]))
def test_no_bytes_whatever_stop_the_reading(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], longest: int, name: str
) -> None:
    data = b"".join(pieces)
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(data)
    prompts, bad = _read(path, longest=longest)
    lines = {
        number: line
        for number, line in enumerate(data.split(b"\n"), 1)
        if line.removeprefix(b"\xef\xbb\xbf").strip() or len(line) > longest
    }
    assert len(prompts) + len(bad) == len(lines), "each line that is not blank is a prompt or told of"
    assert [one.line for one in bad] == sorted({one.line for one in bad} & set(lines))
    for one in bad:
        encode(one)
        assert one.message
        assert len(one.text) <= 200
        assert (one.error == "too_long") == (len(lines[one.line]) > longest)


@given(
    st.lists(st.tuples(st.booleans(), st.binary(max_size=30).filter(lambda junk: b"\n" not in junk)), max_size=20),
    st.booleans(),
)
def test_the_good_lines_all_arrive_in_their_order_with_the_right_numbers(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[bool, bytes]], mark: bool
) -> None:
    good = {number: _good(str(number)) for number, (fine, _) in enumerate(rows, 1) if fine}
    data = b"\n".join(good.get(number, b"!" + junk) for number, (_, junk) in enumerate(rows, 1))
    path = tmp_path_factory.getbasetemp() / "mixed.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" * mark + data)
    prompts, bad = _read(path)
    assert [prompt.id for prompt in prompts] == list(map(str, good))
    assert [one.line for one in bad] == [number for number in range(1, len(rows) + 1) if number not in good]


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0))
def test_no_compressed_bytes_whatever_stop_the_reading(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, place: int
) -> None:
    data = bytearray(gzip.compress(b"".join(_rows(40))))
    place %= len(data)
    data[place : place + len(junk)] = junk
    path = tmp_path_factory.getbasetemp() / "junk.jsonl.gz"
    path.write_bytes(data)
    bad: list[BadLine] = []
    with suppress(DataError):  # nothing at all could be read
        ids = [prompt.id for prompt in read_prompts(path, on_bad=bad.append)]
        assert bad or (len(ids) == 40 and gzip_is_sound(path))


def gzip_is_sound(path: Path) -> bool:
    try:
        return gzip.decompress(path.read_bytes()) == b"".join(_rows(40))
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return False


# Pools


def _pool(id_: str, text: str = "4") -> Pool:
    return Pool(prompt=Prompt(id=id_, messages=as_messages("?")), candidates=(Candidate(index=0, text=text),))


def _bad_pool(id_: str, candidates: bytes) -> bytes:
    return b'{"id": "%s", "prompt": "?", "candidates": [%s]}' % (id_.encode(), candidates)


_BAD_POOLS = [
    (_bad_pool("x", b'{"text": 4}'), "invalid", "x"),
    (_bad_pool("y", b'{"text": "a", "index": 1}, {"text": "b", "index": 1}'), "invalid", "y"),
    (b'{"id": "z", "prompt": "?"}', "invalid", "z"),
    (_bad_pool("n", b'{"text": "a", "scores": {"s": {"value": NaN}}}'), "not_json", "n"),
    (_bad_pool("b", b'{"text": "\xff"}'), "not_utf8", "b"),
    (_bad_pool("d", b'{"text": "", "tool_calls": [' + b'{"a":' * 150 + b"1" + b"}" * 150 + b"]}"), "too_deep", "d"),
    (b"nonsense", "not_json", None),
]


@pytest.mark.parametrize("name", ["pools.jsonl", "pools.jsonl.gz"])
def test_pools_are_read_as_tolerantly(tmp_path: Path, name: str) -> None:
    lines = [dump_pool(_pool("a", "first"))]
    for number, (line, *_) in enumerate(_BAD_POOLS):
        lines += [line, dump_pool(_pool(f"g{number}"))]
    lines += [dump_pool(_pool("a", "last")), dump_pool(_pool("cut"))[:-9]]
    path = tmp_path / name
    data = b"\n".join(lines)
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    bad: list[BadLine] = []
    with PoolFile(path, on_bad=bad.append) as pools:
        assert list(pools) == ["a", *(f"g{number}" for number in range(len(_BAD_POOLS)))]
        assert pools["a"] == _pool("a", "last")
        assert len(list(pools.values())) == len(pools)
    assert [(one.line, one.error, one.id) for one in bad] == [
        *((2 + 2 * place, error, id_) for place, (_, error, id_) in enumerate(_BAD_POOLS)),
        (len(lines), "truncated", "cut"),
    ]


def test_a_bad_line_does_not_take_the_place_of_a_good_pool(tmp_path: Path) -> None:
    path = tmp_path / "pools.jsonl"
    path.write_bytes(dump_pool(_pool("a")) + b'\n{"id": "a", "prompt": "?", "candidates": [{"text": 4}]}\n')
    bad: list[BadLine] = []
    with PoolFile(path, on_bad=bad.append) as pools:
        assert pools["a"] == _pool("a")
    assert [one.line for one in bad] == [2]


def test_damaged_compressed_pools_are_read_up_to_the_damage(tmp_path: Path) -> None:
    chance = random.Random(0)
    pools = [_pool(str(n), chance.randbytes(100).hex()) for n in range(1000)]
    path = tmp_path / "pools.jsonl.gz"
    packed = gzip.compress(b"".join(dump_pool(pool) + b"\n" for pool in pools))
    path.write_bytes(packed[: len(packed) // 2])
    bad: list[BadLine] = []
    with PoolFile(path, on_bad=bad.append) as found:
        assert 300 < len(found) < 700
        assert list(found.values()) == pools[: len(found)]
        assert [(one.line, one.error) for one in bad] == [(len(found) + 1, "damaged")]
    with pytest.raises(DataError, match="damaged or cut short"):
        PoolFile(path)


def test_a_huge_pool_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "pools.jsonl"
    path.write_bytes(b"\n".join(dump_pool(_pool(id_, "x" * size)) for id_, size in (("a", 1), ("b", 10**6), ("c", 1))))
    bad: list[BadLine] = []
    with PoolFile(path, on_bad=bad.append, longest=10_000) as pools:
        assert list(pools.values()) == [_pool("a", "x"), _pool("c", "x")]
    assert [(one.line, one.error, one.id) for one in bad] == [(2, "too_long", "b")]


# Streams


def test_a_stream_can_be_read_twice(tmp_path: Path) -> None:
    code = (
        "from bon.store.lines import rereadable; from bon.store.prompts import read_prompts\n"
        "with rereadable('-') as path: print(*([p.id for p in read_prompts(path)] for _ in range(2)), path.exists())\n"
        "print(path.exists(), path.parent.exists())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=_good("a") + b"\n", capture_output=True, check=True, timeout=60
    )
    assert done.stdout == b"['a'] ['a'] True\nFalse False\n"
    path = tmp_path / "a.jsonl.gz"
    path.touch()
    with rereadable(path) as same:
        assert same == path
