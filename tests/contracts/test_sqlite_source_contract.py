"""The source of SQLite keeps the contract."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from sluice.adapters.sources import sqlite as source_module
from sluice.adapters.sources.sqlite import SqliteSource
from sluice.domain.dataset import TableSource
from sluice.domain.pulled import Condition, Consistency
from sluice.domain.schema import ColumnType
from sluice.ports.source import Source
from tests.contracts.date_contract import DateContract


class TestSqliteSource(DateContract):
    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.file = tmp_path / "shop.db"

    def run(self, statements: str) -> None:
        with closing(sqlite3.connect(self.file)) as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.executescript(statements)

    def drop_all(self) -> None:
        """The file is another for each test."""

    def source(
        self,
        columns: Sequence[str] = ("id", "name"),
        key: tuple[str, ...] = ("id",),
        table: str = "t",
        conditions: Sequence[Condition] = (),
        consistency: Consistency = "snapshot",
        *,
        where: str = "",
    ) -> Source:
        source = TableSource(connection="c", table=table, key=key, consistency=consistency)
        return SqliteSource(self.file, source, columns, conditions, where=where)

    def small_slices(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(source_module, "PAGE_ROWS", 3)

    dated_types = ("DATE", "DATETIME", "TIMESTAMP", "TEXT", "VARCHAR(40)", "")
    day_types = ()
    dates_only = 6
    described = (
        ("INTEGER", "INTEGER", ColumnType.NUMBER),
        ("VARCHAR(20)", "VARCHAR(20)", ColumnType.STRING),
        ("DECIMAL(10,2)", "DECIMAL(10,2)", ColumnType.NUMBER),
        ("DOUBLE", "DOUBLE", ColumnType.NUMBER),
        ("DATE", "DATE", ColumnType.DATE),
        ("DATETIME", "DATETIME", ColumnType.DATETIME),
        ("BLOB", "BLOB", ColumnType.STRING),
        ("", "", ColumnType.STRING),
    )
    dialect = "sqlite"
    moment_column = "DATETIME"
    also_found = [  # noqa: RUF012
        ("city like 'b%' or \"city\" is null", "24"),
        ("date(at, '+1 day') >= '2026-12-02' and iif(amount = 30, 1, 0)", "3"),
        ("city || 'x' = 'Bonnx' or instr(city, 'in') = 2", "23"),
    ]

    infinities = ("-9e999", "9e999")

    @contextmanager
    def locked(self) -> Iterator[None]:
        with closing(sqlite3.connect(self.file)) as other:
            other.execute("PRAGMA locking_mode=EXCLUSIVE")
            other.execute("BEGIN IMMEDIATE")
            yield

    def sessions(self, *, waiting: bool = False) -> int:
        return 1 if waiting else 0  # there is no server that could show them

    def quoted(self, name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    @pytest.mark.parametrize(
        ("values", "kind"),
        [
            ("2461373.5", ColumnType.NUMBER),
            ("2461373, '2026-12-01'", ColumnType.STRING),
            ("'2026-12-01', NULL", ColumnType.DATE),
            ("X'00'", ColumnType.STRING),
        ],
    )
    def test_a_column_whose_type_promises_nothing_is_what_its_rows_hold(self, values: str, kind: ColumnType) -> None:
        rows = ", ".join(f"({at}, {value})" for at, value in enumerate(values.split(", ")))
        self.run(f"CREATE TABLE t (id INTEGER PRIMARY KEY, d DATE); INSERT INTO t VALUES {rows};")
        assert self.source(columns=()).describe()[1].kind is kind
