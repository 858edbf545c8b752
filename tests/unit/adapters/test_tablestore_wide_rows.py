"""A row in parts is read whole, or again when it changed on the way."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sluice.adapters.aliyun.tablestore.client import FoundRow, read_parts, read_whole
from sluice.adapters.aliyun.tablestore.rows import Key
from sluice.ports.store_errors import OutcomeUnknown

KEY: Key = [("pk", "0000#acme"), ("sk", "a#T")]


class RowInParts:
    """Gives columns in the order of their names, ``per_part`` at a time, as the service may; counts calls."""

    def __init__(self, columns: dict[str, int], *, per_part: int, changes: int = 0) -> None:
        self.columns = columns
        self.calls = 0
        self._per_part = per_part
        self._changes = changes
        """How many more reads of a part find that somebody has just written."""

    def read(
        self,
        key: Key,
        *,
        columns: Sequence[str] = (),
        between: tuple[str, str] = ("", ""),
        token: bytes = b"",
    ) -> FoundRow | None:
        self.calls += 1
        if columns:
            return FoundRow(key, {name: self.columns[name] for name in columns})
        if token and self._changes:
            self._changes -= 1
            self.columns = {name: value + 1 for name, value in self.columns.items()}
        first, end = between
        names = [name for name in sorted(self.columns) if name >= first and (not end or name < end)]
        names = [name for name in names if name.encode() >= token]
        part, rest = names[: self._per_part], names[self._per_part :]
        return FoundRow(key, {name: self.columns[name] for name in part}, rest[0].encode() if rest else b"")


class NoRow:
    """There is none."""

    def read(self, *_: object, **__: object) -> None:
        return None


def a_row(*, per_part: int, changes: int = 0) -> RowInParts:
    columns = {f"c_{number}": 1 for number in range(9)} | {"rev": 1}
    return RowInParts(columns, per_part=per_part, changes=changes)


def test_a_row_that_comes_whole_costs_one_call() -> None:
    client = a_row(per_part=10)
    row = read_whole(client, KEY)
    assert row is not None
    assert (row.columns, client.calls) == (client.columns, 1)


@pytest.mark.parametrize("per_part", [1, 3, 9])
def test_a_row_in_parts_is_put_together(per_part: int) -> None:
    client = a_row(per_part=per_part)
    row = read_whole(client, KEY)
    assert row is not None
    assert row.columns == client.columns


@pytest.mark.parametrize("changes", [1, 2])
def test_a_row_that_changed_between_its_parts_is_read_again(changes: int) -> None:
    client = a_row(per_part=4, changes=changes)
    row = read_whole(client, KEY)
    assert row is not None
    assert row.columns == client.columns
    assert len(set(row.columns.values())) == 1, "all of one moment"


def test_a_row_that_never_stands_still_is_unknown() -> None:
    with pytest.raises(OutcomeUnknown):
        read_whole(a_row(per_part=4, changes=1_000), KEY)


def test_no_row_is_none() -> None:
    assert read_whole(NoRow(), KEY) is None
    assert read_parts(NoRow(), KEY) is None


def test_only_some_columns_may_be_asked_for() -> None:
    row = read_parts(a_row(per_part=2), KEY, between=("c_2", "c_7"))
    assert row is not None
    assert sorted(row.columns) == ["c_2", "c_3", "c_4", "c_5", "c_6"]
