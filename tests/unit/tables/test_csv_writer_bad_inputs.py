"""The table of bad inputs, as far as a CSV file is concerned: the cell is read back, and is inert."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.domain.schema import ColumnSpec, ColumnType
from tests.support.csv_files import check_rows_of, read_csv, strings, write_csv, write_values

ABC = strings("a", "b", "c")
BREAKERS = ["\r", "\n", "\r\n", '"', '""', ",", ";", "\t", "\n\r", '",', ',"', '"\r\n"', "a\r\nb", 'say "hi"', " , "]
FORMULAS = [
    "=cmd|'/c calc'!A1",
    '=HYPERLINK("http://x.example","click")',
    '=WEBSERVICE("http://x.example")',
    '=IMPORTXML("http://x.example","//a")',
    "@SUM(1+1)*cmd|'/c calc'!A0",
    "+1+cmd|'/c calc'!A0",
    "-2+3+cmd|'/c calc'!A0",
    "\t=1+1",
    "\r\n=1+1",
    "\uff1d1+1",
]
TRICKS = ['a","=1', '","=1', '"=1', '"\r\n=1', "x\n=1", 'x"\r\n"=1', 'a";"=1', "',=1", '""",=1', '\\","=1']
STARTS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
DELIMITERS = [",", ";", "\t", "|"]


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("line_ending", ["crlf", "lf"])
@pytest.mark.parametrize("quote_all", [False, True])
def test_row_50_line_ends_quotes_and_delimiters_come_back(delimiter: str, line_ending: str, *, quote_all: bool) -> None:
    rows = [[cell, f"x{cell}", f"{cell}x"] for cell in BREAKERS]
    options: dict[str, Any] = {
        "csv_delimiter": delimiter,
        "line_ending": line_ending,
        "quote_all": quote_all,
        "formula_guard": "off",
    }
    assert read_csv(write_csv(rows, ABC, **options).data, delimiter=delimiter) == [["a", "b", "c"], *rows]


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("formula", FORMULAS)
def test_row_52_a_formula_is_inert_text(formula: str, delimiter: str) -> None:
    data = write_csv([(formula, "x", formula)], ABC, header=False, csv_delimiter=delimiter).data
    assert read_csv(data, delimiter=delimiter) == [[f"'{formula}", "x", f"'{formula}"]]


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("trick", TRICKS)
def test_row_53_no_trick_with_quotes_makes_a_later_field_start_a_formula(trick: str, delimiter: str) -> None:
    data = write_csv([(trick, "x", "y"), ("x", trick, trick)], ABC, header=False, csv_delimiter=delimiter).data
    rows = read_csv(data, delimiter=delimiter)
    assert rows == [[trick, "x", "y"], ["x", trick, trick]]
    assert not [field for row in rows for field in row if field.startswith(STARTS)]


@pytest.mark.parametrize("kind", [ColumnType.STRING, ColumnType.NUMBER])
def test_row_55_all_digits_are_kept(kind: ColumnType) -> None:
    values = ["9007199254740993", "12345678901234567890", "00123", "1e5", "4111111111111111", "0.10"]
    assert write_values(kind, *values) == values
    assert write_values(ColumnType.STRING, "1/2", "1-2", "1E5") == ["1/2", "1-2", "1E5"]


def test_row_56_numbers_at_the_ends_of_a_double_are_the_text_as_sent() -> None:
    values = ["-0.0", "1e-320", "1e308", "0.30000000000000004", "-1e-320"]
    check_rows_of([("a", value, "z") for value in values], (ABC[0], ColumnSpec("n", ColumnType.NUMBER), ABC[2]))
    assert write_values(ColumnType.NUMBER, *values) == values


def test_row_63_ten_thousand_rows_of_nulls_are_as_many_lines() -> None:
    rows: list[list[str | None]] = [[None, None, None]] * 10_000
    written = write_csv(rows, ABC, header=False)
    assert written.text == ",,\r\n" * 10_000
    assert written.tally.rows == 10_000
