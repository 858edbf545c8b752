"""The source of MySQL keeps the contract, on a real MariaDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from sluice.adapters.sources import mysql
from sluice.adapters.sources.mysql import MysqlSource, _where
from sluice.adapters.sources.mysql_session import open_mysql
from sluice.domain.dataset import MysqlConnection, TableSource
from sluice.domain.pulled import Condition
from sluice.domain.secret import NO_SECRET
from tests.contracts.source_contract import Consistency, SourceContract
from tests.support.database_servers import DatabaseServer, serving_mariadb

pytestmark = pytest.mark.slow  # a server is started


@pytest.fixture(scope="module")
def server() -> Iterator[DatabaseServer]:
    with serving_mariadb() as running:
        yield running


def source_of(
    server: DatabaseServer,
    table: TableSource,
    columns: Sequence[str],
    conditions: Sequence[Condition] = (),
) -> MysqlSource:
    where = MysqlConnection(name="crm", host=server.host, database=server.database, user=server.user)
    return MysqlSource(where, table, columns, conditions, password=lambda: NO_SECRET, folder=Path("/"))


class TestMysqlSource(SourceContract):
    server: ClassVar[DatabaseServer]

    @pytest.fixture(autouse=True)
    def _server(self, server: DatabaseServer) -> None:
        type(self).server = server

    def run(self, statements: str) -> str:
        return self.server(f"USE {self.server.database}; {statements}")

    def drop_all(self) -> None:
        name = self.server.database
        self.server(f"DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name};")

    def source(
        self,
        columns: Sequence[str] = ("id", "name"),
        key: tuple[str, ...] = ("id",),
        table: str = "t",
        conditions: Sequence[Condition] = (),
        consistency: Consistency = "snapshot",
    ) -> MysqlSource:
        source = TableSource(connection="c", schema="shop", table=table, key=key, consistency=consistency)
        return source_of(self.server, source, columns, conditions)

    def small_slices(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(mysql, "SLICE_ROWS", 3)

    large_text = "LONGTEXT"

    def quoted(self, name: str) -> str:
        return "`" + name.replace("`", "``") + "`"

    def text(self, value: str) -> str:
        return f"CONVERT(X'{value.encode().hex()}' USING utf8mb4)"

    def test_a_reading_goes_on_by_a_range_of_the_keys_index(self) -> None:
        rows = ", ".join(f"({a}, {b})" for a in range(100) for b in range(30))
        self.run(f"CREATE TABLE t (a INT, b INT, PRIMARY KEY (a, b)); INSERT INTO t VALUES {rows};")
        reading = self.source(["a"], ("a", "b"))
        with open_mysql(reading._connection, Path("/"), lambda: NO_SECRET, is_snapshot=True) as session:
            where = _where(reading._behind(reading._describe(session), ("98", "7")))
            (plan,) = session.fetch(f"EXPLAIN SELECT a FROM t {where} ORDER BY a, b")
        assert "range" in plan
        assert "PRIMARY" in plan
        assert not any("filesort" in str(value) for value in plan)
        assert int(next(value for value in plan if value and value.isdigit() and value != "1")) < 200
