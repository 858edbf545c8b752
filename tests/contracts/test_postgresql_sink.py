"""The sink of PostgreSQL keeps the contract, on a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.adapters.sinks.postgresql import PostgresqlSink
from sluice.domain.dataset import PostgresqlConnection
from sluice.domain.secret import NO_SECRET
from sluice.domain.target import TableTarget
from tests.contracts.sink_contract import Row, SinkContract
from tests.support.database_servers import DatabaseServer, serving_postgresql

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

    def open(self, target: TableTarget) -> PostgresqlSink:
        server = self.server
        where = PostgresqlConnection(name="c", host=server.host, database=server.database, user=server.user)
        return PostgresqlSink(where, target, password=lambda: NO_SECRET, folder=Path("/"))

    def quoted(self, name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    def rows(self, table: str = "t", columns: str = "id, name", order: str = "id, name") -> list[Row]:
        query = f"SELECT {columns} FROM {table} ORDER BY {order}"
        made = f"SELECT coalesce(json_agg(row_to_json(r)), '[]') FROM ({query}) AS r"
        return [tuple(None if v is None else str(v) for v in row.values()) for row in json.loads(self.run(made))]

    def end_sessions(self) -> None:
        self.run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'sluice'")

    def tables(self) -> set[str]:
        names = json.loads(
            self.run(
                "SELECT json_agg(relname) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            )
        )
        return {name for name in names if name not in {"sluice_deliveries", "sluice_ledger"}}
