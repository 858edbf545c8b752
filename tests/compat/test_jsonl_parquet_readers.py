"""Programs that are not ours read our JSON Lines and our Parquet files as they were meant."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sluice.demo.order_table import COLUMNS, order_rows
from sluice.domain.options import ExportFormat
from sluice.domain.schema import ColumnSpec, ColumnType
from tests.support.csv_files import Row, strings
from tests.support.format_files import FormatFiles, read_parquet
from tests.support.naughty_texts import NAUGHTY_TEXTS

JSONL, PARQUET = FormatFiles(ExportFormat.JSONL), FormatFiles(ExportFormat.PARQUET)
ORDERS = list(order_rows(3_000))
NAUGHTY: list[Row] = [(text, None if number % 3 else "", text) for number, text in enumerate(NAUGHTY_TEXTS)]


def expected(row: tuple[str, ...]) -> tuple[Any, ...]:
    """A row of the order table as a program with types sees it."""
    number, order_no, customer, email, amount, quantity, created_at, paid, city, note = row
    moment = datetime.fromisoformat(created_at)
    return (int(number), order_no, customer, email, Decimal(amount), int(quantity), moment, paid == "true", city, note)


def query_json(path: Path) -> list[tuple[Any, ...]]:
    """Let DuckDB find out the columns and their types by itself."""
    with duckdb.connect() as database:
        return database.execute(f"SELECT * FROM read_json('{path}', format = 'newline_delimited')").fetchall()


@pytest.mark.parametrize(("name", "packed"), [("orders.jsonl", False), ("orders.jsonl.gz", True)])
def test_duckdb_finds_the_order_table_in_json_lines(tmp_path: Path, name: str, *, packed: bool) -> None:
    path = tmp_path / name
    path.write_bytes(JSONL.write(ORDERS, COLUMNS, compression_enabled=packed).data)
    found = query_json(path)
    assert [(*row[:4], Decimal(f"{row[4]:.2f}"), *row[5:]) for row in found] == list(map(expected, ORDERS))


@pytest.mark.parametrize("packed", [False, True])
def test_duckdb_finds_the_order_table_in_parquet(tmp_path: Path, *, packed: bool) -> None:
    whole = {"id", "quantity"}
    columns = [ColumnSpec(one.name, one.type, format="0" if one.name in whole else one.format) for one in COLUMNS]
    found = read_parquet(PARQUET.write(ORDERS, columns, compression_enabled=packed).data, tmp_path)
    assert found.rows == list(map(expected, ORDERS))
    text = "VARCHAR"
    types = ["BIGINT", text, text, text, "DECIMAL(38,2)", "BIGINT", "TIMESTAMP", "BOOLEAN", text, text]
    assert list(found.types.values()) == types


def test_naughty_texts_come_back_from_both(tmp_path: Path) -> None:
    columns = strings("a", "b", "c")
    lines = JSONL.write(NAUGHTY, columns).data.decode()
    assert [tuple(json.loads(line).values()) for line in lines.splitlines()] == NAUGHTY
    assert read_parquet(PARQUET.write(NAUGHTY, columns).data, tmp_path).rows == NAUGHTY
    (tmp_path / "a.jsonl").write_text(lines, newline="")
    as_text = "columns = {a: 'VARCHAR', b: 'VARCHAR', c: 'VARCHAR'}"
    with duckdb.connect() as database:
        found = database.execute(f"SELECT * FROM read_json('{tmp_path / 'a.jsonl'}', {as_text})").fetchall()
    assert found == NAUGHTY


@pytest.mark.parametrize("kind", [kind for kind in ColumnType if kind is not ColumnType.STRING])
def test_naughty_texts_in_typed_columns_come_back_as_texts(tmp_path: Path, kind: ColumnType) -> None:
    columns = (ColumnSpec("a"), ColumnSpec("b", kind))
    rows: list[Row] = [("x", text) for text in NAUGHTY_TEXTS]
    found = read_parquet(PARQUET.write(rows, columns, on_invalid="text").data, tmp_path)
    assert found.rows == [("x", text or None) for text in NAUGHTY_TEXTS]
    for line, text in zip(JSONL.write(rows, columns, on_invalid="text").data.splitlines(), NAUGHTY_TEXTS, strict=True):
        value = json.loads(line)["b"]
        assert value in (text, text.replace(" ", "T")) or not isinstance(value, str)
