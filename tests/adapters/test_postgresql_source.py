"""PostgreSQL on a real server: hard values, conditions, refusals, and a server that goes away."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.adapters.databases.interruption import Interruption
from sluice.adapters.databases.postgresql_literals import literal
from sluice.adapters.databases.postgresql_session import open_session
from sluice.adapters.sources.copy_text import cells_of
from sluice.adapters.sources.postgresql import PostgresqlSource
from sluice.domain.dataset import PostgresqlConnection, TableSource
from sluice.domain.pulled import Condition, Cursor
from sluice.domain.secret import NO_SECRET, Secret
from sluice.ports.source import ConditionError, SourceError, SourceTooSlow, SourceUnavailable
from tests.support.database_servers import DatabaseServer, serving_postgresql
from tests.support.source_rows import EVIL_TEXTS, rows_of, slices_of

pytestmark = pytest.mark.slow  # servers are started

PASSWORD = "s3cret-Kn'ö\\"
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@pytest.fixture(scope="module")
def server() -> Iterator[DatabaseServer]:
    with serving_postgresql() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_tables(request: pytest.FixtureRequest) -> None:
    if "server" in request.fixturenames:
        query = request.getfixturevalue("server")
        query("SET client_min_messages = error; DROP SCHEMA public CASCADE; CREATE SCHEMA public;")


def filled(rows: int) -> str:
    """Statements that make a table of rows of a kilobyte."""
    made = f"SELECT g, repeat('x', 1000) FROM generate_series(1, {rows}) g"
    return f"CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t {made};"


def connection(server: DatabaseServer, **changes: Any) -> PostgresqlConnection:
    made = PostgresqlConnection(name="crm", host=server.host, database=server.database, user=server.user)
    return msgspec.structs.replace(made, **changes)


def source(
    where: PostgresqlConnection,
    columns: Sequence[str] = ("id",),
    conditions: Sequence[Condition] = (),
    *,
    key: tuple[str, ...] = ("id",),
    table: str = "public.t",
    password: Secret = NO_SECRET,
) -> PostgresqlSource:
    made = TableSource(connection="crm", table=table, key=key)
    return PostgresqlSource(where, made, columns, conditions, password=lambda: password, folder=Path("/"))


VALUES = [
    ("numeric", "'NaN'", "NaN"),
    ("numeric", "'Infinity'", "Infinity"),
    ("numeric(20, 2)", "123456789012345678.90", "123456789012345678.90"),
    ("bigint", "-9223372036854775808", "-9223372036854775808"),
    ("double precision", "0.1::float8 + 0.2", "0.30000000000000004"),
    ("double precision", "'-Infinity'", "-Infinity"),
    ("double precision", "-0.0::float8", "-0"),
    ("real", "0.1", "0.1"),
    ("boolean", "true", "true"),
    ("boolean", "false", "false"),
    ("timestamptz", "'2026-03-01 10:00:00.123456+08'", "2026-03-01 02:00:00.123456+00"),
    ("timestamptz", "'infinity'", "infinity"),
    ("timestamp", "'-infinity'", "-infinity"),
    ("timestamp", "'0044-03-15 12:00 BC'", "0044-03-15 12:00:00 BC"),
    ("date", "'infinity'", "infinity"),
    ("date", "'2026-02-28'", "2026-02-28"),
    ("time", "'24:00'", "24:00:00"),
    ("interval", "'1 mon -3 days'", "P1M-3D"),
    ("interval", "'-838:59:59'", "PT-838H-59M-59S"),
    ("integer[]", "'{1,NULL,3}'", "[1,null,3]"),
    ("text[]", "ARRAY['a\"b', E'\\n']", '["a\\"b","\\n"]'),
    ("integer[]", "'{{1,2},{3,4}}'", "[[1,2],[3,4]]"),
    ("json", '\'{"b": 1,  "a": [null]}\'', '{"b": 1,  "a": [null]}'),
    ("jsonb", '\'{"b": 1,  "a": 1e3}\'', '{"a": 1000, "b": 1}'),
    ("bytea", "'\\x00ff5c'", "AP9c"),
    ("bytea", "decode(repeat('00', 60), 'hex')", "A" * 80),
    ("money", "'12.50'", "12.50"),
    ("uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("bit(3)", "B'101'", "101"),
    ("char(4)", "'a'", "a   "),
    ("inet", "'10.0.0.1/8'", "10.0.0.1/8"),
    ("int4range", "'[1,5)'", "[1,5)"),
    ("text", "E'a\\tb\\nc\\\\N'", "a\tb\nc\\N"),
    ("text", "'\\N'", "\\N"),
    ("text", "''", ""),
    ("text", "NULL", None),
    ("xml", "'<a>ö</a>'", "<a>ö</a>"),
    ("mood", "'so so'", "so so"),
    ("truth", "true", "true"),
]


def test_values_are_as_the_server_writes_them(server: DatabaseServer) -> None:
    server(
        "CREATE TYPE mood AS ENUM ('sad', 'so so'); CREATE DOMAIN truth AS boolean;"
        "ALTER ROLE tester SET datestyle = 'German';"
    )
    columns = ", ".join(f"c{at} {kind}" for at, (kind, _, _) in enumerate(VALUES))
    server(f"CREATE TABLE t (id int PRIMARY KEY, {columns});")
    server(f"INSERT INTO t VALUES (1, {', '.join(value for _, value, _ in VALUES)});")
    names = [f"c{at}" for at in range(len(VALUES))]
    (row,) = rows_of(slices_of(source(connection(server), names)))
    assert list(row) == [expected for _, _, expected in VALUES]
    there = connection(server, timezone="Asia/Shanghai")
    assert rows_of(slices_of(source(there, ["c10"]))) == [("2026-03-01 10:00:00.123456+08",)]
    server("ALTER ROLE tester RESET datestyle;")


def test_each_value_of_a_key_finds_the_row_behind_it(server: DatabaseServer) -> None:
    kinds = [
        "numeric",
        "float8",
        "timestamptz",
        "date",
        "interval",
        "bytea",
        "boolean",
        "uuid",
        "mood",
        "money",
        "char(9)",
    ]
    values = [
        "'NaN', 1e20, -1.50",
        "'Infinity', 'NaN', 0.1",
        "'infinity', '2026-01-01', '-infinity'",
        "'infinity', '2026-01-01'",
    ]
    values += ["'1 mon -3 days', '-838:59:59', '1 year'", "'\\x00', '\\x5c27', ''", "true, false"]
    values += [
        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '00000000-9c0b-4ef8-bb6d-6bb9bd380a11'",
        "'so so', 'sad'",
        "'1', '-2.5'",
        "'b', 'a '",
    ]
    server("CREATE TYPE mood AS ENUM ('sad', 'so so');")
    for kind, listed in zip(kinds, values, strict=True):
        made = ", ".join(f"({value})" for value in listed.split(", "))
        server(f"DROP TABLE IF EXISTS t; CREATE TABLE t (id {kind} UNIQUE NOT NULL); INSERT INTO t VALUES {made};")
        count = listed.count(",") + 1
        cursor: Cursor | None = None
        for left in range(count, 0, -1):
            slices = slices_of(source(connection(server), ["id"]), cursor)
            assert sum(part.rows for part in slices) == left
            cursor = first_key(source(connection(server), ["id"]), cursor)
        assert slices_of(source(connection(server), ["id"]), cursor) == []


def first_key(reading: PostgresqlSource, after: Cursor | None) -> Cursor:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sluice.adapters.sources.copy_text.SLICE_ROWS", 1)
        with reading.reading(after) as slices:
            return next(slices).cursor


def test_every_text_comes_back_equal_as_a_literal(server: DatabaseServer) -> None:
    for setting in ("on", "off"):
        server(f"ALTER ROLE tester SET standard_conforming_strings = {setting};")
        with open_session(
            connection(server), Path("/"), lambda: NO_SECRET, "read_committed", Interruption()
        ) as session:

            @given(ANY_TEXT)
            @settings(max_examples=100)
            def comes_back(text: str) -> None:
                assert session.fetch(f"SELECT {literal(text)}")[0][0] == text
                copied = b"".join(session.copy(f"SELECT {literal(text)}, 1"))
                assert cells_of(copied) == [text, "1"]

            comes_back()
            for evil in EVIL_TEXTS:
                assert session.fetch(f"SELECT {literal(evil)}")[0][0] == evil
    server("ALTER ROLE tester RESET standard_conforming_strings;")


REFUSED = [
    ("int", "1abc"),
    ("int", "1.5"),
    ("int", ""),
    ("int", 2**40),
    ("numeric", "1,5"),
    ("boolean", "perhaps"),
    ("date", "2026-02-30"),
    ("timestamptz", "soon"),
    ("uuid", "x"),
    ("mood", "merry"),
    ("bytea", "%%%"),
    ("text", "a\0b"),
    ("text", "\ud800"),
    ("posint", "x"),
    ("interval", "long"),
]


def test_a_value_that_is_none_of_its_columns_type_is_named_and_not_looked_for(server: DatabaseServer) -> None:
    server("CREATE TYPE mood AS ENUM ('sad', 'so so'); CREATE DOMAIN posint AS int CHECK (value > 0);")
    kinds = sorted({kind for kind, _ in REFUSED})
    server(f"CREATE TABLE t (id int PRIMARY KEY, {', '.join(f'c_{kind} {kind}' for kind in kinds)});")
    for kind, value in REFUSED:
        for test, values in (("in", ("1" if kind == "int" else value, value)), (">=", (value,))):
            reading = source(connection(server), conditions=[Condition(f"c_{kind}", test, values)])  # type: ignore[arg-type]
            for ask in (slices_of, lambda asked: asked.count(1)):
                with pytest.raises(ConditionError) as refused:
                    ask(reading)
                assert refused.value.column == f"c_{kind}"
                assert refused.value.expected.startswith("values of type")


def test_a_value_is_not_cut_or_rounded_to_fit_its_column(server: DatabaseServer) -> None:
    server(
        "CREATE TABLE t (id int PRIMARY KEY, v varchar(3), n numeric(5, 1), b bit(2), at timestamp(0), y bytea,"
        " m money, c char(2));"
    )
    server("INSERT INTO t VALUES (1, 'abc', 1.5, B'10', '2026-01-01 10:00', 'ab', '12.5', 'a');")
    for column, fits, not_quite in [
        ("v", "abc", "abcd"),
        ("n", "1.50", "1.46"),
        ("b", "10", "101"),
        ("at", "2026-01-01 10:00:00", "2026-01-01 10:00:00.3"),
        ("y", "YWI=", "YWE="),
        ("m", "12.5", "12.51"),
        ("m", "12.50", "12.504"),
        ("c", "a", "abc"),
    ]:
        assert source(connection(server), conditions=[Condition(column, "in", (fits,))]).count(2) == 1
        assert source(connection(server), conditions=[Condition(column, "in", (not_quite,))]).count(2) == 0


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("CREATE TABLE t (id int NOT NULL); CREATE UNIQUE INDEX ON t (id) WHERE id > 0", "no unique index"),
        ("CREATE TABLE t (id int NOT NULL); CREATE UNIQUE INDEX ON t (abs(id))", "no unique index"),
        ("CREATE TABLE t (id int NOT NULL, b int); CREATE UNIQUE INDEX ON t (id, b)", "no unique index"),
        ("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u () INHERITS (t)", "inherit"),
        ("CREATE MATERIALIZED VIEW t AS SELECT 1 AS id; CREATE UNIQUE INDEX ON t (id)", "is a materialized view"),
        ("CREATE TABLE u (id int); CREATE VIEW t AS SELECT * FROM u", "is a view"),
        ("CREATE SEQUENCE t", "there is no table public.t of crm"),
    ],
)
def test_tables_whose_rows_no_key_tells_apart_are_refused(server: DatabaseServer, made: str, said: str) -> None:
    server(made)
    with pytest.raises(SourceError, match=said):
        slices_of(source(connection(server)))


def test_included_columns_partitions_and_schemas_are_read(server: DatabaseServer) -> None:
    server(
        'CREATE SCHEMA "a.b"; CREATE TABLE "a.b"."c.d" (id int NOT NULL, v int);'
        'CREATE UNIQUE INDEX ON "a.b"."c.d" (id) INCLUDE (v); INSERT INTO "a.b"."c.d" VALUES (1, 2);'
        "CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (9);"
        "INSERT INTO t VALUES (3), (1);"
    )
    made = TableSource(connection="crm", schema="a.b", table="c.d", key=("id",))
    reading = PostgresqlSource(connection(server), made, ["v"], password=lambda: NO_SECRET, folder=Path("/"))
    assert rows_of(slices_of(reading)) == [("2",)]
    for table in ("public.t", "t"):
        assert rows_of(slices_of(source(connection(server), table=table))) == [("1",), ("3",)]


def test_what_the_user_may_not_do_is_said_without_the_password(server: DatabaseServer) -> None:
    server(
        "CREATE TABLE t (id int PRIMARY KEY); DROP ROLE IF EXISTS reader;"
        f"CREATE ROLE reader LOGIN PASSWORD {literal(PASSWORD)};"
    )
    reader = connection(server, user="reader")
    said = []
    for where, password in [
        (reader, Secret("wrong-" + PASSWORD)),
        (reader, NO_SECRET),
        (reader, Secret(PASSWORD)),
        (connection(server, database="nowhere"), NO_SECRET),
        (connection(server, timezone="Mars/Olympus"), NO_SECRET),
        (connection(server, user="stranger"), Secret(PASSWORD)),
    ]:
        with pytest.raises(SourceError) as refused:
            source(where, password=password).count(1)
        assert not isinstance(refused.value, SourceUnavailable)
        assert refused.value.__cause__ is None
        said.append(str(refused.value))
        assert PASSWORD not in said[-1]
    assert "the password is not the user's" in said[0]
    assert "the password is not the user's" in said[1]
    assert "permission denied" in said[2]
    assert "no such database" in said[3]
    assert "time zone" in said[4]
    server("GRANT SELECT ON t TO reader; GRANT USAGE ON SCHEMA public TO reader;")
    assert source(reader, password=Secret(PASSWORD)).count(1) == 0


def test_a_statement_that_takes_too_long_can_be_tried_again(server: DatabaseServer) -> None:
    server(filled(100_000))
    with source(connection(server, statement_timeout="1s"), ["id", "v"]).reading() as slices:
        next(slices)
        server("SELECT pg_sleep(1.5)")
        with pytest.raises(SourceTooSlow, match="longer than statement_timeout"):
            list(slices)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, None])
def test_a_server_that_goes_away_while_it_is_read_can_be_read_on_later(how: signal.Signals | None) -> None:
    with serving_postgresql() as server:
        server(filled(50_000))
        reading = source(connection(server), ["id", "v"])
        with reading.reading() as slices:
            cursor = next(slices).cursor
            if how is None:
                server("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sluice'")
            else:
                server.process.send_signal(how)
            with pytest.raises(SourceUnavailable):
                list(slices)
        if how is None:
            assert sum(part.rows for part in slices_of(reading, cursor)) == 50_000 - int(str(cursor[0]))
        else:
            server.process.wait(30)
            with pytest.raises(SourceUnavailable, match="cannot be reached"):
                reading.count(1)


def test_the_server_is_read_no_faster_than_slices_are_taken(server: DatabaseServer) -> None:
    server(filled(100_000))
    with source(connection(server), ["id", "v"]).reading() as slices:
        next(slices)
        waits = "SELECT wait_event FROM pg_stat_activity WHERE application_name = 'sluice'"
        server("SELECT pg_sleep(0.3)")
        assert server(waits).strip() == "ClientWrite"
        assert sum(part.rows for part in slices) < 100_000
