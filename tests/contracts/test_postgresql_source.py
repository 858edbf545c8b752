"""The source of PostgreSQL keeps the contract, on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from sluice.adapters.sources import copy_text
from sluice.adapters.sources.postgresql import PostgresqlSource
from sluice.domain.dataset import PostgresqlConnection, TableSource
from sluice.domain.pulled import Condition, Consistency
from sluice.domain.schema import ColumnType
from sluice.domain.secret import NO_SECRET
from sluice.ports.source import Source
from tests.contracts.moment_contract import MomentContract
from tests.support.database_servers import DatabaseServer, postgresql_locks, serving_postgresql

pytestmark = pytest.mark.slow  # a server is started


@pytest.fixture(scope="module")
def server() -> Iterator[DatabaseServer]:
    with serving_postgresql() as running:
        yield running


def source_of(
    server: DatabaseServer,
    table: TableSource,
    columns: Sequence[str],
    conditions: Sequence[Condition] = (),
    zone: str = "UTC",
    where: str = "",
) -> PostgresqlSource:
    connection = PostgresqlConnection(
        name="crm", host=server.host, database=server.database, user=server.user, timezone=zone
    )
    return PostgresqlSource(
        connection, table, columns, conditions, where=where, password=lambda: NO_SECRET, folder=Path("/")
    )


class TestPostgresqlSource(MomentContract):
    server: ClassVar[DatabaseServer]

    @pytest.fixture(autouse=True)
    def _server(self, server: DatabaseServer) -> None:
        type(self).server = server

    def run(self, statements: str) -> str:
        return self.server(statements)

    def drop_all(self) -> None:
        self.run("SET client_min_messages = error; DROP SCHEMA public CASCADE; CREATE SCHEMA public;")

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
        source = TableSource(connection="c", schema="public", table=table, key=key, consistency=consistency)
        return source_of(self.server, source, columns, conditions, where=where)

    def small_slices(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(copy_text, "SLICE_ROWS", 3)

    dialect = "postgresql"
    moment_column = "timestamptz"
    also_found = [  # noqa: RUF012
        ("city ilike 'b%' or \"city\" is distinct from 'Linz' and amount > 30", "24"),
        ("at + interval '1 day' >= '2026-12-02'::timestamptz", "234"),
        ("extract(day from at) = 30 or date_trunc('day', at) = date '2026-12-02'", "14"),
        ("city || 'x' = 'Bonnx' or amount::text = '40'", "24"),
        ("left(city, 1) = 'L' or city like 'O\\''H%' or strpos(city, 'nn') = 3", "123"),
    ]

    bytes_type = "bytea"

    def bytes(self, value: str) -> str:
        return f"'\\x{value.encode().hex()}'"

    described = (
        ("bigint", "bigint", ColumnType.NUMBER),
        ("varchar(20)", "character varying(20)", ColumnType.STRING),
        ("numeric(10,2)", "numeric(10,2)", ColumnType.NUMBER),
        ("double precision", "double precision", ColumnType.NUMBER),
        ("money", "money", ColumnType.NUMBER),
        ("boolean", "boolean", ColumnType.BOOLEAN),
        ("date", "date", ColumnType.DATE),
        ("timestamptz", "timestamp with time zone", ColumnType.DATETIME),
        ("timestamp(3)", "timestamp(3) without time zone", ColumnType.DATETIME),
        ("bytea", "bytea", ColumnType.STRING),
        ("int[]", "integer[]", ColumnType.STRING),
        ("jsonb", "jsonb", ColumnType.STRING),
        ("uuid", "uuid", ColumnType.STRING),
        ("time", "time without time zone", ColumnType.STRING),
    )
    infinities = ("'-infinity'", "'infinity'")

    moment_type = "timestamptz"

    def moment(self, at: datetime) -> str:
        return f"'{at}+00'"

    def source_in(
        self, zone: str, columns: Sequence[str], key: tuple[str, ...], conditions: Sequence[Condition] = ()
    ) -> Source:
        source = TableSource(connection="c", schema="public", table="t", key=key)
        return source_of(self.server, source, columns, conditions, zone=zone)

    dated_types = ("date", "timestamp", "timestamptz", "text", "varchar(40)")
    day_types = ("date",)

    def quoted(self, name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    def locked(self) -> AbstractContextManager[None]:
        return postgresql_locks(self.server, "t")

    def sessions(self, *, waiting: bool = False) -> int:
        waits = " AND wait_event_type = 'Lock'" if waiting else ""
        return int(self.run(f"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sluice'{waits}"))

    def test_nothing_is_left_of_a_reading_that_ends_early(self) -> None:
        self.made(*((number, "x" * 100) for number in range(50_000)))
        for _ in range(5):
            with self.source().reading() as slices:
                next(slices)
        left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sluice'"
        assert any(self.run(left).strip() == "0" for _ in range(50))

    def test_a_reading_that_ends_early_waits_for_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made(*((number, "x" * 100) for number in range(50_000)))
        waited, late = asyncio.wait_for, list[object]()

        async def watched(what: Awaitable[object], *limit: Any, **named: Any) -> object:
            try:
                return await waited(what, *limit, **named)
            except TimeoutError:
                late.append(what)
                raise

        monkeypatch.setattr(asyncio, "wait_for", watched)
        with self.source().reading() as slices:
            next(slices)
        assert late == []
