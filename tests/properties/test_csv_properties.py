"""Any table comes back from its CSV file, however it was cut into batches and whatever the options."""

from __future__ import annotations

from datetime import datetime
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.domain.schema import ColumnType
from sluice.tables.file_plan import Warned
from sluice.tables.writers.csv.format import CSV
from tests.support.csv_files import Row, guarded_text, read_csv, strings, table_of, write_csv, write_values

ODD = st.sampled_from(
    [*"\"\r\n,;\t|'=+-@ \x01\x7f\x85", "\u2028", "\ufeff", "\uff1d", "\uff0d", "é", "张", "🎁", "\xef"]
)
MOVED = (  # in GB 18030, from one edition to the next: `test_csv_writer_encodings.py` sees them refused there
    *map(chr, (0x1E3F, 0xE5E5, 0xE7C7, 0xE81E, 0xE826, 0xE82B, 0xE82C, 0xE831, 0xE832, 0xE83B, 0xE843)),
    *map(chr, (0xE854, 0xE855, 0xE864)),
    *map(chr, chain(range(0x9FB4, 0x9FBC), range(0xE78D, 0xE797), range(0xE816, 0xE819), range(0xFE10, 0xFE1A))),
)
ANY = st.characters(exclude_characters=["\0", *MOVED], codec="utf-8")
CELL = st.none() | st.text(ODD, max_size=6) | st.text(ANY, max_size=12)
READERS = {
    "utf-8": "utf-8-sig",
    "utf-16": "utf-16",
    "utf-16le": "utf-16",
    "utf-16be": "utf-16",
    "gb18030": "gb18030",
}


@st.composite
def tables(draw: st.DrawFn) -> list[Row]:
    width = draw(st.integers(1, 5))
    return draw(st.lists(st.tuples(*[CELL] * width), min_size=1, max_size=12))


@st.composite
def harmless_options(draw: st.DrawFn) -> dict[str, Any]:
    """Options that change how the file is written, but not what a reader sees."""
    return {
        "csv_delimiter": draw(st.sampled_from([*",;\t|", "\u00a7", "\uff0c", "x"])),
        "csv_encoding": draw(st.sampled_from(list(READERS))),
        "line_ending": draw(st.sampled_from(["crlf", "lf"])),
        "quote_all": draw(st.booleans()),
        "header": draw(st.booleans()),
        "compression_enabled": draw(st.booleans()),
    }


def seen(rows: list[Row]) -> list[list[str]]:
    """What a reader that knows no null sees."""
    return [[cell or "" for cell in row] for row in rows]


@given(rows=tables(), options=harmless_options(), batch_rows=st.integers(1, 13))
def test_any_table_comes_back(rows: list[Row], options: dict[str, Any], batch_rows: int) -> None:
    columns = strings(*"abcde"[: len(rows[0])])
    written = write_csv(rows, columns, batch_rows=batch_rows, formula_guard="off", **options)
    header = [[column.name for column in columns]] if options["header"] else []
    encoding = READERS[options["csv_encoding"]]
    assert read_csv(written.data, encoding=encoding, delimiter=options["csv_delimiter"]) == header + seen(rows)
    assert written.tally.rows == len(rows)
    assert len(written.data) <= CSV.size_bound(table_of(rows, columns, **options))


@given(rows=tables(), options=harmless_options())
def test_guarding_adds_an_apostrophe_to_what_starts_a_formula_and_nothing_else(
    rows: list[Row], options: dict[str, Any]
) -> None:
    columns = strings(*"abcde"[: len(rows[0])])
    written = write_csv(rows, columns, **options | {"header": False})
    expected = [[guarded_text(cell, options["csv_delimiter"]) for cell in row] for row in seen(rows)]
    encoding = READERS[options["csv_encoding"]]
    assert read_csv(written.data, encoding=encoding, delimiter=options["csv_delimiter"]) == expected
    pairs = zip(chain.from_iterable(expected), chain.from_iterable(seen(rows)), strict=True)
    assert written.tally.warnings[Warned.FORMULA_GUARDED] == sum(shown != sent for shown, sent in pairs)


@given(rows=tables(), options=harmless_options(), batch_rows=st.integers(1, 13))
def test_the_bytes_do_not_depend_on_how_the_rows_were_cut(
    rows: list[Row], options: dict[str, Any], batch_rows: int
) -> None:
    columns = strings(*"abcde"[: len(rows[0])])
    whole = write_csv(rows, columns, **options)
    cut = write_csv(rows, columns, batch_rows=batch_rows, **options)
    assert cut == whole


@pytest.mark.slow
def test_the_bytes_of_a_large_file_do_not_depend_on_how_its_rows_were_cut() -> None:
    rows = [(str(row), f"{row * 7919 % 1_000_003} =x", None if row % 7 else "") for row in range(30_000)]
    columns = strings("a", "b", "c")
    for compressed in (False, True):
        files = {
            write_csv(rows, columns, batch_rows=batch_rows, compression_enabled=compressed).data
            for batch_rows in (7, 999, 1_000, 1_001, 30_000)
        }
        assert len(files) == 1


FIRST_DATE = datetime(1900, 1, 1)  # noqa: DTZ001 -- cells have no time zone
NUMBERS = st.from_regex(r"[+-]?[0-9]{1,20}(\.[0-9]{1,5})?([eE][+-]?[0-9]{1,2})?", fullmatch=True)


@pytest.mark.slow
@given(st.lists(NUMBERS | st.none(), min_size=1, max_size=20), st.sampled_from(["error", "text"]))
def test_every_number_is_the_text_that_was_sent(values: list[str | None], on_invalid: str) -> None:
    assert write_values(ColumnType.NUMBER, *values, on_invalid=on_invalid) == [value or "" for value in values]


@pytest.mark.slow
@given(
    st.lists(st.datetimes(min_value=FIRST_DATE) | st.none(), min_size=1, max_size=20),
    st.sampled_from([" ", "T"]),
)
def test_every_date_is_written_by_the_format_as_strftime_would(values: list[Any], separator: str) -> None:
    sent = [value and value.isoformat(separator) for value in values]
    shown = write_values(ColumnType.DATETIME, *sent, column_format="dd.mm.yyyy hh:mm:ss")
    assert shown == [f"{value:%d.%m.}{value.year:04}{value: %H:%M:%S}" if value else "" for value in values]
