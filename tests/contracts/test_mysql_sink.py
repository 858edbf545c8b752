"""The sink of MySQL keeps the contract, on a real MariaDB."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pymysql
import pytest

from sluice.adapters.sinks.ledger_names import former_name, side_name
from sluice.adapters.sinks.mysql import MysqlSink
from sluice.domain.dataset import MysqlConnection
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.domain.secret import NO_SECRET, Secret
from sluice.domain.target import TableTarget
from sluice.ports.sink import RowsRefused, Sink, SinkError
from tests.contracts.sink_contract import CHUNKS, ID, Row, SinkContract, delivery_of, load, load_all
from tests.support.cut_socket import CutSocket, cutting_socket
from tests.support.database_servers import DatabaseServer, serving_mariadb

pytestmark = pytest.mark.slow  # a server is started


@pytest.fixture(scope="module")
def server() -> Iterator[DatabaseServer]:
    with serving_mariadb() as running:
        yield running


class TestMysqlSink(SinkContract):
    def _connected(self) -> pymysql.Connection:
        server = self.server
        return pymysql.connect(unix_socket=server.host, user=server.user, charset="utf8mb4", autocommit=True)

    def _fetch(self, query: str) -> list[tuple[object, ...]]:
        with closing(self._connected()) as other, other.cursor() as cursor:
            cursor.execute(f"USE {self.server.database}")
            cursor.execute(query)
            return list(cursor.fetchall())

    def run(self, statements: str) -> str:
        found = [self._fetch(statement) for statement in statements.split(";") if statement.strip()]
        return "\n".join("\t".join(map(str, row)) for rows in found for row in rows)

    def drop_all(self) -> None:
        name = self.server.database
        with closing(self._connected()) as other, other.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name}")
            cursor.execute(f"CREATE DATABASE {name}")

    def cut(self, folder: Path) -> AbstractContextManager[CutSocket]:
        return cutting_socket(self.server.host, folder / "socket")

    def open(self, target: TableTarget, host: Path | None = None, user: str = "") -> MysqlSink:
        server, at = self.server, str(host / "socket" if host else self.server.host)
        where = MysqlConnection(name="c", host=at, database=server.database, user=user or server.user)
        return MysqlSink(where, target, password=lambda: Secret("pw") if user else NO_SECRET, folder=Path("/"))

    def granted(self, mode: str) -> None:
        of_table = {"none": "SELECT", "append": "INSERT", "upsert": "INSERT, SELECT, UPDATE", "replace": "INSERT"}[mode]
        of_all = {"upsert": "SELECT, INSERT, CREATE, DROP", "replace": "SELECT, INSERT, CREATE, DROP, ALTER"}.get(mode)
        self.run("DROP USER IF EXISTS loader@localhost; CREATE USER loader@localhost IDENTIFIED BY 'pw'")
        self.run(f"GRANT {of_table} ON t TO loader@localhost")
        for name in ("sluice_deliveries", "sluice_ledger") if mode != "none" else ():
            self.run(f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON {name} TO loader@localhost")
        if of_all:
            self.run(f"GRANT {of_all} ON {self.server.database}.* TO loader@localhost")

    def quoted(self, name: str) -> str:
        return "`" + name.replace("`", "``") + "`"

    def rows(self, table: str = "t", columns: str = "id, name", order: str = "id, name") -> list[Row]:
        found = self._fetch(f"SELECT {columns} FROM {table} ORDER BY {order}")
        return [tuple(None if cell is None else str(cell) for cell in row) for row in found]

    def canonical(self, row: Row) -> Row:
        """Decimals without the zeros that their column shows, and booleans as such."""
        cells = [cell and re.sub(r"^(-?\d+)\.(\d*?)0+$", lambda m: m[1] + (m[2] and f".{m[2]}"), cell) for cell in row]
        if len(row) == len(("id", "number", "date", "datetime", "boolean", "string")):
            cells[4] = {"1": "true", "0": "false"}.get(cells[4] or "", cells[4])
        return tuple(cells)

    def _sinks(self, where: str = "") -> list[int]:
        """The sessions of the server that are not of this test."""
        query = (
            f"SELECT id FROM information_schema.processlist WHERE command <> 'Daemon' AND id <> connection_id(){where}"
        )
        return [int(str(row[0])) for row in self._fetch(query)]

    def end_sessions(self) -> None:
        for number in self._sinks():
            self.run(f"KILL {number}")
        while self._sinks():
            pass

    @contextmanager
    def locked(self) -> Iterator[None]:
        with closing(self._connected()) as other, other.cursor() as cursor:
            cursor.execute(f"LOCK TABLES {self.server.database}.t WRITE")
            yield

    def waiting(self) -> int:
        return len(self._sinks(" AND state LIKE 'Waiting for table%'"))

    def tables(self) -> set[str]:
        names = {str(row[0]) for row in self._fetch("SHOW TABLES")}
        return names - {"sluice_deliveries", "sluice_ledger"}

    def test_a_table_that_took_its_place_before_the_attempt_died_is_the_deliverys(self) -> None:
        self.made(key="")
        self.run("INSERT INTO t VALUES (0, 'there')")
        with self.sink("replace") as sink:
            sink.begin(delivery_of(CHUNKS))
            for sequence, rows in enumerate(CHUNKS, 1):
                load(sink, sequence, rows)
        self.run(f"RENAME TABLE t TO {former_name(ID)}, {side_name(ID)} TO t")  # what ``finish`` does, and no more
        with self.sink("replace") as sink:
            assert sink.begin(delivery_of(CHUNKS, 2)) == {1, 2, 3}
            assert sink.finish().rows == 5
        assert (len(self.rows()), self.tables()) == (5, {"t"})

    def test_tables_without_transactions_are_refused_with_the_statement_that_changes_them(self) -> None:
        self.run("CREATE TABLE t (id integer, name text) ENGINE=MyISAM")
        with self.sink() as sink, pytest.raises(SinkError, match=r"ALTER TABLE `shop`.`t` ENGINE=InnoDB"):
            sink.begin(delivery_of(CHUNKS))

    def test_a_table_with_another_unique_index_is_refused_unless_the_server_numbers_its_rows(self) -> None:
        self.run("CREATE TABLE t (id integer PRIMARY KEY, name varchar(9) UNIQUE)")
        with (
            self.sink("upsert") as sink,
            pytest.raises(SinkError, match=r"other unique indexes .*: name"),
        ):
            sink.begin(delivery_of(CHUNKS))
        self.run("DROP TABLE t; CREATE TABLE t (n bigint AUTO_INCREMENT PRIMARY KEY, id integer UNIQUE, name text)")
        with self.sink("upsert") as sink:
            load_all(sink, CHUNKS)
        assert len(self.rows()) == 4

    def test_a_table_with_triggers_or_references_is_not_replaced(self) -> None:
        self.made()
        self.run("CREATE TABLE of_t (t numeric, CONSTRAINT reference FOREIGN KEY (t) REFERENCES t (id))")
        self.run("CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.name = 'x'")
        with self.sink("replace") as sink, pytest.raises(SinkError, match=r"triggers and references \(tr, reference\)"):
            sink.begin(delivery_of(CHUNKS))

    def test_bytes_bits_offsets_and_nuls_arrive(self) -> None:
        self.run("CREATE TABLE t (id int, raw varbinary(9), few bit(8), at datetime(3), ok tinyint(1), name text)")
        kinds = {"id": "number", "raw": "string", "few": "number", "at": "datetime", "ok": "boolean", "name": "string"}
        columns = [ColumnSpec(name, ColumnType(kind)) for name, kind in kinds.items()]
        chunk: list[Row] = [("1", "AAECXA==", "5", "2026-01-02 03:04:05.125+08:30", "true", "a\0b")]
        with self.sink() as sink:
            load_all(sink, [chunk], delivery_of([chunk], columns=columns))
            for place, wrong in ((1, "?"), (2, "x"), (3, "2026-02-30 00:00:00"), (4, "maybe")):
                self._refused(sink, columns, chunk[0], place, wrong)
        found = self._fetch("SELECT id, hex(raw), few + 0, at, ok, hex(name) FROM t")
        assert [tuple(map(str, row)) for row in found] == [
            ("1", "0001025C", "5", "2026-01-01 18:34:05.125000", "1", "610062")
        ]

    def _refused(self, sink: Sink, columns: list[ColumnSpec], row: Row, place: int, wrong: str) -> None:
        sink.begin(delivery_of([[row]], columns=columns, name=f"wrong {place}"))
        with pytest.raises(RowsRefused) as refused:
            load(sink, 1, [(*row[:place], wrong, *row[place + 1 :])])
        assert (refused.value.rows, refused.value.column) == ((0,), columns[place].name)
