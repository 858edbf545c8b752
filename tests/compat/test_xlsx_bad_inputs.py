"""Rows 45 to 64 of the list of bad inputs, as far as they concern workbooks. Each test's name has its row."""

# ruff: noqa: DTZ001 -- cells have no time zone

from __future__ import annotations

import io
import zipfile
from datetime import datetime
from typing import Any

import pytest

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch
from sluice.tables.file_plan import Warned
from sluice.tables.formats import FORMATS
from tests.support.naughty_texts import FORMULAS, LINKS
from tests.support.xlsx_tables import columns_of, raw_values, write_column, write_xlsx

XLSX = FORMATS[ExportFormat.XLSX]
TEXT = columns_of(ColumnType.STRING)
EXCEL_UNITS = 32_767


def first_column(values: list[str | None], column: ColumnType = ColumnType.STRING, **options: Any) -> list[Any]:
    return [row[0] for row in write_column(column, values, **options).openpyxl_rows()[1:]]


def check(values: list[str | None], column: ColumnType = ColumnType.STRING, **options: Any) -> None:
    batch = Batch.of_columns([values], len(values))
    XLSX.check_batch(batch, columns_of(column), ExportOptions(**options), Limits())


def refusal(values: list[str | None], column: ColumnType = ColumnType.STRING) -> SluiceError:
    with pytest.raises(SluiceError) as caught:
        check(values, column)
    return caught.value


def test_row_44_a_lone_surrogate_is_refused_and_never_explodes_in_the_writer() -> None:
    assert refusal(["a", "\ud800"]).code is ErrorCode.INVALID_TEXT
    for values in (["a", "\ud800"], ["a\0", "\udc00"]):
        with pytest.raises(SluiceError) as caught:
            first_column(list(values))
        assert (caught.value.code, caught.value.facts) == (ErrorCode.INVALID_TEXT, {"row": 2, "column": "c"})


@pytest.mark.parametrize("kind", list(ColumnType))
def test_row_44_the_writer_refuses_a_lone_surrogate_in_a_column_of_any_type(kind: ColumnType) -> None:
    with pytest.raises(SluiceError) as caught:
        first_column(["", "\ud800"], kind, on_invalid="text")
    assert (caught.value.code, caught.value.facts) == (ErrorCode.INVALID_TEXT, {"row": 2, "column": "c"})


def test_row_45_a_nul_is_escaped_and_the_cell_is_whole() -> None:
    check(["before\0after"])
    assert first_column(["before\0after", "x"]) == ["before\0after", "x"]
    assert raw_values(write_column(ColumnType.STRING, ["\0"])) == ["_x0000_"]


@pytest.mark.parametrize("code", [*range(1, 32), 0xFFFE, 0xFFFF])
def test_row_46_what_xml_cannot_hold_is_escaped(code: int) -> None:
    text = f"a{chr(code)}b"
    check([text])
    assert first_column([text]) == [text]


def test_row_47_text_that_looks_like_an_escape_comes_back_as_it_was() -> None:
    assert first_column(["_x0041_", "_x005F_x0041_", "__x0041__"]) == ["_x0041_", "_x005F_x0041_", "__x0041__"]


@pytest.mark.parametrize("units", [EXCEL_UNITS - 1, EXCEL_UNITS])
def test_row_48_a_text_as_long_as_a_cell_holds_is_kept_whole(units: int) -> None:
    check(["x" * units])
    assert first_column(["x" * units]) == ["x" * units]


@pytest.mark.parametrize("units", [EXCEL_UNITS + 1, 1_000_000])
def test_row_48_a_longer_text_is_refused_at_put_and_again_by_the_writer(units: int) -> None:
    facts = {"row": 2, "column": "c1", "units_max": EXCEL_UNITS}
    error = refusal(["short", "x" * units])
    assert (error.code, error.facts) == (ErrorCode.CELL_TOO_LONG, facts)
    with pytest.raises(SluiceError) as caught:
        write_xlsx(TEXT, [["short"], ["x" * units]])
    assert (caught.value.code, caught.value.facts) == (ErrorCode.CELL_TOO_LONG, facts)


def test_row_48_the_writer_names_the_row_of_the_table() -> None:
    with pytest.raises(SluiceError) as caught:
        write_xlsx(TEXT, [["a"]] * 4_321 + [["x" * 40_000]], batch_rows=1_000)
    assert caught.value.facts["row"] == 4_322


def test_row_48_a_longer_text_is_cut_and_counted_when_that_was_asked_for() -> None:
    check(["x" * 40_000], on_too_long="cut")
    written = write_column(ColumnType.STRING, ["x" * 40_000, "ok", "y" * 32_768], on_too_long="cut")
    assert [row[0] for row in written.openpyxl_rows()[1:]] == ["x" * EXCEL_UNITS, "ok", "y" * EXCEL_UNITS]
    assert written.warnings == {Warned.TEXT_CUT: 2}


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("😀" * 16_383, True),
        ("😀" * 16_383 + "x", True),
        ("😀" * 16_384, False),
        ("中" * EXCEL_UNITS, True),
        ("中" * (EXCEL_UNITS + 1), False),
    ],
)
def test_row_49_length_is_counted_as_excel_counts_it(text: str, fits: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    if fits:
        check([text])
        assert first_column([text]) == [text]
    else:
        assert refusal([text]).code is ErrorCode.CELL_TOO_LONG


def test_row_49_a_cut_never_splits_a_character() -> None:
    assert first_column(["😀" * 16_384], on_too_long="cut") == ["😀" * 16_383]
    assert first_column(["x" + "😀" * 16_384], on_too_long="cut") == ["x" + "😀" * 16_383]


def test_row_49_escapes_do_not_count_towards_the_length() -> None:
    text = "\x07&_x0041_" * 3_000
    check([text])
    assert first_column([text]) == [text]


@pytest.mark.parametrize("text", ["a\rb", "a\nb", "a\r\nb", '"', ",", ";", "\t", "\r", "\n", '\r\n",;\t'])
def test_row_50_line_ends_and_separators_come_back(text: str) -> None:
    assert first_column([text]) == [text]


@pytest.mark.parametrize("text", FORMULAS)
def test_rows_51_and_52_a_formula_is_inert_text(text: str) -> None:
    written = write_column(ColumnType.STRING, [text])
    cell = written.openpyxl_sheets()[0]["A2"]
    assert cell.data_type == "s"
    assert cell.quotePrefix == (text[0] in "=+-@'\t\r\n＝＋－＠")  # noqa: RUF001 -- the full-width forms are the point
    assert "<f>" not in written.sheet_xml()
    assert first_column([text]) == [text]


def test_row_51_a_negative_number_stays_a_number() -> None:
    written = write_column(ColumnType.NUMBER, ["-5", "+5"])
    assert [row[0] for row in written.openpyxl_rows()[1:]] == [-5, 5]
    assert not written.openpyxl_sheets()[0]["A2"].quotePrefix


def test_row_53_a_cell_cannot_break_out_into_the_next_column() -> None:
    row = ['a","=1', '"><f>1</f><v>', "</t></is></c><c><f>1</f></c>"]
    written = write_xlsx(columns_of(*[ColumnType.STRING] * 3), [row])
    assert written.openpyxl_rows()[1:] == [row]
    assert {cell.data_type for cell in written.openpyxl_sheets()[0][2]} == {"s"}


@pytest.mark.parametrize("text", LINKS)
def test_row_54_an_address_is_text_and_no_link(text: str) -> None:
    written = write_column(ColumnType.STRING, [text])
    assert first_column([text]) == [text]
    assert "hyperlink" not in written.sheet_xml()
    assert not any("sheet1.xml.rels" in name for name in written.parts())


ROW_55 = ["9007199254740993", "12345678901234567890", "00123", "1e5", "1/2", "4111111111111111"]


@pytest.mark.parametrize("text", ROW_55)
def test_row_55_digits_in_a_string_column_stay_text(text: str) -> None:
    assert first_column([text]) == [text]


@pytest.mark.parametrize("text", ["9007199254740993", "12345678901234567890", "00123", "4111111111111111"])
def test_row_55_digits_in_a_number_column_that_would_be_lost_become_text(text: str) -> None:
    check([text], ColumnType.NUMBER)
    written = write_column(ColumnType.NUMBER, [text])
    assert [row[0] for row in written.openpyxl_rows()[1:]] == [text]
    assert written.warnings == {Warned.NUMBER_AS_TEXT: 1}


def test_row_55_an_exponent_in_a_number_column_is_a_number_and_a_fraction_is_none() -> None:
    assert first_column(["1e5"], ColumnType.NUMBER) == [100_000]
    assert refusal(["1/2"], ColumnType.NUMBER).code is ErrorCode.INVALID_VALUE


@pytest.mark.parametrize(
    ("text", "value", "in_file"),
    [
        ("-0.0", -0.0, "-0.0"),
        ("1e-320", "1e-320", "1e-320"),
        ("1e308", 1e308, "1e308"),
        ("0.30000000000000004", "0.30000000000000004", "0.30000000000000004"),
        ("0.3", 0.3, "0.3"),
    ],
)
def test_row_56_numbers_at_the_edge_of_doubles_keep_what_was_sent(text: str, value: object, in_file: str) -> None:
    written = write_column(ColumnType.NUMBER, [text])
    assert [row[0] for row in written.openpyxl_rows()[1:]] == [value]
    assert raw_values(written) == [in_file]


@pytest.mark.parametrize("text", ["1899-12-31", "10000-01-01", "1900-01-01T00:00:00+09:00", "0001-01-01"])
def test_row_57_dates_a_spreadsheet_lacks_become_text_and_are_counted(text: str) -> None:
    check([text], ColumnType.DATE)
    written = write_column(ColumnType.DATE, ["2025-03-14", text])
    assert [row[0] for row in written.openpyxl_rows()[1:]] == [datetime(2025, 3, 14), text]
    assert written.warnings == {Warned.DATE_AS_TEXT: 1}


def test_row_57_the_day_that_only_excel_believes_in_is_refused_or_kept_as_text() -> None:
    assert refusal(["1900-02-28", "1900-02-29"], ColumnType.DATE).facts["row"] == 2
    assert first_column(["1900-02-29"], ColumnType.DATE, on_invalid="text") == ["1900-02-29"]


@pytest.mark.parametrize(
    "text",
    [
        "2025-03-14 24:00:00", "2025-03-14 29:00:00", "2025-03-14 99:99:99", "2025-03-14 09:60:00",
        "2025-03-14 09:26:60", "2025-02-30 09:26:53", "2025-13-01", "2025-03-14Z", "2025-03-14T09:26Z:53",
        "2025-03-14 09:26:53ZZ", "2025-03-14T",
    ],
)  # fmt: skip
@pytest.mark.parametrize("company", [[], ["2025-03-14 09:26:53"], ["2025-03-14T09:26:53Z"], [""], ["2025-03-14"]])
def test_row_57_a_date_that_is_none_never_becomes_another_date(text: str, company: list[str | None]) -> None:
    assert refusal([*company, text], ColumnType.DATETIME).facts["row"] == len(company) + 1
    with pytest.raises(SluiceError, match="INVALID_VALUE"):
        first_column([*company, text], ColumnType.DATETIME)
    assert first_column([*company, text], ColumnType.DATETIME, on_invalid="text")[-1] == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("9999-12-31", datetime(9999, 12, 31)),
        ("1900-03-01", datetime(1900, 3, 1)),
        ("2025-03-30 02:30:00", datetime(2025, 3, 30, 2, 30)),
        ("2025-03-30T01:30:00Z", datetime(2025, 3, 30, 3, 30)),
        ("2025-10-26T00:30:00Z", datetime(2025, 10, 26, 2, 30)),
        ("2025-10-26T01:30:00Z", datetime(2025, 10, 26, 2, 30)),
    ],
)
def test_row_57_dates_at_clock_changes_and_limits_are_never_off_by_one(text: str, shown: datetime) -> None:
    assert first_column([text], ColumnType.DATETIME, timezone="Europe/Berlin") == [shown]


def test_row_58_booleans_null_and_empty_text_are_told_apart() -> None:
    columns = columns_of(ColumnType.BOOLEAN, ColumnType.STRING)
    rows: list[list[str | None]] = [["true", "true"], ["false", "false"], [None, None], ["", ""]]
    assert write_xlsx(columns, rows).openpyxl_rows()[1:] == [
        [True, "true"],
        [False, "false"],
        [None, None],
        [None, ""],
    ]


def test_row_59_a_bom_in_a_column_name_is_kept_as_sent() -> None:
    sheet = write_xlsx((ColumnSpec("\ufeffid"),), [["1"]]).openpyxl_sheets()[0]
    assert sheet["A1"].value == "\ufeffid"


def test_row_60_rows_of_one_empty_cell_survive() -> None:
    written = write_column(ColumnType.STRING, ["", "", ""])
    assert written.openpyxl_rows() == [["c"], [""], [""], [""]]


@pytest.mark.parametrize(("rows", "sizes"), [(8, [8]), (9, [9]), (10, [9, 1]), (19, [9, 9, 1])])
def test_row_61_rows_beyond_a_sheet_go_to_the_next_and_none_is_lost(rows: int, sizes: list[int]) -> None:
    values = [[str(number)] for number in range(rows)]
    written = write_xlsx(TEXT, values, limits=Limits(sheet_rows_max=10), batch_rows=4)
    sheets = [written.openpyxl_rows(number + 1)[1:] for number in range(len(sizes))]
    assert [len(sheet) for sheet in sheets] == sizes
    assert [row for sheet in sheets for row in sheet] == values
    assert written.tally.rows == rows


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("x" * 40, ["x" * 31, "x" * 27 + " (2)"]),
        ("a[b]:c*d?e/f\\", ["a_b__c_d_e_f_", "a_b__c_d_e_f_ (2)"]),
        ("'a'", ["a", "a (2)"]),
        ("", ["Sheet1", "Sheet1 (2)"]),
        ("History", ["History_", "History_ (2)"]),
        ("😀" * 20, ["😀" * 15, "😀" * 13 + " (2)"]),
        ('a\x00\x1f<&>"', ['a<&>"', 'a<&>" (2)']),
    ],
)
def test_row_62_sheet_names_are_legal_and_unique_in_the_file(wanted: str, names: list[str]) -> None:
    options = ExportOptions(excel_sheet_name=wanted, index_sheet=False)
    written = write_xlsx(TEXT, [["a"], ["b"]], options=options, limits=Limits(sheet_rows_max=2))
    assert [sheet.title for sheet in written.openpyxl_sheets()] == names


def test_row_63_ten_thousand_rows_of_nulls_make_a_small_file() -> None:
    columns = columns_of(*ColumnType)
    rows: list[list[str | None]] = [[None] * 5] * 10_000
    XLSX.check_batch(Batch.of_rows(rows, 5), columns, ExportOptions(), Limits())
    written = write_xlsx(columns, rows, batch_rows=10_000)
    assert len(written.data) < 200_000
    assert len(written.openpyxl_rows()) == 10_001


@pytest.mark.parametrize("rows_bytes", [(1, 1_000), (1_000, 200_000_000)])
def test_row_64_zip64_is_used_only_when_a_member_may_need_it(rows_bytes: tuple[int, int]) -> None:
    data = write_xlsx(TEXT, [["a"]] * rows_bytes[0]).data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert max(info.extract_version for info in archive.infolist()) == 20
