"""What a reader of a workbook sees in a cell: its format, its room, and its digits as they were."""

# ruff: noqa: DTZ001 -- cells have no time zone

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.domain.errors import SluiceError
from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.file_plan import Warned
from sluice.tables.formats import FORMATS
from sluice.tables.values.number_formats import is_number_format, shown_width, with_fraction
from sluice.tables.writers.xlsx.serials import serial_of
from sluice.tables.writers.xlsx.sheets import legal_name
from tests.support.xlsx_tables import Written, params_of, write_xlsx

XLSX = FORMATS[ExportFormat.XLSX]
NUMBER, DATE, DATETIME, BOOLEAN = ColumnType.NUMBER, ColumnType.DATE, ColumnType.DATETIME, ColumnType.BOOLEAN
EPOCH = datetime(1899, 12, 30)


def sheet(*columns: ColumnSpec, rows: Sequence[Sequence[str | None]], **options: Any) -> Any:
    return written_sheet(write_xlsx(columns, rows, options=ExportOptions(**options)))


def written_sheet(written: Written) -> Any:
    return openpyxl.load_workbook(io.BytesIO(written.data)).active


# Sheet names


@pytest.mark.parametrize("character", "［］：＊？／＼﹕︓")  # noqa: RUF001 -- full-width, small and vertical forms
def test_the_full_width_form_of_a_forbidden_character_is_forbidden_too(character: str) -> None:
    assert legal_name(f"a{character}b") == "a_b"


@pytest.mark.parametrize("mark", ["'", "\uff07", "\u2018", "\u2019"])
def test_no_name_has_an_apostrophe_of_any_kind_at_an_end(mark: str) -> None:
    assert legal_name(f"{mark} it{mark}s {mark}") == f"it{mark}s"


def test_names_that_differ_in_the_width_of_their_characters_are_made_different() -> None:
    assert legal_name("Ｈｉｓｔｏｒｙ") == "Ｈｉｓｔｏｒｙ_"  # noqa: RUF001 -- full-width
    rows: list[list[str | None]] = [["1"], ["2"]]
    written = write_xlsx(
        (ColumnSpec("a"),),
        rows,
        options=ExportOptions(excel_sheet_name="Ｉndex", on_sheet_full="split"),  # noqa: RUF001
        limits=Limits(sheet_rows_max=2),
    )
    assert [one.title for one in written.openpyxl_sheets()] == ["Ｉndex", "Ｉndex (2)", "Index (3)"]  # noqa: RUF001


def test_no_name_has_text_that_some_places_of_a_workbook_escape() -> None:
    assert legal_name("ab_x0041_c") == "ab-x0041_c"
    assert legal_name(":x0041:x0042:") == "-x0041-x0042_"
    with zipfile.ZipFile(
        io.BytesIO(
            write_xlsx(
                (ColumnSpec("a"),),
                [["x"]],
                options=ExportOptions(excel_sheet_name="_x0041_", document_title="_x0041_ _x005F_x0041_"),
            ).data
        )
    ) as archive:
        texts = {name: archive.read(name) for name in archive.namelist()}
    assert b"<dc:title>_x0041_ _x005F_x0041_</dc:title>" in texts["docProps/core.xml"]  # properties are plain text
    assert b'<sheet name="-x0041_"' in texts["xl/workbook.xml"]
    assert b"'-x0041_'!" in texts["xl/workbook.xml"]
    assert b"<vt:lpstr>-x0041_</vt:lpstr>" in texts["docProps/app.xml"]


# Formats


@pytest.mark.parametrize(
    "code",
    ["# ?/8", "# ??/100", "[$-804]aaaa", "[$-804]aaa", '[$-411]ggge"年"m"月"d"日"', "[$-404]e/m/d", "bbbb", "bb",
     "b2yyyy", "[JPN]yyyy", "[ENG][$-409]mmm", "gge", "yyyy/m/d aaaa"],
)  # fmt: skip
def test_formats_that_excel_itself_offers_are_accepted(code: str) -> None:
    assert is_number_format(code)
    XLSX.check_table(params_of(ColumnSpec("a", DATE, format=code)), Limits())
    csv = params_of(ColumnSpec("a", DATE, format=code))
    with pytest.raises(SluiceError) as refused:  # where a file has no formats, it cannot show them
        FORMATS[ExportFormat.CSV].check_table(csv, Limits())
    assert refused.value.facts["field"] == "columns[0].format"


@pytest.mark.parametrize("code", ["aa", "aaaaa", "b", "bbb", "1", "0.05", "[XYZ]0", "eee"])
def test_what_only_resembles_them_is_refused(code: str) -> None:
    assert not is_number_format(code)


@pytest.mark.parametrize("kind", list(ColumnType))
def test_a_format_that_is_none_is_refused_in_every_column_type(kind: ColumnType) -> None:
    with pytest.raises(SluiceError) as refused:
        XLSX.check_table(params_of(ColumnSpec("a", kind, format="[Red")), Limits())
    assert refused.value.facts["field"] == "columns[0].format"


def test_a_workbook_has_no_more_formats_than_excel_opens() -> None:
    columns = [ColumnSpec(str(index), NUMBER, format="0." + "0" * (index % 20) + f'"{index}"') for index in range(201)]
    XLSX.check_table(params_of(*columns[:200]), Limits())
    XLSX.check_table(params_of(*columns[:200], *columns[:50], ColumnSpec("b", BOOLEAN, format="y/n")), Limits())
    with pytest.raises(SluiceError) as refused:
        XLSX.check_table(params_of(*columns), Limits())
    assert refused.value.facts["field"] == "columns[200].format"
    times = [ColumnSpec(str(index), DATETIME, format=f'hh:mm:ss"{index}"') for index in range(101)]
    with pytest.raises(SluiceError):
        XLSX.check_table(params_of(*times), Limits())


# Text


def test_a_text_column_with_the_text_format_keeps_edited_digits() -> None:
    rows: list[list[str | None]] = [["00123"], ["=1"], [None], ["two\nlines"]]
    cells = [row[0] for row in sheet(ColumnSpec("id", format="@"), rows=rows).iter_rows(min_row=2)]
    assert [cell.number_format for cell in cells] == ["@"] * 4
    assert [bool(cell.quotePrefix) for cell in cells] == [False, True, False, False]
    assert [cell.value for cell in sheet(ColumnSpec("id"), rows=rows)["A"][1:]] == ["00123", "=1", None, "two\nlines"]
    assert sheet(ColumnSpec("id"), rows=[["00123"]])["A2"].number_format == "General"


def test_a_long_number_that_is_kept_as_text_has_the_text_format() -> None:
    long, short = "12345678901234567890", "12"
    for rows in ([[long], [long]], [[long], [short]], [["0012"], [short]]):
        cells = [row[0] for row in sheet(ColumnSpec("id", NUMBER, format="0.00"), rows=rows).iter_rows(min_row=2)]
        assert [cell.number_format for cell in cells] == ["0.00" if row == [short] else "@" for row in rows]


def test_digits_that_are_text_have_no_green_triangles() -> None:
    with zipfile.ZipFile(io.BytesIO(write_xlsx((ColumnSpec("a"), ColumnSpec("b")), [["1", "2"]] * 3).data)) as archive:
        assert b'<ignoredError sqref="A2:B4" numberStoredAsText="1"/>' in archive.read("xl/worksheets/sheet1.xml")
    with zipfile.ZipFile(io.BytesIO(write_xlsx((ColumnSpec("a"),), []).data)) as archive:
        assert b"ignoredError" not in archive.read("xl/worksheets/sheet1.xml")


def test_text_of_several_lines_is_wrapped_where_the_width_is_that_of_a_line() -> None:
    columns = (ColumnSpec("a"), ColumnSpec("b"), ColumnSpec("c", width=30))
    cells = sheet(*columns, rows=[["one", "one\ntwo", "one\ntwo"], ["x", "=1", "x"]])
    assert [bool(cell.alignment.wrap_text) for row in cells["A2:C3"] for cell in row] == [False, True, False] * 2


# Widths


@pytest.mark.parametrize(
    ("code", "number", "shown"),
    [
        ("#,##0.00", "123456789", "123,456,789.00"), ("#,##0.00", "-1234.5", "-1,234.50"),
        ("0.00%", "12.3456", "1234.56%"),
        ("0.00E+00", "123456", "1.23E+05"), ('"EUR" #,##0', "1000", "EUR 1,000"), ("[$¥-804]#,##0", "1000", "¥1,000"),
        ("#,##0,", "123456789", "123,457"), ("00000", "42", "00042"), ("#,##0_);(#,##0)", "-5000", "(5,000)"),
        ("0", "9.99", "10"), ("[Red]-0.0", "5", "-5.0"), ("General", "12345", "12345"), ("# ?/8", "12.5", "12 4/8"),
        ("#,##0", "999999.5", "1,000,000"), ("0.0", "abc", "abc"), ("0\\x", "1", "1x"),
    ],
)  # fmt: skip
def test_a_width_is_that_of_what_the_cell_shows(code: str, number: str, shown: str) -> None:
    assert len(shown) <= shown_width(code, number) <= len(shown) + 3


@pytest.mark.parametrize(
    "number", ["1e308", "-1e308", "1e-307", "0", "-0.0", "9" * 15, "9" * 4_000, "NaN", "1e999999999", "0e999999999", ""]
)
@pytest.mark.parametrize(
    "code", ["0.00", "#,##0", "0%", "General", "# ?/?", "0.00E+00", "0" * 255, "0," * 127, ";;;", "@"]
)
def test_any_number_has_a_width_in_any_format(code: str, number: str) -> None:
    """A workbook with the largest number must not fail over its column's width."""
    assert 0 <= shown_width(code, number) <= 5_000


@pytest.mark.parametrize(
    ("code", "number", "shown"),
    [
        ("0", "123", "123"),
        ("0.00", "9.999", "10.00"),
        ("0.00", "123.456", "123.46"),
        ("#,##0", "1234567", "1,234,567"),
        ("0%", "0.5", "50%"),
    ],
)
def test_a_plain_number_is_as_wide_as_it_is_shown(code: str, number: str, shown: str) -> None:
    assert shown_width(code, number) == len(shown)
    if is_number_format(code):
        assert sheet(ColumnSpec("n", NUMBER, format=code), rows=[[number]], on_invalid="text")["A2"]


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("yyyy-mm-dd", "2025-03-14"), ("dddd, d mmmm yyyy", "Wednesday, 17 September 2025"), ("d.m.yy", "31.12.25"),
        ("h:mm AM/PM", "12:59 PM"), ('yyyy"年"m"月"', "2025..12.."), ("[h]:mm", "1097520:59"),
        ("hh:mm:ss.000", "12:59:59.000"),
    ],
)  # fmt: skip
def test_a_date_has_the_width_of_the_longest_one(code: str, shown: str) -> None:
    assert len(shown) <= shown_width(code) <= len(shown) + 2


def test_a_column_is_as_wide_as_what_is_shown_of_its_first_rows() -> None:
    columns = (ColumnSpec("n", NUMBER, format="#,##0.00"), ColumnSpec("d", DATE, format="dddd, d mmmm yyyy"),
               ColumnSpec("b", BOOLEAN, format="a rather long word/another one"))  # fmt: skip
    made = sheet(*columns, rows=[["123456789", "2025-03-14", "a rather long word"]])
    widths = [made.column_dimensions[letter].width for letter in "ABC"]
    assert widths[0] > len("123,456,789.00")
    assert widths[1] > len("Wednesday, 17 September 2025")
    assert widths[2] < len("a rather long word")


# Times


def test_a_fraction_of_a_second_is_shown_and_never_rounds_to_another_second() -> None:
    texts = ["2025-03-14 23:59:59.6", "2025-03-14 12:00:00.9996", "2025-03-14 12:00:00"]
    written = write_xlsx((ColumnSpec("t", DATETIME),), [[text] for text in texts])
    cells = [row[0] for row in written_sheet(written).iter_rows(min_row=2)]
    assert [cell.number_format for cell in cells] == ["yyyy-mm-dd hh:mm:ss.000"] * 2 + ["yyyy-mm-dd hh:mm:ss"]
    assert cells[1].value == datetime(2025, 3, 14, 12, 0, 0, 999_000)
    assert written.warnings == {Warned.TIME_SHORTENED: 1}


@pytest.mark.parametrize(
    ("code", "fine"),
    [("hh:mm:ss", "hh:mm:ss.000"), ("h:mm:ss AM/PM", "h:mm:ss.000 AM/PM"), ("hh:mm", "hh:mm"), ("ss.0", "ss.0"),
     ("[ss]", "[ss]"),
     ('hh"ss"mm', 'hh"ss"mm'), ("s", "s.000"), ("yyyy-mm-dd", "yyyy-mm-dd"), ("\\s s", "\\s s.000")],
)  # fmt: skip
def test_a_format_of_seconds_has_one_that_shows_their_fraction(code: str, fine: str) -> None:
    assert with_fraction(code) == fine


@given(st.datetimes(datetime(1900, 3, 1), datetime(9999, 12, 31, 23, 59, 58)))
def test_a_serial_number_is_the_closest_double(moment: datetime) -> None:
    kept = moment if moment.microsecond < 999_450 else moment.replace(microsecond=999_000)
    exact = Fraction((kept - EPOCH) // timedelta(microseconds=1), 86_400 * 10**6)
    assert float(serial_of(moment)) == float(exact)


@pytest.mark.slow
@given(st.lists(st.datetimes(datetime(1900, 1, 1), datetime(9999, 12, 31)), min_size=2, max_size=20))
def test_a_column_of_whole_seconds_has_the_serials_of_its_cells(moments: list[datetime]) -> None:
    whole = [moment.replace(microsecond=0) for moment in moments]
    written = write_xlsx(
        (ColumnSpec("t", DATETIME),), [[f"{moment:%Y}".zfill(4) + f"{moment:-%m-%d %H:%M:%S}"] for moment in whole]
    )
    with zipfile.ZipFile(io.BytesIO(written.data)) as archive:
        sheet_xml = archive.read("xl/worksheets/sheet1.xml")
    assert [piece.split(b"</v>")[0] for piece in sheet_xml.split(b"<v>")[1:]] == [serial_of(moment) for moment in whole]
