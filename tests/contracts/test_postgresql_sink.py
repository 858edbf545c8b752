"""The sink of PostgreSQL keeps the contract, on a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path

import pytest

from sluice.adapters.sinks.postgresql import PostgresqlSink
from sluice.adapters.sources.slots import Slots
from sluice.domain.dataset import PostgresqlConnection
from sluice.domain.secret import NO_SECRET, Secret
from sluice.domain.target import TableTarget
from sluice.ports.sink import RowsRefused, SinkError, SinkUnavailable
from tests.contracts.sink_contract import CHUNKS, Row, SinkContract, delivery_of, load, load_all
from tests.support.cut_socket import CutSocket, cutting_socket
from tests.support.database_servers import DatabaseServer, postgresql_locks, serving_postgresql

SOCKET = ".s.PGSQL.5432"
pytestmark = pytest.mark.slow  # a server is started


@pytest.fixture(scope="module")
def server() -> Iterator[DatabaseServer]:
    with serving_postgresql() as running:
        yield running


class TestPostgresqlSink(SinkContract):
    def run(self, statements: str) -> str:
        return self.server(statements).removesuffix("\n")

    def drop_all(self) -> None:
        self.run("SET client_min_messages = error; DROP SCHEMA public CASCADE; CREATE SCHEMA public;")

    def cut(self, folder: Path) -> AbstractContextManager[CutSocket]:
        return cutting_socket(f"{self.server.host}/{SOCKET}", folder / SOCKET)

    def open(self, target: TableTarget, host: Path | None = None, user: str = "") -> PostgresqlSink:
        server, at = self.server, str(host or self.server.host)
        where = PostgresqlConnection(name="c", host=at, database=server.database, user=user or server.user)
        return PostgresqlSink(where, target, password=lambda: Secret("pw") if user else NO_SECRET, folder=Path("/"))

    def granted(self, mode: str) -> None:
        rights = {"none": "TRIGGER", "append": "INSERT", "upsert": "INSERT, SELECT, UPDATE"}.get(mode)
        if not self.run("SELECT 1 FROM pg_roles WHERE rolname = 'loader'"):
            self.run("CREATE ROLE loader LOGIN PASSWORD 'pw'")
        of_schema = "USAGE" if mode == "none" else "USAGE, CREATE"
        self.run(f"GRANT {of_schema} ON SCHEMA public TO loader")
        self.run(f"GRANT {rights or 'INSERT, SELECT, DELETE'} ON t TO loader")

    def quoted(self, name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    def rows(self, table: str = "t", columns: str = "id, name", order: str = "id, name") -> list[Row]:
        query = f"SELECT {columns} FROM {table} ORDER BY {order}"
        texts = "to_jsonb(ARRAY(SELECT value FROM json_each_text(row_to_json(r))))"
        made = f"SET timezone = 'UTC'; SELECT coalesce(json_agg({texts}), '[]') FROM ({query}) AS r"
        return [tuple(row) for row in json.loads(self.run(made))]

    def canonical(self, row: Row) -> Row:
        return tuple(
            None if cell is None else cell.removesuffix("+00:00").replace("T0", " 0").replace("T2", " 2")
            for cell in row
        )

    def locked(self) -> AbstractContextManager[None]:
        return postgresql_locks(self.server, "t")

    def waiting(self) -> int:
        waits = "application_name = 'sluice' AND wait_event_type = 'Lock'"
        return int(self.run(f"SELECT count(*) FROM pg_stat_activity WHERE {waits}"))

    def end_sessions(self) -> None:
        self.run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'sluice'")

    def tables(self) -> set[str]:
        where = "relkind = 'r' AND relnamespace = 'public'::regnamespace"
        names = json.loads(self.run(f"SELECT coalesce(json_agg(relname), '[]') FROM pg_class WHERE {where}"))
        return {name for name in names if name not in {"sluice_deliveries", "sluice_ledger"}}

    def test_a_nul_is_refused_with_its_row(self) -> None:
        self.made(key="")
        with self.sink() as sink:
            sink.begin(delivery_of([[("1", "x")] * 3]))
            with pytest.raises(RowsRefused) as refused:
                load(sink, 1, [("1", "a"), ("2", "a\0b"), ("3", None)])
            assert (refused.value.rows, refused.value.column) == ((1,), "name")

    def test_bytes_come_as_base64_and_arrive_as_bytes(self) -> None:
        self.run("CREATE TABLE t (id integer, name bytea)")
        chunk: list[Row] = [("1", "AAECXA=="), ("2", ""), ("3", None)]
        with self.sink() as sink:
            load_all(sink, [chunk])
        assert self.rows(columns="id, encode(name, 'base64')") == chunk
        with self.sink() as sink:
            sink.begin(delivery_of([chunk], name="another"))
            with pytest.raises(RowsRefused, match="no base64") as refused:
                load(sink, 1, [("1", "AAEC"), ("2", "?"), ("3", None)])
            assert refused.value.rows == (1,)

    def test_rows_that_cascade_are_not_replaced(self) -> None:
        self.made()
        self.run("CREATE TABLE of_t (t numeric REFERENCES t ON DELETE CASCADE)")
        with self.sink("replace") as sink, pytest.raises(SinkError, match="of_t_t_fkey of of_t"):
            sink.begin(delivery_of(CHUNKS))

    def test_owner_rights_indexes_and_views_of_a_table_that_is_replaced_stay(self) -> None:
        self.run(
            "CREATE TABLE t (id integer, name text CHECK (name <> 'x')); CREATE INDEX i ON t (name); "
            "CREATE VIEW v AS SELECT * FROM t; GRANT SELECT ON t TO PUBLIC"
        )
        before = self.run("\\d+ t") + self.run("\\dp t")
        with self.sink("replace") as sink:
            load_all(sink, CHUNKS)
        assert (self.run("\\d+ t") + self.run("\\dp t"), self.rows("v")) == (before, self.rows())

    def test_a_side_table_refuses_what_its_table_would(self) -> None:
        self.run(
            "CREATE TABLE t (id integer PRIMARY KEY, name text NOT NULL CHECK (name <> 'x'), "
            "more int DEFAULT 7 CHECK (more > 0))"
        )
        for wrong, column in (("x", ""), (None, "name")):
            with self.sink("upsert") as sink:
                sink.begin(delivery_of([[("1", "x")] * 2], name=str(wrong)))
                with pytest.raises(RowsRefused) as refused:
                    load(sink, 1, [("1", "a"), ("2", wrong)])
                assert (refused.value.rows, refused.value.column) == ((1,), column)
                sink.abandon()
        assert self.tables() == {"t"}

    def test_a_session_of_a_sink_is_one_of_the_connections_slots(self, tmp_path: Path) -> None:
        self.made()
        target = TableTarget(connection="c", table="t")
        slot = partial(Slots(tmp_path, "c", 1).taken, wait_s=0)
        where = PostgresqlConnection(
            name="c", host=self.server.host, database=self.server.database, user=self.server.user
        )
        first, second = (
            PostgresqlSink(where, target, password=lambda: NO_SECRET, folder=Path("/"), slot=slot) for _ in range(2)
        )
        with closing(first), closing(second):
            first.begin(delivery_of(CHUNKS[:1]))
            with pytest.raises(SinkUnavailable, match="all 1 slots"):
                second.begin(delivery_of(CHUNKS[:1], name="another"))
            first.close()
            load_all(second, CHUNKS[:1], delivery_of(CHUNKS[:1], name="another"))
