"""How values of each type read in a CSV file, and what is counted."""

from __future__ import annotations

from collections import Counter
from datetime import UTC
from typing import Any

import pytest

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import Limits
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.file_plan import Warned
from sluice.tables.values.date_texts import DateTexts
from sluice.tables.writers.csv.format import CSV
from tests.support.csv_files import check_rows_of, one, params_of, strings, write_csv, write_values

NUMBER, DATE, DATETIME, BOOLEAN = ColumnType.NUMBER, ColumnType.DATE, ColumnType.DATETIME, ColumnType.BOOLEAN
FULL_WIDTH = ["\uff1d", "\uff0b", "\uff0d", "\uff20"]


def guarded(*cells: str, kind: ColumnType = ColumnType.STRING, **options: Any) -> tuple[list[str], int]:
    """The cells as a reader sees them, and how many the writer says it guarded."""
    written = write_csv([("a", cell, "z") for cell in cells], one(kind), header=False, **options)
    return write_values(kind, *cells, **options), written.tally.warnings[Warned.FORMULA_GUARDED]


def test_numbers_are_the_digits_as_sent() -> None:
    values = ["1", "1.0", "-5", "+5", "00123", "1e5", "-1E-320", "12345678901234567890", "9007199254740993", "-0.0"]
    assert write_values(NUMBER, *values) == values
    assert write_values(NUMBER, *values, column_format="0.00") == values


@pytest.mark.parametrize("start", [*"=+-@\t\r\n", *FULL_WIDTH])
def test_row_51_text_that_starts_a_formula_gets_an_apostrophe(start: str) -> None:
    cell = f"{start}1+1"
    assert guarded(cell, "x", f"x{cell}", start) == ([f"'{cell}", "x", f"x{cell}", f"'{start}"], 2)
    assert guarded(cell, formula_guard="off") == ([cell], 0)


def test_row_51_a_cell_is_guarded_wherever_it_stands_in_its_column() -> None:
    rows = [("=a", "x", "=b"), ("x", "=c", "x"), ("=d", "x", "=e")]
    written = write_csv(rows, strings("a", "b", "c"), header=False)
    assert written.text == "'=a,x,'=b\r\nx,'=c,x\r\n'=d,x,'=e\r\n"
    assert written.tally.warnings == {Warned.FORMULA_GUARDED: 5}


def test_row_51_numbers_are_left_alone() -> None:
    assert guarded("-5", "+5", "-1.5e-7", "-0", kind=NUMBER) == (["-5", "+5", "-1.5e-7", "-0"], 0)


def test_row_51_text_that_was_kept_in_a_column_of_another_type_is_guarded() -> None:
    values = ["-5", "-5+cmd", "=1", "-", "--1", "-1e", "+1.", "-1 ", "1", ""]
    expected = ["-5", "'-5+cmd", "'=1", "'-", "'--1", "'-1e", "'+1.", "'-1 ", "1", ""]
    assert guarded(*values, kind=NUMBER, on_invalid="text") == (expected, 7)
    for kind in (DATE, DATETIME, BOOLEAN):
        assert guarded("=1", "-2", kind=kind, on_invalid="text") == (["'=1", "'-2"], 2)


def test_row_51_the_guard_does_not_trust_the_check_of_another_task() -> None:
    """Chunks taken by one task may be rendered by another with ``on_invalid: error``."""
    assert guarded("=1", "-2", "-x", kind=NUMBER) == (["'=1", "-2", "'-x"], 2)


def test_row_51_column_names_are_guarded() -> None:
    written = write_csv([], strings("=1+1", "b", "-x"))
    assert written.text == "'=1+1,b,'-x\r\n"
    assert written.tally.warnings == {Warned.FORMULA_GUARDED: 2}
    assert write_csv([], strings("=1"), formula_guard="off").text == "=1\r\n"


def test_row_51_a_declared_word_or_format_is_guarded_too() -> None:
    assert write_values(BOOLEAN, "true", "0", column_format="=1/+2") == ["'=1", "'+2"]
    assert write_values(DATE, "2025-03-14", column_format='"="yyyy') == ["'=2025"]


def test_a_guarded_cell_is_quoted_when_it_needs_quotes() -> None:
    written = write_csv([("=a,b", "\r\n"), ('="', "x")], strings("a", "b"), header=False)
    assert written.text == '"\'=a,b","\'\r\n"\r\n"\'=""",x\r\n'


@pytest.mark.parametrize(
    ("column_format", "expected"),
    [("", ["true", "false", ""]), ("yes/no", ["yes", "no", ""]), ("是/否", ["是", "否", ""]), ("x/", ["x", "", ""])],
)
def test_row_58_booleans_are_words_whatever_form_they_were_sent_in(column_format: str, expected: list[str]) -> None:
    true, false, null = expected
    sent = ["true", "TRUE", "1", "yes", "false", "False", "0", "no", None]
    assert write_values(BOOLEAN, *sent, column_format=column_format) == [true] * 4 + [false] * 4 + [null]


def test_row_58_null_empty_and_false_are_three_different_things() -> None:
    rows = [(None, "false"), ("", "0"), ("x", None)]
    columns = (ColumnSpec("text"), ColumnSpec("flag", BOOLEAN))
    assert write_csv(rows, columns, header=False).text == ',false\r\n"",false\r\nx,\r\n'


def test_booleans_in_their_standard_words_are_left_as_sent() -> None:
    sent = ["true", "false", "true", None, "false"]
    assert write_values(BOOLEAN, *sent) == ["true", "false", "true", "", "false"]


def test_dates_without_a_format_are_as_sent() -> None:
    sent = [
        "2025-03-14",
        "2025-03-14T09:26:53.123456+08:00",
        "2024-02-29 23:59",
        "1899-12-31",
        "10000-01-01",
        "0001-01-01",
    ]
    assert write_values(DATETIME, *sent, timezone="Asia/Shanghai") == sent


@pytest.mark.parametrize(
    ("column_format", "expected"),
    [
        ("yyyy-mm-dd", "2025-03-04"),
        ("yyyy-mm-dd hh:mm:ss", "2025-03-04 09:06:05"),
        ("d/m/yy h:m:s", "4/3/25 9:6:5"),
        ("DD.MM.YYYY HH:MM", "04.03.2025 09:06"),
        ("mm:ss", "06:05"),
        ("hh mm", "09 06"),
        ("mm/dd hh", "03/04 09"),
        ("mmm d, yyyy", "Mar 4, 2025"),
        ("dddd, mmmm d", "Tuesday, March 4"),
        ("ddd mmmmm", "Tue M"),
        ("h:mm AM/PM", "9:06 AM"),
        ("hhh:mmm AM/PM", "09:Mar AM"),
        ("ss.000", "05.123"),
        ("ss.0000000", "05.1234560"),
        ('yyyy"年"m"月"d"日"', "2025年3月4日"),
        ("yyyy年mm月dd日", "2025年03月04日"),
        ("yyyy\\mdd", "2025m04"),
        ("[$-804]yyyy-mm-dd;@", "2025-03-04"),
        ("[Red]yyyy_-*x", "2025 "),
        ("hh:mm yyyy-mm-dd", "09:06 2025-03-04"),
        ("yyyy hh yyyy", "2025 09 2025"),
        ("上午/下午 h", "上午 9"),
    ],
)
def test_a_date_is_written_by_its_columns_format(column_format: str, expected: str) -> None:
    CSV.check_table(params_of(one(DATETIME, column_format)), Limits())
    values = ["2025-03-04 09:06:05.123456", "2025-03-04T09:06:05.123456Z", None]
    assert write_values(DATETIME, *values, column_format=column_format) == [expected, expected, ""]
    assert write_values(DATETIME, values[0], column_format=column_format) == [expected]


@pytest.mark.parametrize(
    ("sent", "expected"), [("00:05", "12:05 AM"), ("11:59", "11:59 AM"), ("12:00", "12:00 PM"), ("23:00", "11:00 PM")]
)
def test_half_days(sent: str, expected: str) -> None:
    assert write_values(DATETIME, f"2025-01-01 {sent}", column_format="hh:mm AM/PM") == [expected]


def test_a_date_without_a_time_is_midnight_and_a_time_can_be_left_out() -> None:
    assert write_values(DATETIME, "2024-02-29", column_format="yyyy-mm-dd hh:mm:ss") == ["2024-02-29 00:00:00"]
    assert write_values(DATE, "2024-02-29T23:59:59", column_format="dd.mm.yyyy") == ["29.02.2024"]


def test_row_57_an_offset_is_shown_in_the_declared_zone() -> None:
    sent = ["2025-03-14T23:30:00Z", "2025-03-14 23:30:00", "2025-07-01T00:00+02:00"]
    shown = write_values(DATETIME, *sent, column_format="yyyy-mm-dd hh:mm", timezone="Asia/Shanghai")
    assert shown == ["2025-03-15 07:30", "2025-03-14 23:30", "2025-07-01 06:00"]


def test_row_57_the_ends_of_the_calendar() -> None:
    rows = [
        ("a", value, "z")
        for value in ("1900-01-01", "1900-02-28", "1900-03-01", "9999-12-31", "1899-12-31", "0001-01-01", "10000-01-01")
    ]
    written = write_csv(rows, one(DATE, "dd.mm.yyyy"), header=False)
    shown = ["01.01.1900", "28.02.1900", "01.03.1900", "31.12.9999", "31.12.1899", "01.01.0001", "10000-01-01"]
    assert written.text == "".join(f"a,{date},z\r\n" for date in shown)
    assert written.tally.warnings == {Warned.DATE_AS_TEXT: 1}


@pytest.mark.parametrize("column_format", ["0.00", "General", "[h]:mm", "@", "yyyy[>1]", "0%", "[DBNum1]yyyy"])
def test_a_format_that_means_nothing_for_a_date_in_text_is_refused(column_format: str) -> None:
    with pytest.raises(SluiceError) as caught:
        CSV.check_table(params_of(one(DATE, column_format)), Limits())
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    assert caught.value.facts["field"] == "columns[1].format"


@pytest.mark.parametrize(
    ("kind", "column_format", "invalid"),
    [
        (NUMBER, "", "1,5"),
        (DATE, "", "14.03.2025"),
        (DATETIME, "yyyy", "2025-02-29"),
        (BOOLEAN, "", "maybe"),
        (BOOLEAN, "", "real"),
    ],
)
def test_a_value_its_type_does_not_accept_is_refused_or_kept_and_counted(
    kind: ColumnType, column_format: str, invalid: str
) -> None:
    columns = one(kind, column_format)
    rows = [("a", None, "z"), ("a", invalid, "z")]
    with pytest.raises(SluiceError) as caught:
        check_rows_of(rows, columns)
    assert caught.value.code is ErrorCode.INVALID_VALUE
    assert (caught.value.facts["row"], caught.value.facts["column"]) == (2, "value")
    check_rows_of(rows, columns, on_invalid="text")
    written = write_csv(rows, columns, on_invalid="text", csv_delimiter="|", header=False)
    assert written.text == f"a||z\r\na|{invalid}|z\r\n"
    assert written.tally.warnings == {Warned.INVALID_AS_TEXT: 1}


def test_times_that_never_repeat_are_not_remembered_without_bound() -> None:
    texts = DateTexts("yyyy-mm-dd hh:mm:ss.000000", UTC)
    sent = [f"2025-03-14 09:26:53.{micro:06}" for micro in range(20_000)]
    assert texts.write_column("\0".join(sent), Counter()).split("\0") == sent
    assert texts._parts is not None
    assert max(map(len, texts._parts)) <= 4096
