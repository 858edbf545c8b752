"""Databases load our CSV files whole: every row, null as null, every character, by the dialect of the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.writers.csv.format import CSV
from tests.support.csv_files import strings, table_of, write_csv
from tests.support.database_servers import serving_mariadb, serving_postgresql

TEXTS = [
    "plain",
    "",
    None,
    "a,b",
    'say "hi"',
    "two\nlines",
    "cr\r\nlf",
    "\\.",
    "\\N",
    "back\\slash",
    "NULL",
    "=1+1",
    "'x'",
    "\ttab",
    "张伟 🎁",
]
COLUMNS = (
    ColumnSpec("t"),
    ColumnSpec("n", ColumnType.NUMBER),
    ColumnSpec("b", ColumnType.BOOLEAN),
    ColumnSpec("d", ColumnType.DATETIME),
)
ROWS: list[Sequence[str | None]] = [
    (
        text,
        None if index % 3 == 0 else str(index),
        [None, "true", "false"][index % 3],
        None if index % 2 else "2025-03-14 09:26:53",
    )
    for index, text in enumerate(TEXTS)
]


def hexed(text: str | None) -> str:
    return "-" if text is None else text.encode().hex()


def put(folder: Path, name: str, data: bytes) -> Path:
    folder.chmod(0o755)
    path = folder / name
    path.write_bytes(data)
    return path


def test_postgresql_loads_every_row_and_null_is_null(tmp_path: Path) -> None:
    whole = put(tmp_path, "whole.csv", write_csv(ROWS, COLUMNS, csv_dialect="postgresql").data)
    one = put(tmp_path, "one.csv", write_csv([(text,) for text in TEXTS], strings("t"), csv_dialect="postgresql").data)
    with serving_postgresql() as query:
        query("create table whole (t text, n numeric, b boolean, d timestamp); create table one (t text);")
        for table, path in (("whole", whole), ("one", one)):
            query(f"\\copy {table} from '{path}' with (format csv, header match)\n")
        shown = "coalesce(encode(convert_to(t, 'UTF8'), 'hex'), '-')"
        assert query(f"select {shown} from one").split("\n")[:-1] == [hexed(text) for text in TEXTS]
        found = query(
            f"select {shown}, coalesce(n::text, '-'), coalesce(b::text, '-'), coalesce(d::text, '-') from whole"
        )
    assert [line.split("|") for line in found.split("\n")[:-1]] == [
        [hexed(text), number or "-", truth or "-", moment or "-"] for text, number, truth, moment in ROWS
    ]


def test_mariadb_loads_every_row_and_null_is_null(tmp_path: Path) -> None:
    whole = put(tmp_path, "whole.csv", write_csv(ROWS, COLUMNS, csv_dialect="mysql").data)
    one = put(tmp_path, "one.csv", write_csv([(text,) for text in TEXTS], strings("t"), csv_dialect="mysql").data)
    with serving_mariadb() as query:
        query("create database x character set utf8mb4; set global sql_mode = 'STRICT_ALL_TABLES'")
        key = "i int auto_increment primary key"
        query(f"create table x.whole ({key}, t text, n decimal(20), b boolean, d datetime)")
        query(f"create table x.one ({key}, t text)")
        loaded = [
            query(
                f"load data local infile '{path}' into table x.{table} character set utf8mb4"
                " fields terminated by ',' optionally enclosed by '\"' lines terminated by '\\n'"
                f" ignore 1 lines ({names})"
            )
            for path, table, names in ((whole, "whole", "t, n, b, d"), (one, "one", "t"))
        ]
        assert loaded == ["", ""]  # a warning would be printed
        shown = "coalesce(lower(hex(t)), '-')"
        assert query(f"select {shown} from x.one order by i").split("\n")[:-1] == [hexed(text) for text in TEXTS]
        found = query(f"select {shown}, coalesce(n, '-'), coalesce(b, '-'), coalesce(d, '-') from x.whole order by i")
    assert [line.split("\t") for line in found.split("\n")[:-1]] == [
        [hexed(text), number or "-", {"true": "1", "false": "0"}.get(truth or "", "-"), moment or "-"]
        for text, number, truth, moment in ROWS
    ]


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        ("excel", b'\xef\xbb\xbfa,b\r\n\'=1,\r\n\\,""\r\n'),
        ("rfc4180", b'a,b\r\n=1,\r\n\\,""\r\n'),
        ("postgresql", b'a,b\n=1,\n\\,""\n'),
        ("mysql", b'a,b\n=1,\\N\n\\\\,""\n'),
    ],
)
def test_a_dialect_decides_mark_line_ends_guard_and_null(dialect: str, expected: bytes) -> None:
    written = write_csv([("=1", None), ("\\", "")], strings("a", "b"), csv_dialect=dialect)
    assert written.data == expected
    plan = table_of([("=1", None), ("\\", "")], strings("a", "b"), csv_dialect=dialect)
    assert len(written.data) <= CSV.size_bound(plan)
