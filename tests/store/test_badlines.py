"""The file that tells of bad lines."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from bon.store.badlines import BadLines, errors_path
from bon.store.diagnosis import BadLine
from bon.store.prompts import read_prompts


def test_each_bad_line_is_a_row_as_soon_as_it_is_met(tmp_path: Path) -> None:
    out, prompts = tmp_path / "pools.jsonl", tmp_path / "prompts.jsonl"
    prompts.write_bytes(b'{"prompt": "a"}\n{"id": 3, "promt": "b"}\nnonsense \xff\n{"prompt": "c"}\n')
    with BadLines(out) as bad:
        reading = read_prompts(prompts, on_bad=bad)
        assert next(reading).text == "a"
        assert not bad.path.exists()
        assert next(reading).text == "c"
        rows = [json.loads(line) for line in bad.path.read_text().splitlines()]
    assert bad.path == errors_path(out) == tmp_path / "pools.jsonl.errors.jsonl"
    assert rows == [
        {
            "line": 2,
            "error": "invalid",
            "message": "unknown key 'promt': did you mean 'prompt'? Put your own keys into `metadata`",
            "id": "3",
            "text": '{"id": 3, "promt": "b"}',
        },
        {
            "line": 3,
            "error": "not_json",
            "message": "not valid JSON (invalid character at byte 4); correct or remove this line "
            "(one JSON object a line)",
            "id": None,
            "text": "nonsense \ufffd",
        },
    ]
    assert bad.count == 2
    assert bad.first is not None
    assert bad.first.line == 2


def test_it_is_begun_anew_with_each_run_and_gone_when_there_is_nothing_to_tell(tmp_path: Path) -> None:
    out = tmp_path / "pools.jsonl"
    for numbers in ([1, 2, 3], [7]):
        with BadLines(out) as bad:
            for number in numbers:
                bad(BadLine(line=number, error="invalid", message="?"))
        assert [json.loads(line)["line"] for line in bad.path.read_text().splitlines()] == numbers
        assert bad.count == len(numbers)
    with BadLines(out) as bad:
        pass
    assert bad.count == 0
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_bad_lines(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_bytes(b'{"prompt": ["%s"]}\n' % (b"x" * 300) * 5000)
    with BadLines(tmp_path / "pools.jsonl") as bad:
        tracemalloc.start()
        try:
            assert list(read_prompts(prompts, on_bad=bad)) == []
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert bad.count == 5000
    assert peak < 500_000 < bad.path.stat().st_size


_FULL_DISK = """
import resource, sys
from bon.store.badlines import BadLines
from bon.store.diagnosis import BadLine
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with BadLines(sys.argv[1]) as bad:
    try:
        for number in range(100):
            bad(BadLine(line=number, error="invalid", message="x" * 50))
    except Exception as error:
        print(type(error).__name__, bad.count)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_full_disk_is_a_store_error_and_leaves_whole_lines(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, tmp_path / "o"], capture_output=True, text=True, check=True, timeout=60
    )
    rows = [json.loads(line) for line in (tmp_path / "o.errors.jsonl").read_text().splitlines()]
    assert done.stdout == f"StoreError {len(rows)}\n"
    assert [row["line"] for row in rows] == list(range(len(rows)))
    assert len(rows) > 5
