"""The source of MySQL keeps the contract, on a real MariaDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import pymysql
import pytest

from sluice.adapters.databases.interruption import Interruption
from sluice.adapters.databases.mysql_session import open_mysql
from sluice.adapters.sources import mysql
from sluice.adapters.sources.mysql import MysqlSource
from sluice.adapters.sources.server_source import where
from sluice.domain.dataset import MysqlConnection, TableSource
from sluice.domain.pulled import Condition, Consistency
from sluice.domain.schema import ColumnType
from sluice.domain.secret import NO_SECRET
from sluice.ports.source import SourceError
from tests.contracts.moment_contract import TWICE, MomentContract
from tests.support.database_servers import DatabaseServer, give_zone, serving_mariadb
from tests.support.source_rows import rows_of, slices_of

pytestmark = pytest.mark.slow  # a server is started


@pytest.fixture(scope="module")
def server() -> Iterator[DatabaseServer]:
    with serving_mariadb() as running:
        for zone in TWICE:
            give_zone(running, zone)
        yield running


def source_of(
    server: DatabaseServer,
    table: TableSource,
    columns: Sequence[str],
    conditions: Sequence[Condition] = (),
    zone: str = "+00:00",
    condition: str = "",
) -> MysqlSource:
    where = MysqlConnection(name="crm", host=server.host, database=server.database, user=server.user, timezone=zone)
    return MysqlSource(where, table, columns, conditions, where=condition, password=lambda: NO_SECRET, folder=Path("/"))


class TestMysqlSource(MomentContract):
    server: ClassVar[DatabaseServer]

    @pytest.fixture(autouse=True)
    def _server(self, server: DatabaseServer) -> None:
        type(self).server = server

    def run(self, statements: str) -> str:
        return self.server(f"USE {self.server.database}; SET time_zone = '+00:00'; {statements}")

    def drop_all(self) -> None:
        name = self.server.database
        self.server(f"DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name};")

    def test_a_place_of_an_earlier_release_is_taken_where_it_is_one_moment_and_else_refused(self) -> None:
        count = self.made_around("Europe/Berlin")
        reading = self.source_in("Europe/Berlin", ["id", "at"], ("at", "id"))
        found = rows_of(slices_of(reading))
        clock = [str(shown) for _, shown in found]
        for place, (number, shown) in enumerate(found, 1):
            if clock.count(str(shown)) == 1:
                assert rows_of(slices_of(reading, (str(shown), str(number)))) == found[place:]
            else:
                with pytest.raises(
                    SourceError, match="an hour that the connection's clock has twice: export the table"
                ):
                    slices_of(reading, (str(shown), str(number)))
        assert count - len(set(clock)) == 6

    def source(
        self,
        columns: Sequence[str] = ("id", "name"),
        key: tuple[str, ...] = ("id",),
        table: str = "t",
        conditions: Sequence[Condition] = (),
        consistency: Consistency = "snapshot",
        *,
        where: str = "",
    ) -> MysqlSource:
        source = TableSource(connection="c", schema="shop", table=table, key=key, consistency=consistency)
        return source_of(self.server, source, columns, conditions, condition=where)

    def small_slices(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(mysql, "SLICE_ROWS", 3)

    @contextmanager
    def locked(self) -> Iterator[None]:
        other = pymysql.connect(unix_socket=self.server.host, user=self.server.user, database=self.server.database)
        with closing(other), other.cursor() as cursor:
            cursor.execute("LOCK TABLES t WRITE")
            yield

    def sessions(self, *, waiting: bool = False) -> int:
        """One that waits, or one that is in a transaction: neither is the one that locks, nor this one."""
        shown = "state LIKE 'Waiting for table%lock'" if waiting else "info LIKE '%FROM%`t`%' AND id <> connection_id()"
        return int(self.run(f"SELECT count(*) FROM information_schema.processlist WHERE {shown}"))

    described = (
        ("BIGINT UNSIGNED", "bigint(20) unsigned", ColumnType.NUMBER),
        ("VARCHAR(20)", "varchar(20)", ColumnType.STRING),
        ("DECIMAL(10,2)", "decimal(10,2)", ColumnType.NUMBER),
        ("DOUBLE", "double", ColumnType.NUMBER),
        ("BOOLEAN", "tinyint(1)", ColumnType.NUMBER),
        ("BIT(3)", "bit(3)", ColumnType.NUMBER),
        ("DATE", "date", ColumnType.DATE),
        ("TIMESTAMP NULL", "timestamp", ColumnType.DATETIME),
        ("DATETIME(3)", "datetime(3)", ColumnType.DATETIME),
        ("BLOB", "blob", ColumnType.STRING),
        ("TIME", "time", ColumnType.STRING),
        ("ENUM('a')", "enum('a')", ColumnType.STRING),
    )
    dialect = "mysql"
    also_found = [  # noqa: RUF012
        ("city like 'b%' or `city` <=> null", "24"),
        ("at + interval 1 day >= '2026-12-02' and amount div 3 = 10", "3"),
        ("extract(day from at) = 30 or date(at) = '2026-12-02'", "14"),
        ("city = \"O'Hara\" or city = 'O\\'Hara' or cast(amount as char) = '40'", "14"),
        ("city like 'O\\'H%' or city like 'B\\_nn' or city like 'B\\%' or left(city, 1) = 'L'", "13"),
        ("if(amount = 10, 1, 0) = 1 or year(at) = 2025", "1"),
    ]

    def evil_literal(self, text: str) -> str:
        return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"

    large_text = "LONGTEXT"

    moment_type = "TIMESTAMP"

    def moment(self, at: datetime) -> str:
        return f"'{at}'"

    def source_in(
        self, zone: str, columns: Sequence[str], key: tuple[str, ...], conditions: Sequence[Condition] = ()
    ) -> MysqlSource:
        source = TableSource(connection="c", schema="shop", table="t", key=key)
        return source_of(self.server, source, columns, conditions, zone=zone)

    dated_types = ("DATE", "DATETIME(6)", "TIMESTAMP(6) NULL", "VARCHAR(40)", "TEXT")
    day_types = ("DATE",)

    def quoted(self, name: str) -> str:
        return "`" + name.replace("`", "``") + "`"

    def text(self, value: str) -> str:
        return f"CONVERT(X'{value.encode().hex()}' USING utf8mb4)"

    def test_a_reading_goes_on_by_a_range_of_the_keys_index(self) -> None:
        rows = ", ".join(f"({a}, {b})" for a in range(100) for b in range(30))
        self.run(f"CREATE TABLE t (a INT, b INT, PRIMARY KEY (a, b)); INSERT INTO t VALUES {rows};")
        reading = self.source(["a"], ("a", "b"))
        opened = open_mysql(reading._connection, Path("/"), lambda: NO_SECRET, Interruption(), is_snapshot=True)
        with opened as session:
            behind = where(reading._behind(session, reading._describe(session), ("98", "7")))
            (plan,) = session.fetch(f"EXPLAIN SELECT a FROM t {behind} ORDER BY a, b")
        assert "range" in plan
        assert "PRIMARY" in plan
        assert not any("filesort" in str(value) for value in plan)
        assert int(next(value for value in plan if value and value.isdigit() and value != "1")) < 200
