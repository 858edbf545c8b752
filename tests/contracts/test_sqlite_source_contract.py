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
    ) -> Source:
        source = TableSource(connection="c", table=table, key=key, consistency=consistency)
        return SqliteSource(self.file, source, columns, conditions)

    def small_slices(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(source_module, "PAGE_ROWS", 3)

    dated_types = ("DATE", "DATETIME", "TIMESTAMP", "TEXT", "VARCHAR(40)", "")
    day_types = ()
    dates_only = 6
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
