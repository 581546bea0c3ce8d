from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bon.errors import DataError, UsageError
from bon.store.diagnosis import BadLine
from bon.store.sources import rows_of
from bon.store.sources.values import values

ROWS: list[dict[str, Any]] = [
    {"id": 1, "text": 'a, "b"\nc', "list": ["x", "ü"], "none": None},
    {"id": 2, "text": "\u2028\ufeffend", "list": [], "none": None},
    {"id": 3, "text": "", "list": ["z" * 100_000], "none": None},
]


def _write(folder: Path, kind: str) -> Path:
    path = folder / f"rows.{kind}"
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
    match kind:
        case "jsonl" | "ndjson":
            path.write_text(lines, encoding="utf-8")
        case "jsonl.gz" | "json.gz":
            path.write_bytes(gzip.compress(lines.encode()))
        case "json":
            path.write_text(json.dumps(ROWS, indent=2), encoding="utf-8")
        case "parquet":
            pa = pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'bon[data]'")
            pq = pytest.importorskip("pyarrow.parquet")
            pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=2)
    return path


@pytest.mark.parametrize("kind", ["jsonl", "ndjson", "jsonl.gz", "json", "json.gz", "parquet"])
def test_rows_are_the_same_whatever_file_they_come_from(tmp_path: Path, kind: str) -> None:
    path = _write(tmp_path, kind)
    found = list(rows_of(path))
    assert [row.value for row in found] == ROWS
    assert [row.place for row in found] == [0, 1, 2]
    assert {row.where for row in found} == {str(path)}


@pytest.mark.parametrize(("name", "mark"), [("rows.csv", ","), ("rows.tsv", "\t"), ("rows.csv.gz", ",")])
def test_a_table_in_text_has_quotes_newlines_and_long_cells(tmp_path: Path, name: str, mark: str) -> None:
    long = "y" * 200_000
    text = f'\ufeffid{mark}text\n1{mark}"a{mark} ""b""\nc"\n\n2{mark}{long}\n'
    data = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    first, second = rows_of(tmp_path / name)
    assert first.value == {"id": "1", "text": f'a{mark} "b"\nc'}
    assert second.value == {"id": "2", "text": long}
    assert (first.number, second.number) == (2, 5), "the line where a row begins"
    assert (first.place, second.place) == (0, 1)


def test_cells_too_many_or_too_few_are_told_of(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n3\n4,5,6\n7,8\n")
    told: list[BadLine] = []
    assert [row.value for row in rows_of(tmp_path / "rows.csv", on_bad=told.append)] == [
        {"a": "1", "b": "2"},
        {"a": "7", "b": "8"},
    ]
    assert [(line.line, line.message.partition(";")[0]) for line in told] == [
        (3, "1 cells for 2 columns"),
        (4, "3 cells for 2 columns"),
    ]
    with pytest.raises(DataError, match=r"rows\.csv:3: 1 cells for 2 columns"):
        list(rows_of(tmp_path / "rows.csv"))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"a,a\n1,2\n", "two columns are called 'a'"),
        (b"", "no names of columns"),
        (b'a,b\n"1,2\n', "unexpected end of data"),
        (b"a,b\n\xff,2\n", "not UTF-8 text"),
    ],
)
def test_what_is_no_table_says_why(tmp_path: Path, data: bytes, what: str) -> None:
    (tmp_path / "rows.csv").write_bytes(data)
    with pytest.raises(DataError, match=what):
        list(rows_of(tmp_path / "rows.csv"))


def test_objects_one_after_the_other_are_read_from_a_json_file_too(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('{"a": 1}\n{\n "a": 2\n}\n\n{"a": 3} {"a": 4}')
    found = list(rows_of(tmp_path / "rows.json"))
    assert [row.value["a"] for row in found] == [1, 2, 3, 4]
    assert [row.number for row in found] == [1, 2, 6, 6]


def test_a_bad_element_of_an_array_is_told_of_and_the_next_ones_go_on(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('[\n{"a": 1},\n3,\n{"a": NaN},\n{"a": 2}\n]')
    told: list[BadLine] = []
    found = list(rows_of(tmp_path / "rows.json", on_bad=told.append))
    assert [(row.number, row.place, row.value["a"]) for row in found] == [(2, 0, 1), (5, 3, 2)]
    assert [line.line for line in told] == [3, 4]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ('[{"a": 1}\n{"a": 2}]', 2, "a comma or the end of the array is missing"),
        ('[{"a": 1},\n', 2, "has no end"),
        ('[{"a": 1}', 1, "a comma or the end of the array is missing"),
        ('[{"a": 1},\n]', 2, "a comma and no value"),
        ('[{"a": 1}] x', 1, "behind the end of the array"),
        ('{"a": 1}\n{"a": ', 2, "not valid JSON"),
        ('[\n{"a": 1},\n{"a" 2}]', 3, "not valid JSON"),
    ],
)
def test_a_json_file_that_is_broken_gives_what_came_before(tmp_path: Path, text: str, line: int, what: str) -> None:
    (tmp_path / "rows.json").write_text(text)
    told: list[BadLine] = []
    assert [row.value for row in rows_of(tmp_path / "rows.json", on_bad=told.append)] == [{"a": 1}]
    assert [one.line for one in told] == [line]
    assert what in told[0].message
    with pytest.raises(DataError, match=what):
        list(rows_of(tmp_path / "rows.json"))


class _Drops(BytesIO):
    """A file that gives a few bytes at a time, as a pipe may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 7, 7))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(_json, max_size=6), st.sampled_from([None, 1]), st.booleans())
def test_the_elements_of_an_array_are_those_of_the_whole(given_: list[Any], indent: int | None, ascii_: bool) -> None:
    text = json.dumps(given_, indent=indent, ensure_ascii=ascii_)
    assert [json.loads(value) for _, value in values(_Drops(text.encode()))] == given_


@given(
    st.lists(st.dictionaries(st.text(max_size=4), _json, max_size=3), max_size=6), st.sampled_from(["", "\n", " \n\t"])
)
def test_objects_one_after_the_other_are_those_that_were_written(given_: list[Any], between: str) -> None:
    text = between.join(json.dumps(one) for one in given_)
    assert [json.loads(value) for _, value in values(_Drops(text.encode()))] == given_


def test_a_folder_is_all_its_files_by_name_and_each_counts_for_itself(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "one.json").write_text('[{"a": 2}]')
    (tmp_path / "a.jsonl").write_text('{"a": 1}\nno\n')
    (tmp_path / "README.md").write_text("no data")
    told: list[BadLine] = []
    found = list(rows_of(tmp_path, on_bad=told.append))
    assert [(row.value["a"], row.place, Path(row.where).name) for row in found] == [
        (1, 0, "a.jsonl"),
        (2, 0, "one.json"),
    ]
    assert [(line.line, line.message[:9]) for line in told] == [(2, "a.jsonl: ")]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"no data in .*: its files end in none of \.jsonl"):
        list(rows_of(tmp_path / "empty"))


def test_rows_in_memory_are_rows() -> None:
    told: list[BadLine] = []
    given_: list[Any] = [{"a": 1}, 3, {"a": 2}]
    assert [row.value["a"] for row in rows_of(given_, on_bad=told.append)] == [1, 2]
    assert [line.line for line in told] == [2]


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    for name in ("no.jsonl", "no.json", "no.csv", "no.parquet"):
        with pytest.raises(UsageError, match=r"cannot read .*; give the path of an existing file"):
            list(rows_of(tmp_path / name))


def test_what_is_no_parquet_file_is_told_as_such(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'bon[data]'")
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 no PAR1")
    with pytest.raises(DataError, match="no Parquet file that can be read"):
        list(rows_of(tmp_path / "rows.parquet"))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the library `datasets` saves: one split, and two."""
    datasets = pytest.importorskip("datasets", reason="needs datasets: pip install 'bon[data]'")
    folder = tmp_path_factory.mktemp("saved")
    one = datasets.Dataset.from_list(ROWS)
    one.save_to_disk(folder / "one")
    datasets.DatasetDict({"train": one, "test": one.select([0])}).save_to_disk(folder / "two")
    return folder


def test_what_datasets_has_saved_is_read_by_split(saved: Path) -> None:
    assert [dict(row.value) for row in rows_of(saved / "one")] == ROWS
    assert [dict(row.value) for row in rows_of(saved / "two", split="test")] == ROWS[:1]
    with pytest.raises(UsageError, match="which split\\? There are train, test: choose one with split"):
        list(rows_of(saved / "two"))
    with pytest.raises(UsageError, match="no split 'dev'\\? There are train, test"):
        list(rows_of(saved / "two", split="dev"))


def test_a_hub_that_cannot_be_reached_says_what_to_do(tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="needs datasets: pip install 'bon[data]'")
    code = "from bon.store.sources import rows_of; list(rows_of('nobody/nothing', split='test'))"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False, cwd=tmp_path
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("bon.errors.UsageError: 'nobody/nothing' is no file here, and the hub does not give it")
    assert last.endswith("or give the path of a copy")


@pytest.mark.parametrize(("package", "source"), [("pyarrow", "rows.parquet"), ("datasets", "some/thing")])
def test_a_missing_extra_is_named(tmp_path: Path, package: str, source: str) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"")
    code = (
        f"import sys\nsys.modules[{package!r}] = None\nfrom bon.store.sources import rows_of\nlist(rows_of({source!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert f"needs {package!r}, which is not installed: pip install 'bon[data]'" in done.stderr


@pytest.mark.parametrize("choice", [{"split": "test"}, {"config": "easy"}])
def test_what_chooses_nothing_is_refused_rather_than_ignored(tmp_path: Path, choice: dict[str, str]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n')
    for source in (path, tmp_path, [{"a": 1}]):
        with pytest.raises(UsageError, match=f"has no {next(iter(choice))} to choose"):
            list(rows_of(source, **choice))
