"""Data frames go as they are: their columns, their types, and what is missing in them."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from sluice.client import Client, SluiceApiError
from sluice.client.frames import Table
from tests.support.http_client import http_relay

NOON = dt.datetime.fromisoformat("2026-11-30T12:00:00.250000")
COLUMNS: dict[str, list[Any]] = {
    "id": [1, 2, 9_007_199_254_740_993],
    "客户": ["Zoë", None, '😀, "q"'],
    "paid": [True, None, False],
    "amount": [0.5, None, 3.25],
    "exact": [Decimal("12345678901234567.89"), None, Decimal("-1.10")],
    "day": [dt.date(2026, 11, 30), None, dt.date(1999, 1, 2)],
    "at": [NOON, None, NOON],
}
TYPES = ["number", "string", "boolean", "number", "number", "date", "datetime"]
CSV = (
    "id,客户,paid,amount,exact,day,at\r\n"
    "1,Zoë,true,0.5,12345678901234567.89,2026-11-30,2026-11-30T12:00:00.250000\r\n"
    "2,,,,,,\r\n"
    '9007199254740993,"😀, ""q""",false,3.25,-1.10,1999-01-02,2026-11-30T12:00:00.250000\r\n'
)

FRAMES: dict[str, Any] = {
    "pandas": lambda: pd.DataFrame({**COLUMNS, "at": pd.to_datetime(COLUMNS["at"])}, index=[7, 8, 9]),
    "pandas of numpy": lambda: pd.DataFrame(COLUMNS).astype({"paid": "boolean", "客户": "str"}),
    "pandas of Arrow": lambda: pa.table(COLUMNS).to_pandas(types_mapper=pd.ArrowDtype),
    "polars": lambda: pl.DataFrame(COLUMNS),
    "arrow table": lambda: pa.table(COLUMNS),
    "arrow batch": lambda: pa.RecordBatch.from_pydict(COLUMNS),
    "arrow reader": lambda: pa.table(COLUMNS).to_reader(max_chunksize=2),
}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with http_relay(tmp_path / "service") as relay, Client(relay.url, relay.memory.token()) as made:
        yield made


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_is_the_file_of_its_columns_and_rows(client: Client, tmp_path: Path, name: str) -> None:
    table = Table.of(FRAMES[name](), None)
    assert [column["type"] for column in table.columns] == TYPES
    export = client.send_table(FRAMES[name](), format="csv", options={"formula_guard": "off"})
    assert export.wait().rows_written == 3
    export.save_to(tmp_path / "frame.csv")
    assert (tmp_path / "frame.csv").read_bytes().decode("utf-8-sig") == CSV


NUMBERS = [0.1, None, 2.7, 16_777_216.0]
SINGLES: dict[str, Any] = {
    "pandas": lambda: pd.DataFrame({"a": pd.Series(NUMBERS, dtype="float32"), "b": NUMBERS}),
    "pandas with NA": lambda: pd.DataFrame({"a": pd.Series(NUMBERS, dtype="Float32"), "b": NUMBERS}),
    "polars": lambda: pl.DataFrame({"a": NUMBERS, "b": NUMBERS}, schema={"a": pl.Float32, "b": pl.Float64}),
    "arrow": lambda: pa.table({"a": pa.array(NUMBERS, pa.float32()), "b": NUMBERS}),
}


@pytest.mark.parametrize("name", SINGLES)
def test_numbers_of_32_bits_have_the_digits_that_they_show(name: str) -> None:
    rows = [tuple(row) for row in Table.of(SINGLES[name](), None).rows]
    assert rows == [(number, number) for number in NUMBERS]


@pytest.mark.parametrize("library", ["pandas", "polars", "arrow"])
def test_a_long_frame_is_read_part_by_part(client: Client, library: str) -> None:
    columns = {"id": range(12_345), "odd": [number % 2 == 1 for number in range(12_345)]}
    frames = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "arrow": pa.table}
    export = client.send_table(frames[library](columns), format="csv")
    status = export.wait()
    assert (status.rows_written, status.batches) == (12_345, 3)


def test_frames_are_sheets_beside_other_rows(client: Client) -> None:
    sheets = {"A": pl.DataFrame({"x": [1, 2]}), "B": ([["y"]], ["name"]), "C": pd.DataFrame({"z": []})}
    status = client.send_sheets(sheets, filename="three").wait()
    assert dict(status.sheets) == {"A": 2, "B": 1, "C": 0}


def test_columns_that_are_given_are_those_of_the_file(client: Client, tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1], "x2": ["a"]})
    export = client.send_table(frame, format="csv", columns={"Order": "string", "Name": "string"})
    export.wait()
    export.save_to(tmp_path / "named.csv")
    assert (tmp_path / "named.csv").read_text("utf-8-sig").splitlines() == ["Order,Name", "1,a"]


@pytest.mark.parametrize(
    ("frame", "row", "column"),
    [
        (pd.DataFrame({"a": [1, 2], "b": [1.0, float("inf")]}), 2, "b"),
        (pd.DataFrame({"d": [pd.Timedelta(days=1)]}), 1, "d"),
        (pl.DataFrame({"a": [[1]]}), 1, "a"),
        (pa.table({"a": [None, b"\x00"]}), 2, "a"),
    ],
)
def test_what_no_cell_holds_is_named_by_its_place(client: Client, frame: Any, row: int, column: str) -> None:
    with pytest.raises(SluiceApiError) as caught:
        client.send_table(frame, format="csv")
    assert (caught.value.code, caught.value.facts["row"], caught.value.facts["column"]) == (
        "INVALID_VALUE",
        row,
        column,
    )
    assert [status.state for status in client.list()] == ["cancelled"]


def test_only_a_frame_says_its_columns(client: Client) -> None:
    with pytest.raises(ValueError, match="columns are missing"):
        client.send_table([[1]], format="csv")


def test_no_library_is_imported_for_it() -> None:

    script = "import sys, sluice.client; print({'pandas', 'polars', 'pyarrow', 'numpy', 'asyncio'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
