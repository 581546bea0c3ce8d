"""Hidden states are read once, kept whole, and a scale can be folded into a head and out again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bon.models.reading import Row
from bon.train.features import features_of, folded, spread, standardised
from bon.train.files import owned, whole

torch = pytest.importorskip("torch")


class Counting:
    """Stands for a reader: a row's state is the sum of its ids; it remembers what it was asked to read."""

    def __init__(self) -> None:
        self.read_rows: list[Row] = []

    def read(self, rows: Sequence[Row]) -> list[Any]:
        self.read_rows += rows
        return [torch.tensor([[float(sum(row.ids[: at + 1]))] for at in row.at]) for row in rows]


def rows(count: int) -> list[Row]:
    return [Row(ids=(1, 2, number), at=(1, 2)) for number in range(count)]


def test_each_row_is_read_once_and_given_in_order(tmp_path: Path) -> None:
    reader, told = Counting(), []
    asked = [*rows(300), *rows(5)]
    found = features_of(
        reader, asked, folder=tmp_path, identity={"base": "b"}, progress=lambda *seen: told.append(seen)
    )
    assert [state[1, 0].item() for state in found] == [3.0 + row.ids[2] for row in asked]
    assert len(reader.read_rows) == 300
    assert told == [(256, 300), (300, 300)]
    again = Counting()
    assert [s.tolist() for s in features_of(again, asked, folder=tmp_path, identity={"base": "b"})] == [
        s.tolist() for s in found
    ]
    assert again.read_rows == []


def test_states_of_another_base_are_others(tmp_path: Path) -> None:
    features_of(Counting(), rows(3), folder=tmp_path, identity={"base": "b"})
    other = Counting()
    features_of(other, rows(3), folder=tmp_path, identity={"base": "c"})
    assert len(other.read_rows) == 3


def test_what_was_read_before_a_stop_is_not_read_again(tmp_path: Path) -> None:
    class Breaking(Counting):
        def read(self, rows: Sequence[Row]) -> list[Any]:
            if self.read_rows:
                raise KeyboardInterrupt
            return super().read(rows)

    with pytest.raises(KeyboardInterrupt):
        features_of(Breaking(), rows(300), folder=tmp_path, identity={})
    assert not list(tmp_path.glob("*.part"))
    rest = Counting()
    features_of(rest, rows(300), folder=tmp_path, identity={})
    assert len(rest.read_rows) == 44


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_a_scale_is_folded_into_a_head_exactly_and_out_again(kind: str) -> None:
    from bon.models.heads import make_head

    torch.manual_seed(0)
    states = torch.randn(50, 6) * torch.tensor([1.0, 500.0, 0.01, 3.0, 1.0, 0.0]) + torch.tensor(
        [0.0, 2000.0, 5.0, -1.0, 0.0, 7.0]
    )
    mean, sd = standardised(states)
    head = make_head(kind, size=6).eval()
    plain = folded(head, mean, sd)
    with torch.no_grad():
        expected = head((states - mean) / sd)
        assert torch.allclose(plain(states), expected, atol=2e-3)
        spread(plain, mean, sd)
        assert torch.allclose(plain((states - mean) / sd), expected, atol=2e-3)


def test_states_that_do_not_vary_divide_by_nothing() -> None:
    mean, sd = standardised(torch.ones(4, 3))
    assert mean.tolist() == [1.0] * 3
    assert (sd > 0).all()


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole(tmp_path / "file") as part:
        part.with_suffix(".other").write_text("not what was asked for")
    (tmp_path / part.with_suffix(".other").name).unlink()
    with pytest.raises(ZeroDivisionError), whole(tmp_path / "file") as part:
        part.write_text(f"half {1 / 0}")
    assert list(tmp_path.iterdir()) == []
    with whole(tmp_path / "file") as part:
        part.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_is_trained_into_by_one_at_a_time(tmp_path: Path) -> None:
    from bon.errors import StoreError

    with owned(tmp_path), pytest.raises(StoreError, match="another process is training"), owned(tmp_path):
        pass
    with owned(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []
