"""MySQL's kin on a real MariaDB: hard values, conditions, refusals, and a server that goes away."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.adapters.databases.interruption import Interruption
from sluice.adapters.databases.mysql_literals import quoted_identifier, typed_literal
from sluice.adapters.databases.mysql_session import open_mysql
from sluice.adapters.databases.typed_values import NotOfItsType
from sluice.adapters.sources.mysql import MysqlSource
from sluice.domain.dataset import MysqlConnection, TableSource
from sluice.domain.pulled import Condition, Cursor
from sluice.domain.secret import NO_SECRET, Secret
from sluice.ports.source import ConditionError, SourceError, SourceUnavailable
from tests.support.database_servers import DatabaseServer, serving_mariadb
from tests.support.source_rows import EVIL_TEXTS, rows_of, slices_of

pytestmark = pytest.mark.slow  # servers are started

PASSWORD = "s3cret-Knö"
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.fixture(scope="module")
def server() -> Iterator[DatabaseServer]:
    with serving_mariadb() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_tables(request: pytest.FixtureRequest) -> None:
    if "server" in request.fixturenames:
        request.getfixturevalue("server")("DROP DATABASE IF EXISTS shop; CREATE DATABASE shop;")


def run(server: DatabaseServer, statements: str) -> str:
    return server(f"USE shop; SET sql_mode = ''; {statements};")


def connection(server: DatabaseServer, **changes: Any) -> MysqlConnection:
    made = MysqlConnection(name="crm", host=server.host, database=server.database, user=server.user)
    return msgspec.structs.replace(made, **changes)


def source(
    where: MysqlConnection,
    columns: Sequence[str] = ("id",),
    conditions: Sequence[Condition] = (),
    *,
    table: str = "shop.t",
    password: Secret = NO_SECRET,
) -> MysqlSource:
    made = TableSource(connection="crm", table=table, key=("id",))
    return MysqlSource(where, made, columns, conditions, password=lambda: password, folder=Path("/"))


VALUES = [
    ("DECIMAL(20, 2)", "123456789012345678.90", "123456789012345678.90"),
    ("BIGINT UNSIGNED", "18446744073709551615", "18446744073709551615"),
    ("BIGINT", "-9223372036854775808", "-9223372036854775808"),
    ("INT(5) ZEROFILL", "7", "00007"),
    ("DOUBLE", "0.1e0 + 0.2e0", "0.30000000000000004"),
    ("FLOAT", "0.1", "0.1"),
    ("BIT(64)", "b'1111111111111111111111111111111111111111111111111111111111111111'", "18446744073709551615"),
    ("BIT(3)", "b'101'", "5"),
    ("BOOLEAN", "TRUE", "1"),
    ("DATE", "'0000-00-00'", "0000-00-00"),
    ("DATE", "'2025-00-10'", "2025-00-10"),
    ("DATETIME", "'0000-00-00 00:00:00'", "0000-00-00 00:00:00"),
    ("DATETIME(6)", "'2026-03-01 10:00:00.123456'", "2026-03-01 10:00:00.123456"),
    ("TIMESTAMP NULL", "'2026-03-01 10:00:00'", "2026-03-01 10:00:00"),
    ("TIME", "'-838:59:59'", "-838:59:59"),
    ("YEAR", "2026", "2026"),
    ("BINARY(3)", "X'00FF'", "AP8A"),
    ("VARBINARY(9)", "X'00FF5C'", "AP9c"),
    ("BLOB", "REPEAT(X'00', 60)", "A" * 80),
    ("JSON", """'{"b": 1,  "a": [null]}'""", '{"b": 1,  "a": [null]}'),
    ("ENUM('sad', 'so so')", "'so so'", "so so"),
    ("SET('a', 'b')", "'b,a'", "a,b"),
    ("VARCHAR(20) CHARACTER SET latin1", "'Knö'", "Knö"),
    ("VARCHAR(20) CHARACTER SET utf8mb4", "X'F09F98800041'", "😀\0A"),
    ("CHAR(4)", "'a'", "a"),
    ("TEXT", "X'5C4E'", "\\N"),
    ("TEXT", "X'09'", "\t"),
    ("TEXT", "''", ""),
    ("TEXT", "NULL", None),
    ("UUID", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
]


def test_values_are_as_the_server_writes_them(server: DatabaseServer) -> None:
    columns = ", ".join(f"c{at} {kind}" for at, (kind, _, _) in enumerate(VALUES))
    run(server, f"CREATE TABLE t (id INT PRIMARY KEY, {columns})")
    run(server, f"SET time_zone = '+00:00'; INSERT INTO t VALUES (1, {', '.join(value for _, value, _ in VALUES)})")
    names = [f"c{at}" for at in range(len(VALUES))]
    (row,) = rows_of(slices_of(source(connection(server), names)))
    assert list(row) == [expected for _, _, expected in VALUES]
    there = connection(server, timezone="+08:00")
    assert rows_of(slices_of(source(there, ["c13"]))) == [("2026-03-01 18:00:00",)]


KEYS = [
    ("BIGINT UNSIGNED", ["18446744073709551615", "0", "9223372036854775808"]),
    ("DECIMAL(30, 10)", ["123456789012345678.9", "-1.5", "0"]),
    ("DOUBLE", ["1e300", "0.1", "-0.3333333333333333"]),
    ("DATETIME(3)", ["'0000-00-00 00:00:00'", "'2026-01-01 10:00:00.123'", "'2026-00-10'"]),
    ("TIME", ["'-838:59:59'", "'10:00'", "'838:59:59'"]),
    ("VARBINARY(9)", ["X'00'", "X'5C27'", "''"]),
    ("BIT(9)", ["b'1'", "b'100000000'"]),
    ("ENUM('z', 'a')", ["'z'", "'a'"]),
    ("VARCHAR(20) CHARACTER SET latin1", ["'Knö'", "'a'", "'B'"]),
    ("VARCHAR(20) COLLATE utf8mb4_nopad_bin", ["'a'", "'a '", "'A'"]),
    ("UUID", ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'00eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"]),
]


@pytest.mark.parametrize(("kind", "values"), KEYS)
def test_each_value_of_a_key_finds_the_row_behind_it(
    server: DatabaseServer, monkeypatch: pytest.MonkeyPatch, kind: str, values: list[str]
) -> None:
    monkeypatch.setattr("sluice.adapters.sources.mysql.SLICE_ROWS", 1)
    listed = ", ".join(f"({value})" for value in values)
    run(server, f"CREATE TABLE t (id {kind} NOT NULL UNIQUE); INSERT INTO t VALUES {listed}")
    whole = slices_of(source(connection(server)))
    assert len(whole) == len(values)
    cursor: Cursor | None = None
    for place, part in enumerate(whole):
        assert rows_of(slices_of(source(connection(server)), cursor)) == rows_of(whole[place:])
        cursor = part.cursor
    assert slices_of(source(connection(server)), cursor) == []


def test_every_text_comes_back_equal_as_a_literal(server: DatabaseServer) -> None:
    for mode in ("", "NO_BACKSLASH_ESCAPES,ANSI_QUOTES"):
        server(f"SET GLOBAL sql_mode = '{mode}'")
        with open_mysql(connection(server), Path("/"), lambda: NO_SECRET, Interruption(), is_snapshot=False) as session:

            @given(ANY_TEXT)
            @settings(max_examples=100)
            def comes_back(text: str) -> None:
                assert session.fetch(f"SELECT {typed_literal('varchar', text)}") == [(text,)]

            comes_back()
            for evil in EVIL_TEXTS:
                assert session.fetch(f"SELECT {typed_literal('varchar', evil)}") == [(evil,)]
    server("SET GLOBAL sql_mode = DEFAULT")


REFUSED: list[tuple[str, Any]] = [
    ("int", "1abc"),
    ("int", "1.5"),
    ("int", ""),
    ("int", "0x10"),
    ("int", 2**40),
    ("int", "1 OR 1=1"),
    ("bigint", 2**64),
    ("decimal", "1,5"),
    ("decimal", "NaN"),
    ("decimal", "1e99"),
    ("double", "1e999"),
    ("double", "1abc"),
    ("date", "2026-02-30"),
    ("date", "2026-13-00"),
    ("date", "20260230"),
    ("date", "2026-01-01' OR '1'='1"),
    ("datetime", "2026-01-01 25:00"),
    ("time", "839:00"),
    ("time", "soon"),
    ("year", "x"),
    ("year", 26),
    ("varchar", 1.5),
    ("blob", 1234),
    ("bit", "b'1'"),
    ("blob", "%%%"),
    ("varchar", "\ud800"),
    ("point", "POINT(1 1)"),
]


@pytest.mark.parametrize(("kind", "value"), REFUSED)
def test_a_value_that_is_none_of_its_columns_type_is_named_and_not_looked_for(
    server: DatabaseServer, kind: str, value: Any
) -> None:
    run(server, f"CREATE TABLE t (id INT PRIMARY KEY, c {'varchar(9)' if kind == 'varchar' else kind})")
    reading = source(connection(server), conditions=[Condition("c", "in", (value,))])
    for ask in (slices_of, lambda asked: asked.count(1)):
        with pytest.raises(ConditionError) as refused:
            ask(reading)
        assert refused.value.column == "c"
        assert refused.value.expected.startswith("values of type")


def test_conditions_compare_exactly_whatever_mysql_takes_for_equal(server: DatabaseServer) -> None:
    run(
        server,
        "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9), l VARCHAR(9) CHARACTER SET latin1, d DATE, b BLOB, n DOUBLE,"
        " e ENUM('x', 'X '), f FLOAT, y YEAR, u BIGINT UNSIGNED); CREATE INDEX i ON t (v);"
        "INSERT INTO t (id, v, l, d, b, n, e, f, y, u) VALUES"
        "(1, 'a', 'ö', '0000-00-00', 'ab', 0.1, 'x', 0.1, 2026, 18446744073709551615),"
        "(2, 'A', 'Ö', '2026-01-01', '', 3, 'x', 16777216, 0, 7),"
        "(3, 'a ', 'o', NULL, NULL, NULL, NULL, NULL, NULL, NULL),"
        "(4, 'ä', '', NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    )
    cases: list[tuple[str, str | int, list[str]]] = [
        ("v", "a", ["1"]),
        ("v", "A", ["2"]),
        ("v", "ä", ["4"]),
        ("v", "0", []),
        ("v", 0, []),
        ("l", "ö", ["1"]),
        ("l", "😀", []),
        ("d", "0000-00-00", ["1"]),
        ("d", "2026-01-01", ["2"]),
        ("b", "YWI=", ["1"]),
        ("b", "", ["2"]),
        ("n", "0.1", ["1"]),
        ("n", "3.0", ["2"]),
        ("e", "x", ["1", "2"]),
        ("e", "X", []),
        ("f", "0.1", ["1"]),
        ("f", "16777200", ["2"]),
        ("y", "2026", ["1"]),
        ("y", 0, ["2"]),
        ("u", "18446744073709551615.0", ["1"]),
        ("u", "7", ["2"]),
    ]
    for column, value, expected in cases:
        found = rows_of(slices_of(source(connection(server), conditions=[Condition(column, "in", (value,))])))
        assert [number for (number,) in found] == expected, (column, value)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("CREATE TABLE t (id FLOAT PRIMARY KEY)", "id cannot be in a key"),
        ("CREATE TABLE t (id INT PRIMARY KEY) ENGINE = MyISAM", "kept by MyISAM, which knows no snapshots"),
        ("CREATE TABLE t (id INT NOT NULL, b INT, UNIQUE (id, b))", "no unique index"),
        ("CREATE TABLE u (id INT); CREATE VIEW t AS SELECT * FROM u", "is a view"),
        ("CREATE SEQUENCE t", "is a sequence"),
    ],
)
def test_tables_whose_rows_no_key_tells_apart_are_refused(server: DatabaseServer, made: str, said: str) -> None:
    run(server, made)
    with pytest.raises(SourceError, match=said):
        slices_of(source(connection(server)))


def test_what_the_user_may_not_do_is_said_without_the_password(server: DatabaseServer) -> None:
    run(
        server,
        f"CREATE TABLE t (id INT PRIMARY KEY); CREATE OR REPLACE USER reader@localhost IDENTIFIED BY '{PASSWORD}'",
    )
    reader = connection(server, user="reader", database="information_schema")
    said = []
    for where, password in [
        (reader, Secret("wrong-" + PASSWORD)),
        (reader, NO_SECRET),
        (reader, Secret(PASSWORD)),
        (connection(server, database="nowhere"), NO_SECRET),
        (connection(server, timezone="Mars/Olympus"), NO_SECRET),
    ]:
        with pytest.raises(SourceError) as refused:
            source(where, password=password).count(1)
        assert not isinstance(refused.value, SourceUnavailable)
        assert refused.value.__cause__ is None
        said.append(str(refused.value))
        assert PASSWORD not in said[-1]
    assert "the password is not the user's" in said[0]
    assert "the password is not the user's" in said[1]
    assert "the user may not see it" in said[2]
    assert "no such database" in said[3]
    assert "time zone" in said[4]
    run(server, "GRANT SELECT ON shop.t TO reader@localhost")
    assert source(reader, password=Secret(PASSWORD)).count(1) == 0


def test_nothing_can_be_changed_in_the_transaction(server: DatabaseServer) -> None:
    run(server, "CREATE TABLE t (id INT PRIMARY KEY)")
    with open_mysql(connection(server), Path("/"), lambda: NO_SECRET, Interruption(), is_snapshot=True) as session:  # noqa: SIM117
        with pytest.raises(SourceError, match="error 1792"):
            session.fetch("INSERT INTO shop.t VALUES (1)")


def filled(server: DatabaseServer, rows: int) -> None:
    """A table of rows of a kilobyte."""
    made = f"INSERT INTO t SELECT seq, REPEAT('x', 1000) FROM seq_1_to_{rows}"
    run(server, f"CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(1000)); {made}")


# PyMySQL leaves a socket that could not be connected to the garbage collection.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("is_killed", [True, False])
def test_a_server_that_goes_away_while_it_is_read_can_be_read_on_later(*, is_killed: bool) -> None:
    with serving_mariadb() as server:
        server("DROP DATABASE IF EXISTS shop; CREATE DATABASE shop;")
        filled(server, 50_000)
        reading = source(connection(server), ["id", "v"])
        with reading.reading() as slices:
            cursor = next(slices).cursor
            if is_killed:
                server.process.kill()
            else:
                running = "SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT t.%'"
                server(f"KILL {server(running).strip()}")
            with pytest.raises(SourceUnavailable):
                list(slices)
        if is_killed:
            server.process.wait(30)
            with pytest.raises(SourceUnavailable, match="cannot be reached"):
                reading.count(1)
        else:
            assert sum(part.rows for part in slices_of(reading, cursor)) == 50_000 - int(str(cursor[0]))


def test_a_statement_that_takes_too_long_can_be_tried_again(server: DatabaseServer) -> None:
    filled(server, 50_000)
    with source(connection(server, statement_timeout="1s"), ["id", "v"]).reading() as slices:
        next(slices)
        time.sleep(1.5)
        with pytest.raises(SourceUnavailable):
            list(slices)


def test_a_name_stays_one_and_a_half_of_a_character_is_no_text() -> None:
    assert quoted_identifier("a`; DROP TABLE t; --") == "`a``; DROP TABLE t; --`"
    with pytest.raises(NotOfItsType):
        typed_literal("text", "\udcff")
