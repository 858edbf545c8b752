"""The table of bad inputs, as far as a CSV file is concerned: the cell is read back, and is inert."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from typing import Any

import pytest

from sluice.domain.errors import SluiceError
from sluice.domain.limits import Limits
from sluice.domain.options import ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Cells
from sluice.tables.file_plan import Warned
from sluice.tables.writers.csv.columns import CsvColumn, Quoting
from sluice.tables.writers.csv.format import CSV
from tests.support.csv_files import (
    FORMULA_SIGNS,
    check_rows_of,
    fields_split_at,
    guarded_text,
    params_of,
    read_csv,
    strings,
    write_csv,
    write_values,
)

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
    shown = guarded_text(formula, delimiter)
    assert shown.startswith("'")
    assert read_csv(data, delimiter=delimiter) == [[shown, "x", shown]]


@pytest.mark.parametrize("read_as", DELIMITERS)
@pytest.mark.parametrize("delimiter", [*DELIMITERS, "#", "；"])  # noqa: RUF001 -- full-width
@pytest.mark.parametrize("trick", TRICKS)
def test_row_53_no_trick_makes_a_field_start_a_formula_wherever_a_reader_splits(
    trick: str, delimiter: str, read_as: str
) -> None:
    rows = [(trick, "x", "y"), ("x", trick, trick), (None, trick, "")]
    written = write_csv(rows, strings(trick, "b", "c"), csv_delimiter=delimiter)
    for splits_at in (read_as, delimiter):
        fields = fields_split_at(written.data, splits_at)
        assert [field for field in fields if field.lstrip("\t\r\n").startswith(tuple(FORMULA_SIGNS))] == []
    cells_guarded = 5 if guarded_text(trick, delimiter) != trick else 0
    assert written.tally.warnings[Warned.FORMULA_GUARDED] == cells_guarded


def test_text_that_only_resembles_a_formula_is_left_alone() -> None:
    harmless = [
        "a, b",
        "10,-20,+3.5e7",
        "x;-1",
        "a-b,c=d",
        "1;2",
        "e-mail: a@b.example; c@d.example",
        'say "-" now',
        ",",
        "x, =1",
    ]
    written = write_csv([(text, "x", "y") for text in harmless], ABC, header=False)
    assert [row[0] for row in read_csv(written.data)] == harmless
    assert written.tally.warnings == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "guarded"),
    [
        (",=ab" * 500_000, ",'=ab" * 500_000),
        ("," + "=ab" * 700_000, ",'" + "=ab" * 700_000),
        ("," + "=" * 2_000_000, ",'" + "=" * 2_000_000),
        ('"' * 1_000_000 + ",=" * 9, '"' * 1_000_000 + ",'=" * 9),
    ],
    ids=["many", "few", "signs", "quotes"],
)
def test_guarding_a_large_text_takes_no_more_than_a_few_copies_of_it(text: str, guarded: str) -> None:
    options = ExportOptions()
    column = CsvColumn(ColumnSpec("a"), options, quoting=Quoting.of(options))
    cells, warnings = Cells.of_texts([text]), Counter[str]()
    tracemalloc.start()
    try:
        (field,) = column.fields(cells, warnings)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert field.decode()[1:-1].replace('""', '"') == guarded
    assert peak < 8 * len(text)


def test_a_delimiter_that_starts_a_formula_is_the_guard_or_is_in_values_needs_the_guard_to_be_off() -> None:
    for delimiter in "=+-@＝'7T":  # noqa: RUF001 -- full-width
        with pytest.raises(SluiceError, match="delimiter") as refused:
            CSV.check_table(params_of(ABC, csv_delimiter=delimiter), Limits())
        assert refused.value.facts["field"] == "options.csv_delimiter"
        CSV.check_table(params_of(ABC, csv_delimiter=delimiter, formula_guard="off"), Limits())


def test_a_file_without_a_mark_does_not_begin_like_one_of_sylk() -> None:
    """Excel takes a file that begins with ``ID`` for another format, and shows an error."""
    for text in ("ID", "IDs", "ID;P"):
        assert write_csv([("1", "2")], strings(text, "b"), csv_bom=False).text.startswith(f'"{text}",b\r\n')
        assert write_csv([("1", "2")], strings(text, "b")).text.startswith(f"{text},b\r\n")
        assert write_csv([(text, "2")], strings("a", "b"), csv_bom=False, header=False).text == f'"{text}",2\r\n'
    assert write_csv([("ID", "2")], strings("a", "b"), csv_bom=False).text == "a,b\r\nID,2\r\n"


def test_the_end_of_postgresqls_data_is_quoted_where_it_is_a_whole_line() -> None:
    assert write_csv([("\\.",), ("b",)], strings("a")).text == 'a\r\n"\\."\r\nb\r\n'
    assert write_csv([("\\.", "b")], strings("a", "b")).text == "a,b\r\n\\.,b\r\n"


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
