"""Values at the edges of their types, in both formats, as two programs read them that share no code with ours."""

# ruff: noqa: DTZ001 -- cells have no time zone

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch
from sluice.tables.file_plan import Warned
from sluice.tables.formats import FORMATS
from tests.support.csv_files import read_csv, strings, write_csv
from tests.support.xlsx_tables import Written, columns_of, raw_values, write_column, write_xlsx

NUMBER, DATETIME, DATE = ColumnType.NUMBER, ColumnType.DATETIME, ColumnType.DATE
BOTH = (ExportFormat.XLSX, ExportFormat.CSV)


def by_both(written: Written) -> list[list[Any]]:
    """The first column below the header by openpyxl and by calamine."""
    return [[row[0] for row in rows[1:]] for rows in (written.openpyxl_rows(), written.calamine_rows())]


def csv_by_both(folder: Path, kind: ColumnType, values: Sequence[str], column_format: str = "") -> list[list[Any]]:
    """The first column of a CSV file, by the csv module and by DuckDB, as text."""
    columns = (ColumnSpec("v", kind, format=column_format), ColumnSpec("end"))
    path = folder / "values.csv"
    path.write_bytes(write_csv([(value, "end") for value in values], columns).data)
    found = duckdb.sql(f"SELECT v FROM read_csv('{path}', all_varchar = true)").fetchall()
    return [[row[0] for row in read_csv(path.read_bytes())[1:]], [row[0] for row in found]]


def is_refused(kind: ColumnType, value: str) -> bool:
    """Whether both formats refuse the value where it was sent, with its place."""
    answers: list[tuple[ErrorCode, object, object] | None] = []
    for file_format in BOTH:
        batch = Batch.of_columns([[None, value]], 2)
        try:
            FORMATS[file_format].check_batch(batch, columns_of(kind), ExportOptions(), Limits())
            answers.append(None)
        except SluiceError as error:
            answers.append((error.code, error.facts["row"], error.facts["column"]))
    assert answers in ([None, None], [(ErrorCode.INVALID_VALUE, 2, "c1")] * 2)
    return answers[0] is not None


NUMBERS = [
    *("0", "-0", "-0.0", "1", "1.50", "1e5", "1E+5", "1e+0005", "0e-400", "0.0e999999"),
    *("123456789012345", "-999999999999999", "1.23456789012345000000", "123456789012345e-3", "9.99999999999999e307"),
    *("0.000000000000001", "2.2250738585073e-308"),
]
LOST_BY_A_DOUBLE = [
    *("1234567890123456", "12345678901234567", "123456789012345000000", "1.234567890123456", "1.2345678901234567e5"),
    *("1234567890123456e-3", "007", "-007", "00.5", "00", "+012", "1e-400", "2e-308", "1" * 300),
]
NO_NUMBERS = [
    *("NaN", "Infinity", "-inf", "1,000", "1_000", "1 000", "0x10", "0b1", ".5", "5.", "1e", "1e5.0", "--1", "+-1"),
    *("\u0661\u0662\u0663", "\uff11", "1e309", "-1e309", "1\u00a0", "\u22121", "1/2", "50%", "$5", "\u00bd"),
]


def test_a_number_is_a_number_with_exactly_the_digits_sent(tmp_path: Path) -> None:
    assert not any(is_refused(NUMBER, value) for value in NUMBERS)
    written = write_column(NUMBER, NUMBERS)
    assert raw_values(written) == NUMBERS
    assert by_both(written) == [[float(value) for value in NUMBERS]] * 2
    assert not written.warnings
    assert csv_by_both(tmp_path, NUMBER, NUMBERS) == [NUMBERS] * 2


def test_a_number_of_more_than_15_digits_or_with_leading_zeros_is_text_and_counted(tmp_path: Path) -> None:
    assert not any(is_refused(NUMBER, value) for value in LOST_BY_A_DOUBLE)
    written = write_column(NUMBER, LOST_BY_A_DOUBLE)
    assert by_both(written) == [LOST_BY_A_DOUBLE] * 2
    assert written.warnings == {Warned.NUMBER_AS_TEXT: len(LOST_BY_A_DOUBLE)}
    assert csv_by_both(tmp_path, NUMBER, LOST_BY_A_DOUBLE) == [LOST_BY_A_DOUBLE] * 2


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_what_is_no_number_is_refused_in_every_format(value: str) -> None:
    assert is_refused(NUMBER, value)


@pytest.mark.parametrize("digits", range(1, 10))
@pytest.mark.parametrize("offset", ["", "Z", "+08:00"])
def test_digits_of_a_second_that_a_cell_does_not_hold_are_counted(digits: int, offset: str) -> None:
    text = f"2025-03-14 09:26:53.{'123456789'[:digits]}{offset}"
    written = write_column(DATETIME, [text, f"2025-03-14 09:26:53.120000000{offset}", "2025-03-14 09:26:53"])
    assert written.warnings == ({Warned.TIME_SHORTENED: 1} if digits > 6 else {})
    hours = 8 if offset == "+08:00" else 0
    sent = datetime.fromisoformat(f"2025-03-14 09:26:53.{'123456'[:digits]:0<6}") - timedelta(hours=hours)
    for values in by_both(written):
        assert abs(values[0] - sent) <= timedelta(milliseconds=1)


def test_a_time_in_the_last_millisecond_of_a_day_stays_in_its_day_and_is_counted() -> None:
    texts = ["2025-03-14 23:59:59.99945", "2025-03-14 23:59:59.999999", "2025-03-14 23:59:59.999"]
    written = write_column(DATETIME, texts)
    assert by_both(written) == [[datetime(2025, 3, 14, 23, 59, 59, 999_000)] * 3] * 2
    assert written.warnings == {Warned.TIME_SHORTENED: 2}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2025-03-14T09:26:53+14:00", datetime(2025, 3, 13, 19, 26, 53)),
        ("2025-03-14T09:26:53-00:00", datetime(2025, 3, 14, 9, 26, 53)),
        ("2025-03-14T09:26:53-12:00", datetime(2025, 3, 14, 21, 26, 53)),
        ("9999-12-31T23:59:59+01:00", datetime(9999, 12, 31, 22, 59, 59)),
        ("9999-12-31T23:59:59-01:00", "9999-12-31T23:59:59-01:00"),
        ("1900-01-01T00:00:00-01:00", datetime(1900, 1, 1, 1)),
        ("1900-01-01T00:00:00+01:00", "1900-01-01T00:00:00+01:00"),
        ("1900-02-28T23:30:00-01:00", datetime(1900, 3, 1, 0, 30)),
        ("1900-03-01T00:30:00+01:00", datetime(1900, 2, 28, 23, 30)),
        ("1904-01-01", datetime(1904, 1, 1)),
        ("1904-02-29", datetime(1904, 2, 29)),
    ],
)
def test_an_offset_that_leaves_the_calendar_of_a_spreadsheet_gives_text(text: str, shown: datetime | str) -> None:
    written = write_column(DATETIME, [text, "2025-03-14 12:00"])
    for values in by_both(written):
        assert datetime.fromisoformat(str(values[0])) == shown if isinstance(shown, datetime) else values[0] == shown
    assert written.warnings == ({Warned.DATE_AS_TEXT: 1} if isinstance(shown, str) else {})


@pytest.mark.parametrize(
    "value",
    [
        *("2016-12-31 23:59:60", "2016-12-31T23:59:60Z", "2016-12-31 24:00:00", "1900-02-29", "1900-02-29 12:00"),
        *("2025-03-14T09:26:53.1234567890", "2025-03-14 09:26:53,5", "2025-03-14T09:26:53z", "2025-03-14 09:26:53."),
        *("20250314", "2025-3-14", "14.03.2025", "03/14/2025", "2025-W11-5", "2025-073", "09:26:53", "2025-03-14T09"),
        *("2025-03-14T09:26:53+24:00", "2025-03-14T09:26:53 +08:00", "2025-03-14Z", "\u0662\u0660\u0662\u0665-03-14"),
    ],
)
def test_what_is_no_iso_date_is_refused_in_every_format(value: str) -> None:
    assert is_refused(DATE, value)
    assert is_refused(DATETIME, value)


def test_a_csv_date_by_its_format_is_one_in_every_year_of_four_digits(tmp_path: Path) -> None:
    sent = ["1850-01-02", "1899-12-31", "1900-02-28", "1900-03-01", "0001-01-01", "9999-12-31"]
    shown = ["02/01/1850", "31/12/1899", "28/02/1900", "01/03/1900", "01/01/0001", "31/12/9999"]
    assert csv_by_both(tmp_path, DATE, sent, "dd/mm/yyyy") == [shown] * 2


CUT = 32_767


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("x" * (CUT - 1) + "\U0001f600", "x" * (CUT - 1)),
        ("x" * (CUT - 2) + "\U0001f600y", "x" * (CUT - 2) + "\U0001f600"),
        ("x" * (CUT - 6) + "_x0041_", "x" * (CUT - 6) + "_x0041"),
        ("_x0041_" * 4_681 + "ab", "_x0041_" * 4_681),
        ("x" * (CUT - 1) + "\r\n", "x" * (CUT - 1) + "\r"),
        ("\ufeff" + "x" * CUT, "\ufeff" + "x" * (CUT - 1)),
        ("=" * (CUT + 5), "=" * CUT),
    ],
)
def test_a_text_is_cut_between_two_characters_and_counted(text: str, kept: str) -> None:
    written = write_column(ColumnType.STRING, [text, "after"], on_too_long="cut")
    assert by_both(written) == [[kept, "after"]] * 2
    assert written.warnings == {Warned.TEXT_CUT: 1}


EAST_ASIAN = {
    "gbk": ("gbk", "|^"),
    "gb18030": ("gb18030", "|5"),
    "big5": ("cp950", "|\\"),
    "shift_jis": ("cp932", "|^"),
    "euc-kr": ("cp949", "AZ"),
}
"""Encodings, and delimiters that are the second byte of some of their characters."""


@pytest.mark.parametrize("encoding", EAST_ASIAN)
def test_a_reader_that_splits_bytes_finds_a_delimiter_only_where_one_is(encoding: str) -> None:
    codec, delimiters = EAST_ASIAN[encoding]
    texts = [*"育功許蓋表能亅乗誀", *map(chr, range(0x4E00, 0x5400)), *map(chr, range(0xAC00, 0xB000))]
    texts = [text for text in texts if text.encode(codec, "replace") != b"?"]
    for delimiter in delimiters:
        options: dict[str, Any] = {"csv_encoding": encoding, "csv_delimiter": delimiter}
        written = write_csv([(text, "z") for text in texts], strings("n", "m"), **options)
        by_bytes = read_csv(written.data, encoding="latin-1", delimiter=delimiter)
        by_characters = read_csv(written.data, encoding=codec, delimiter=delimiter)
        assert [[cell.encode("latin-1").decode(codec) for cell in row] for row in by_bytes] == by_characters
        assert len(by_characters) == len(texts) + 1
        lines = written.data.split(b"\r\n")[1:-1]
        inside = [delimiter.encode() in line.removesuffix(delimiter.encode() + b"z").strip(b'"') for line in lines]
        assert [line.startswith(b'"') for line in lines] == inside  # quotes only where they are needed
        assert any(inside)
        assert not all(inside)


def test_a_header_is_guarded_and_quoted_like_any_text(tmp_path: Path) -> None:
    names = ["=1+1", "＋x", 'say "hi"', "two\nlines", "a,b", "-5", "@x", "", "\ttab", "ok"]  # noqa: RUF001 -- full-width
    columns = (*(ColumnSpec(name, NUMBER) for name in names),)
    written = write_xlsx(columns, [["1"] * len(names)])
    assert [written.openpyxl_rows()[0], written.calamine_rows()[0]] == [
        [name or None for name in names],
        names,
    ]
    assert [cell.data_type for cell in written.openpyxl_sheets()[0][1]] == ["s"] * 7 + ["n"] + ["s"] * 2
    made = write_csv([["1"] * len(names)], columns)
    guarded = ["'=1+1", "'＋x", *names[2:5], "'-5", "'@x", "", "'\ttab", "ok"]  # noqa: RUF001 -- full-width
    path = tmp_path / "names.csv"
    path.write_bytes(made.data)
    by_polars = pl.read_csv(path, has_header=False, infer_schema=False).row(0)
    assert [read_csv(made.data)[0], [name or "" for name in by_polars]] == [guarded] * 2
    assert made.tally.warnings == {Warned.FORMULA_GUARDED: 5}
