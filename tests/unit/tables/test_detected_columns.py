"""What a column whose type was detected does with a value that its cells would show otherwise than it was sent."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from sluice.domain.errors import ErrorCode
from sluice.domain.options import ExportFormat
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch
from sluice.tables.file_plan import Tally
from sluice.tables.values.cell_checks import type_check
from sluice.tables.values.type_detection import detect_types
from tests.support.csv_files import Row, read_csv
from tests.support.format_files import FormatFiles, read_parquet, refusal
from tests.support.xlsx_tables import Written, raw_values

XLSX, CSV, JSONL, PARQUET = map(
    FormatFiles, (ExportFormat.XLSX, ExportFormat.CSV, ExportFormat.JSONL, ExportFormat.PARQUET)
)
LATER = [
    (ColumnType.NUMBER, "", "1E5"),
    (ColumnType.NUMBER, "", "1e5"),
    (ColumnType.NUMBER, "", "+4915123"),
    (ColumnType.NUMBER, "", "007"),
    (ColumnType.NUMBER, "", "1.10"),
    (ColumnType.NUMBER, "", "-0"),
    (ColumnType.NUMBER, "", "5901234123457"),
    (ColumnType.NUMBER, "", "0.00001"),
    (ColumnType.NUMBER, "", "12345678901234567890"),
    (ColumnType.NUMBER, "", " 1"),
    (ColumnType.NUMBER, "", "1,000"),
    (ColumnType.NUMBER, "", "50%"),
    (ColumnType.NUMBER, "", "NaN"),
    (ColumnType.NUMBER, "", "inf"),
    (ColumnType.NUMBER, "", "\u0661"),
    (ColumnType.NUMBER, "", "true"),
    (ColumnType.NUMBER, "0", "1.5"),
    (ColumnType.NUMBER, "0", "1234567890123456"),
    (ColumnType.NUMBER, "0.00", "1.5"),
    (ColumnType.NUMBER, "0.00", "1"),
    (ColumnType.NUMBER, "0.00", "-0.00"),
    (ColumnType.NUMBER, "0.0#############", "1.50"),
    (ColumnType.DATE, "", "2025-03-14 09:26"),
    (ColumnType.DATE, "", "2025-03-14T01:00:00+08:00"),
    (ColumnType.DATE, "", "2025-02-29"),
    (ColumnType.DATE, "", "20250314"),
    (ColumnType.DATETIME, "", "2025-03-14"),
    (ColumnType.DATETIME, "", "2025-03-14 09:26"),
    (ColumnType.DATETIME, "", "2025-03-14 09:26:53.000"),
    (ColumnType.DATETIME, "", "2025-03-14 09:26:53.1234567"),
    (ColumnType.DATETIME, "", "2025-03-14T01:00:00+08:00"),
    (ColumnType.DATETIME, "", "2025-03-14T01:00:00Z"),
    (ColumnType.DATETIME, 'yyyy-mm-dd hh:mm:ss"Z"', "2025-03-14T01:00:00"),
    (ColumnType.DATETIME, 'yyyy-mm-dd hh:mm:ss"Z"', "2025-03-14T01:00:00+00:00"),
    (ColumnType.BOOLEAN, "", "on"),
    (ColumnType.BOOLEAN, "", "1"),
    (ColumnType.BOOLEAN, "", "t"),
    (ColumnType.BOOLEAN, "", "yes"),
    (ColumnType.BOOLEAN, "", "tRUE"),
    (ColumnType.BOOLEAN, "", "fal\u017fe"),
]
FIRST = {
    (ColumnType.NUMBER, ""): "7",
    (ColumnType.NUMBER, "0"): "5901234123457",
    (ColumnType.NUMBER, "0.00"): "1.10",
    (ColumnType.NUMBER, "0.0#############"): "1.0",
    (ColumnType.DATE, ""): "2024-02-29",
    (ColumnType.DATETIME, ""): "2024-02-29 09:26:53",
    (ColumnType.DATETIME, 'yyyy-mm-dd hh:mm:ss"Z"'): "2024-02-29T09:26:53Z",
    (ColumnType.BOOLEAN, ""): "True",
}


def detected_column(kind: ColumnType, code: str) -> ColumnSpec:
    """As the first row of such a column gives it."""
    (column,) = detect_types(("a",), Batch.of_columns([[FIRST[kind, code]]], 1))
    assert (column.type, column.format, column.detected) == (kind, code, True)
    return column


def is_none_of_its_type(column: ColumnSpec, text: str) -> bool:
    check = type_check(column)
    return check is not None and check.is_odd(text)


def is_text_cell(workbook: bytes, row: int) -> bool:
    (found,) = re.findall(rf'<c r="A{row}"([^>]*)>', Written(workbook, Tally()).sheet_xml())
    return 't="inlineStr"' in found


KEPT = [
    (*case, on_invalid)
    for case in LATER
    for on_invalid in ("error", "text", "null")
    if on_invalid == "text" or not is_none_of_its_type(ColumnSpec("a", case[0]), case[2])
]
"""What is no value of the type at all is refused, or null, or kept, as in a declared column."""


@pytest.mark.parametrize(("kind", "code", "later", "on_invalid"), KEPT)
def test_a_later_value_that_would_be_shown_otherwise_is_text_and_counted(
    kind: ColumnType, code: str, later: str, on_invalid: str
) -> None:
    column, first = detected_column(kind, code), FIRST[kind, code]
    rows: list[Row] = [[first, "z"], [later, "z"], [first, "z"], [None, "z"], ["", "z"]]
    columns = (column, ColumnSpec("z"))
    options: dict[str, Any] = {"on_invalid": on_invalid, "formula_guard": "off"}
    counted = {"invalid_as_text": 1}

    workbook = XLSX.write(rows, columns, **options)
    values = raw_values(Written(workbook.data, workbook.tally))
    assert (values[0], values[1], values[2:]) == (values[2], later, [values[0], None, None])
    assert [is_text_cell(workbook.data, row) for row in (2, 3, 4)] == [False, True, False]
    lines = CSV.write(rows, columns, **options)
    assert [row[0] for row in read_csv(lines.data)[1:]] == [first, later, first, "", ""]
    objects = JSONL.write(rows, columns, **options)
    read = [json.loads(line)["a"] for line in objects.data.splitlines()]
    assert (read[1], read[2:]) == (later, [read[0], None, None])
    assert [dict(file.tally.warnings) for file in (workbook, lines, objects)] == [counted] * 3


@pytest.mark.parametrize(("kind", "code", "later"), LATER)
def test_a_parquet_file_has_a_later_number_as_it_was_sent_and_refuses_another_form_of_anything_else(
    tmp_path: Path, kind: ColumnType, code: str, later: str
) -> None:
    column, first = detected_column(kind, code), FIRST[kind, code]
    is_invalid = is_none_of_its_type(column, later)
    if kind is ColumnType.NUMBER and not is_invalid:
        PARQUET.check_rows_of([[first], [later]], (column,))
        written = PARQUET.write([[first], [later]], (column,))
        assert read_parquet(written.data, tmp_path).rows == [(first,), (later,)]
        return
    for refuse in (PARQUET.check_rows_of, PARQUET.write):
        error = refusal(lambda refuse=refuse: refuse([[first], [later]], (column,)))  # type: ignore[misc]
        assert (error.code, error.facts["row"]) == (ErrorCode.INVALID_VALUE, 2)
        assert (error.facts.get("reason") in {"form", "time_of_day", "fraction"}) is not is_invalid
    kept = PARQUET.write([[first], [later]], (column,), on_invalid="text")
    assert read_parquet(kept.data, tmp_path).rows == [(first,), (later,)]
    assert dict(kept.tally.warnings) == {"invalid_as_text": 1}


@pytest.mark.parametrize(("kind", "code"), FIRST)
def test_what_a_detected_column_takes_stands_in_the_file_as_in_a_declared_one(kind: ColumnType, code: str) -> None:
    column = replace(detected_column(kind, code), width=12)
    cells: list[Row] = [[FIRST[kind, code]], [None], [FIRST[kind, code]], [""]]
    for files in (XLSX, JSONL):
        declared = files.write(cells, (replace(column, detected=False),))
        assert files.write(cells, (column,)).data == declared.data


def test_a_day_that_no_cell_shows_is_text_as_in_a_declared_column_and_a_day_in_parquet(tmp_path: Path) -> None:
    column, rows = detected_column(ColumnType.DATE, ""), [["2024-02-29"], ["1899-12-31"]]
    workbook = XLSX.write(rows, (column,))
    assert raw_values(Written(workbook.data, workbook.tally)) == ["45351", "1899-12-31"]
    assert dict(workbook.tally.warnings) == {"date_as_text": 1}
    PARQUET.check_rows_of(rows, (column,))
    assert [str(day) for (day,) in read_parquet(PARQUET.write(rows, (column,)).data, tmp_path).rows] == [
        "2024-02-29",
        "1899-12-31",
    ]


def test_mysql_reads_a_detected_boolean_as_the_number_it_knows() -> None:
    columns = (detected_column(ColumnType.BOOLEAN, ""), ColumnSpec("z"))
    written = CSV.write([["TRUE", "z"], ["false", "z"], ["on", "z"]], columns, csv_dialect="mysql")
    assert [row[0] for row in read_csv(written.data)[1:]] == ["1", "0", "on"]
    assert dict(written.tally.warnings) == {"invalid_as_text": 1}


@pytest.mark.parametrize("name", list(ExportFormat))
@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ColumnType.NUMBER, "#,##0"),
        (ColumnType.DATE, "dd.mm.yyyy"),
        (ColumnType.DATETIME, "dd.mm.yyyy hh:mm"),
        (ColumnType.BOOLEAN, "yes/no"),
    ],
)
def test_a_format_that_shows_no_value_as_it_was_sent_is_none_of_a_detected_column(
    name: ExportFormat, kind: ColumnType, code: str
) -> None:
    columns = (ColumnSpec("a", kind, format=code, detected=True),)
    error = refusal(lambda: FormatFiles(name).check_table(columns))
    assert (error.code, error.facts) == (ErrorCode.INVALID_REQUEST, {"field": "columns[0].format"})


def test_a_time_that_ends_in_the_mark_of_utc_stays_text_where_another_zone_is_chosen() -> None:
    column = detected_column(ColumnType.DATETIME, 'yyyy-mm-dd hh:mm:ss"Z"')
    written = XLSX.write([["2025-03-14T01:00:00Z"]], (column,), timezone="Asia/Shanghai")
    assert raw_values(Written(written.data, written.tally)) == ["2025-03-14T01:00:00Z"]
