"""What was sent comes back from workbooks read by openpyxl and calamine."""

# ruff: noqa: DTZ001 -- cells have no time zone

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

import pytest

from sluice.demo.order_table import COLUMNS, order_rows
from sluice.domain.errors import SluiceError
from sluice.domain.options import ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.file_plan import Warned
from tests.support.naughty_texts import NAUGHTY_TEXTS
from tests.support.xlsx_tables import Written, columns_of, raw_values, unescaped, write_column, write_xlsx

BOTH_FORMS = pytest.mark.parametrize("compact", [False, True])


def texts_by_openpyxl(written: Written) -> list[Any]:
    return [row[0] for row in written.openpyxl_rows()[1:]]


def texts_by_calamine(written: Written) -> list[Any]:
    return [row[0] for row in written.calamine_rows()[1:]]


@BOTH_FORMS
def test_every_naughty_text_comes_back_in_a_string_column(compact: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    written = write_column(ColumnType.STRING, NAUGHTY_TEXTS, compact=compact)
    assert texts_by_openpyxl(written) == list(NAUGHTY_TEXTS)
    assert texts_by_calamine(written) == list(NAUGHTY_TEXTS)


@pytest.mark.parametrize("text", NAUGHTY_TEXTS)
def test_a_naughty_text_comes_back_when_it_is_alone_in_its_column(text: str) -> None:
    written = write_column(ColumnType.STRING, [text])
    assert texts_by_openpyxl(written) == [text]
    assert texts_by_calamine(written) == [text]


def test_naughty_texts_beside_a_nul_come_back() -> None:
    texts = [*NAUGHTY_TEXTS, "a\0b", "\0", "_x0000_\0", "_x0041\0"]
    written = write_column(ColumnType.STRING, texts)
    assert texts_by_openpyxl(written) == texts
    assert texts_by_calamine(written) == texts


@pytest.mark.parametrize("column", [kind for kind in ColumnType if kind is not ColumnType.STRING])
def test_every_naughty_text_comes_back_from_a_typed_column_that_keeps_it(column: ColumnType) -> None:
    refused = []
    for text in NAUGHTY_TEXTS:
        try:
            write_column(column, [text])
        except SluiceError:
            refused.append(text)
    written = write_column(column, refused, on_invalid="text")
    assert written.warnings == {Warned.INVALID_AS_TEXT: len(refused)}
    assert texts_by_openpyxl(written) == refused
    assert texts_by_calamine(written) == refused
    assert len(refused) > len(NAUGHTY_TEXTS) // 2


@BOTH_FORMS
def test_null_and_the_empty_text_stay_different(compact: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    written = write_column(ColumnType.STRING, [None, "", "a", None, "", None], compact=compact)
    assert texts_by_openpyxl(written) == [None, "", "a", None, "", None]
    assert raw_values(written) == [None, "", "a", None, "", None]


@pytest.mark.parametrize("column", [kind for kind in ColumnType if kind is not ColumnType.STRING])
def test_null_and_the_empty_text_are_blank_in_a_typed_column(column: ColumnType) -> None:
    good = {ColumnType.NUMBER: "1", ColumnType.BOOLEAN: "1"}.get(column, "2025-03-14")
    for values in ([None, "", good, None], ["", good], [None], [""]):
        written = write_column(column, values)
        assert [value is None for value in raw_values(written)] == [value != good for value in values]
        assert [value is None for value in texts_by_openpyxl(written)] == [value != good for value in values]


def test_an_empty_word_of_a_declared_pair_is_no_blank() -> None:
    column = ColumnSpec("paid", ColumnType.BOOLEAN, format="yes/")
    assert texts_by_openpyxl(write_column(column, ["yes", "", None])) == [True, False, None]


def test_booleans_come_back_as_booleans() -> None:
    words = ["true", "FALSE", "1", "0", "Yes", "no", "True", "False"]
    written = write_column(ColumnType.BOOLEAN, words)
    assert texts_by_openpyxl(written) == [True, False] * 4
    assert texts_by_calamine(written) == [True, False] * 4
    declared = write_column(ColumnSpec("a", ColumnType.BOOLEAN, format="是/否"), ["是", "否", "yes"])
    assert texts_by_openpyxl(declared) == [True, False, True]


def test_words_run_together_are_no_booleans() -> None:
    words = ["true", "truefalse", "", "0", "10", "tr1ue", "true"]
    written = write_column(ColumnType.BOOLEAN, words, on_invalid="text")
    assert texts_by_openpyxl(written) == [True, "truefalse", None, False, "10", "tr1ue", True]
    assert written.warnings == {Warned.INVALID_AS_TEXT: 3}
    short = write_column(ColumnType.BOOLEAN, ["x", "true", "2"], on_invalid="text")
    assert texts_by_openpyxl(short) == ["x", True, "2"]


@pytest.mark.parametrize("pair", ["0/1", "false/true"])
def test_a_declared_pair_may_turn_the_usual_words_around(pair: str) -> None:
    true, false = pair.split("/")
    written = write_column(ColumnSpec("a", ColumnType.BOOLEAN, format=pair), [true, false, false])
    assert texts_by_openpyxl(written) == [True, False, False]


def test_numbers_stand_in_the_file_digit_for_digit() -> None:
    numbers = ["0", "-1", "1.50", "0.10", "123456789012345", "-0.0", "1e5", "1.5E-7", "100.000000000000000000"]
    written = write_column(ColumnType.NUMBER, numbers)
    assert raw_values(written) == numbers
    assert texts_by_openpyxl(written) == [float(number) for number in numbers]
    assert texts_by_calamine(written) == [float(number) for number in numbers]


def test_a_plus_sign_is_the_only_thing_a_number_loses() -> None:
    assert raw_values(write_column(ColumnType.NUMBER, ["+5", "+0.50"])) == ["5", "0.50"]


def test_long_identifiers_in_a_number_column_keep_their_digits() -> None:
    numbers = [str(202400000000000000 + index) for index in range(50)]
    written = write_column(ColumnType.NUMBER, numbers)
    assert texts_by_openpyxl(written) == numbers
    assert written.warnings == {Warned.NUMBER_AS_TEXT: 50}
    mixed = write_column(ColumnType.NUMBER, [*numbers, "1", ""])
    assert texts_by_openpyxl(mixed) == [*numbers, 1, None]
    assert mixed.warnings == {Warned.NUMBER_AS_TEXT: 50}


DATES = [
    ("1900-01-01", datetime(1900, 1, 1)),
    ("1900-02-28", datetime(1900, 2, 28)),
    ("1900-03-01", datetime(1900, 3, 1)),
    ("2024-02-29", datetime(2024, 2, 29)),
    ("2025-03-14 09:26:53", datetime(2025, 3, 14, 9, 26, 53)),
    ("2025-03-14T23:59:59", datetime(2025, 3, 14, 23, 59, 59)),
    ("2025-03-14 09:26", datetime(2025, 3, 14, 9, 26)),
    ("2025-03-14 09:26:53.123", datetime(2025, 3, 14, 9, 26, 53, 123_000)),
    ("2025-03-14T09:26:53Z", datetime(2025, 3, 14, 9, 26, 53)),
    ("2025-03-14T09:26:53+08:00", datetime(2025, 3, 14, 1, 26, 53)),
    ("9999-12-31", datetime(9999, 12, 31)),
    ("9999-12-31 23:59:59", datetime(9999, 12, 31, 23, 59, 59)),
    ("9999-12-31 23:59:59.999999", datetime(9999, 12, 31, 23, 59, 59, 999_000)),
    ("2025-12-31 23:59:59.999999", datetime(2025, 12, 31, 23, 59, 59, 999_000)),
]  # fmt: skip


def as_datetime(value: Any) -> datetime:
    """What a reader gives for a date, which may lack the time."""
    return value if isinstance(value, datetime) else datetime.combine(value, time())


@pytest.mark.parametrize("column", [ColumnType.DATE, ColumnType.DATETIME])
@pytest.mark.parametrize("alone", [False, True])
def test_dates_come_back_as_the_same_time(column: ColumnType, alone: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    for pairs in [[pair] for pair in DATES] if alone else [DATES]:
        written = write_column(column, [text for text, _moment in pairs])
        expected = [moment for _text, moment in pairs]
        assert [as_datetime(value) for value in texts_by_openpyxl(written)] == expected
        assert [as_datetime(value) for value in texts_by_calamine(written)] == expected


def test_every_second_of_a_day_comes_back() -> None:
    texts = [f"2025-03-14 {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}" for second in range(86_400)]
    values = texts_by_calamine(write_column(ColumnType.DATETIME, texts))
    assert [str(as_datetime(value)) for value in values] == texts


def test_a_time_is_written_alike_whether_its_column_is_uniform_or_not() -> None:
    texts = [
        f"2025-03-14 {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}" for second in range(0, 86_400, 54)
    ]
    uniform = raw_values(write_column(ColumnType.DATETIME, texts))
    assert raw_values(write_column(ColumnType.DATETIME, [*texts, "2025-03-14 09:26"]))[:-1] == uniform
    assert raw_values(write_column(ColumnType.DATETIME, [*texts, ""]))[:-1] == uniform


def test_every_day_around_the_leap_bug_comes_back() -> None:
    texts = [str(date.fromordinal(date(1900, 1, 1).toordinal() + day)) for day in range(100)]
    assert [str(value)[:10] for value in texts_by_openpyxl(write_column(ColumnType.DATE, texts))] == texts
    assert [str(value)[:10] for value in texts_by_calamine(write_column(ColumnType.DATE, texts))] == texts


def test_the_leap_bugs_serials_are_excels() -> None:
    serials = raw_values(write_column(ColumnType.DATE, ["1900-01-01", "1900-02-28", "1900-03-01", "2025-03-14"]))
    assert serials == ["1", "59", "61", "45730"]


def test_offsets_are_shown_in_the_declared_zone() -> None:
    texts = ["2025-03-14T09:26:53Z", "2025-07-14T00:00:00+02:00", "2025-03-14 09:26:53"]
    written = write_column(ColumnType.DATETIME, texts, timezone="Asia/Shanghai")
    assert texts_by_openpyxl(written) == [
        datetime(2025, 3, 14, 17, 26, 53),
        datetime(2025, 7, 14, 6, 0),
        datetime(2025, 3, 14, 9, 26, 53),
    ]


@BOTH_FORMS
def test_the_order_table_comes_back_whole(compact: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    rows = list(order_rows(2_500))
    written = write_xlsx(COLUMNS, rows, options=ExportOptions(compact=compact))
    expected = [
        [
            float(row[0]), *row[1:4], float(row[4]), float(row[5]),
            datetime.fromisoformat(row[6]), row[7] == "true", *row[8:],
        ]
        for row in rows
    ]  # fmt: skip
    assert written.openpyxl_rows()[1:] == expected
    by_calamine = written.calamine_rows()[1:]
    assert [[*row[:6], as_datetime(row[6]), *row[7:]] for row in by_calamine] == expected
    assert not written.warnings


def test_a_table_of_nulls_comes_back_as_nulls() -> None:
    columns = columns_of(*ColumnType)
    written = write_xlsx(columns, [[None] * 5] * 20)
    assert written.openpyxl_rows()[1:] == [[None] * 5] * 20


def test_the_escape_that_readers_undo_is_the_one_that_was_written() -> None:
    assert raw_values(write_column(ColumnType.STRING, ["\x07", "_x0041_"])) == ["_x0007_", "_x005F_x0041_"]
    assert unescaped("_x005F_x0041_") == "_x0041_"
