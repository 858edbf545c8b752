"""Programs that are not ours read our CSV files as they were meant."""

from __future__ import annotations

import csv
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sluice.demo.order_table import COLUMNS, order_batches, order_rows
from sluice.domain.options import ExportOptions
from sluice.tables.batch import Batch
from sluice.tables.file_plan import FilePlan, Tally
from sluice.tables.writers.csv.format import CSV
from tests.support.csv_files import Row, strings, write_csv
from tests.support.programs import has, why_not
from tests.support.readers.libre_office import UTF_8, convert

ABC = strings("a", "b", "c")
ROWS: list[Row] = [
    ("1", None, "x"),
    ("2", "", "a,b"),
    ("3", "null", 'say "hi"'),
    ("4", "line\r\nbreak", "张伟 🎁"),
    ("5", " padded ", "=1+1"),
]


def query(path: Path, **options: Any) -> list[tuple[str | None, ...]]:
    """Read a file with DuckDB, every column as text, null only where nothing is written."""
    settings = {"header": True, "all_varchar": True, "nullstr": "", "allow_quoted_nulls": False} | options
    listed = ", ".join(f"{name} = {value!r}" for name, value in settings.items())
    return duckdb.execute(f"SELECT * FROM read_csv('{path}', {listed})").fetchall()


def order_file(path: Path, rows: int, **options: Any) -> Tally:
    table = FilePlan(columns=COLUMNS, options=ExportOptions(**options), rows=rows, size=rows * 200)
    tally = Tally()
    path.write_bytes(b"".join(CSV.write(order_batches(rows), table, tally)))
    return tally


@pytest.mark.parametrize("quote_all", [False, True])
@pytest.mark.parametrize("bom", [False, True])
def test_duckdb_tells_null_from_the_empty_text(tmp_path: Path, *, quote_all: bool, bom: bool) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(write_csv(ROWS, ABC, quote_all=quote_all, csv_bom=bom, formula_guard="off").data)
    assert query(path, quote='"', escape='"', delim=",") == [tuple(row) for row in ROWS]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_duckdb_finds_the_delimiter_by_itself(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(write_csv(ROWS, ABC, csv_delimiter=delimiter, formula_guard="off").data)
    assert query(path) == [tuple(row) for row in ROWS]


@pytest.mark.parametrize(("name", "options"), [("orders.csv", {}), ("orders.csv.gz", {"compression_enabled": True})])
def test_duckdb_reads_the_order_table(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    path = tmp_path / name
    tally = order_file(path, 3_000, **options)
    found = query(path)
    assert found == list(order_rows(3_000))
    assert tally.rows == 3_000
    assert not tally.warnings


def test_the_csv_module_reads_the_order_table_from_disk(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    order_file(path, 3_000)
    with path.open(encoding="utf-8-sig", newline="") as file:
        names, *rows = csv.reader(file, strict=True)
    assert names == [column.name for column in COLUMNS]
    assert [tuple(row) for row in rows] == list(order_rows(3_000))


def test_the_sniffer_of_the_csv_module_sees_an_excel_dialect() -> None:
    text = write_csv([("1", "x,y", "2"), ("2", 'a"b', "3")] * 5, ABC).text
    dialect = csv.Sniffer().sniff(text)
    assert (dialect.delimiter, dialect.quotechar, dialect.doublequote) == (",", '"', True)


@pytest.mark.skipif(not has("gunzip"), reason=why_not("gunzip"))
def test_gunzip_accepts_a_compressed_file(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv.gz"
    order_file(path, 3_000, compression_enabled=True)
    told = subprocess.run(["gunzip", "--test", "--verbose", path], capture_output=True, text=True, check=True)
    assert "OK" in told.stderr
    plain = subprocess.run(["gunzip", "--stdout", path], capture_output=True, check=True).stdout
    order_file(tmp_path / "orders.csv", 3_000)
    assert plain == (tmp_path / "orders.csv").read_bytes()


@pytest.mark.skipif(not has("gunzip"), reason=why_not("gunzip"))
def test_gunzip_accepts_an_empty_compressed_file() -> None:
    table = FilePlan(
        columns=ABC, options=ExportOptions(compression_enabled=True, header=False, csv_bom=False),
        rows=0, size=0,
    )  # fmt: skip
    data = b"".join(CSV.write([Batch.of_rows([], 3)], table, Tally()))
    assert subprocess.run(["gunzip", "--stdout"], input=data, capture_output=True, check=True).stdout == b""


@pytest.mark.parametrize("splits_at", [",", ";", ",;\t", "|"])
def test_no_text_becomes_a_formula_in_libre_office_at_whatever_delimiters_it_splits(
    splits_at: str, tmp_path: Path
) -> None:
    """Live, each of these texts would show 2; with the guard off some do, so that the check can fail."""
    texts = ["=1+1", "x;=1+1;y", "x|=1+1|y", "x\t=1+1\ty", "x,=1+1,y", "x\n=1+1", 'x;"=1+1";y', "=1+1,=1+1"]
    for guard, is_live in (("prefix", False), ("off", True)):
        path = tmp_path / f"{guard}.csv"
        path.write_bytes(write_csv([(text, text) for text in texts], strings("x;=1+1", "b"), formula_guard=guard).data)
        separators = "/".join(str(ord(separator)) for separator in splits_at)
        (sheets,) = convert([path], import_filter=f"CSV:{separators},34,{UTF_8},1,,0,false,true,false")
        (rows,) = sheets.values()
        assert any(cell == "2" for row in rows for cell in row) is is_live
