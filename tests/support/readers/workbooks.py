"""The table of programs that read our workbooks, and where each by its own fault shows something else.

Every reader gives for each file its sheets by name, in order; a text instead means that it refused the file.
"""

# ruff: noqa: DTZ001 -- cells have no time zone

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, time, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import duckdb
import openpyxl
import pytest
from python_calamine import CalamineWorkbook

from tests.support.readers.corpus import LARGEST_TEXTS, Value
from tests.support.readers.libre_office import convert
from tests.support.readers.node_programs import run_node
from tests.support.xlsx_tables import MAIN, unescaped

Sheets = dict[str, list[list[Any]]]
_LEAP_BUG_ENDS = datetime(1900, 3, 1)
_LAST_DAY = datetime(9999, 12, 31)
_MILLISECOND = timedelta(milliseconds=1)
_CAPITAL_ESCAPE = re.compile("_X([0-9A-Fa-f]{4})_")


def as_it_is(value: Value) -> Value:
    return value


class WorkbookReader(NamedTuple):
    """A program that reads workbooks."""

    name: str
    read: Callable[[Sequence[Path]], list[Sheets | str]]
    shows: Callable[[Value], Value] = as_it_is
    """What it shows for a value: another one only where the program itself is at fault."""
    means: Callable[[Any, Value], Value] = lambda found, _expected: found
    """For a program that gives every cell as text: that text as the type of the value that is expected."""
    reads_compact: bool = True
    refuses: frozenset[str] = frozenset()
    """Tables of the corpus that it does not read, by its own limits."""

    def agrees(self, found: Any, expected: Value) -> bool:
        """Whether a cell is right: the value and its type, a time to the millisecond."""
        shown = self.shows(expected)
        seen = self.means(found, shown)
        if isinstance(shown, datetime) and isinstance(seen, datetime):
            return abs(seen - shown) < _MILLISECOND
        return type(seen) is type(shown) and seen == shown


def disagreements(
    reader: WorkbookReader, found: Sequence[Sequence[Any]], expected: Sequence[Sequence[Value]]
) -> list[str]:
    """The cells that are not as expected, each with its row and column from 1; empty when the reader agrees."""
    if len(found) != len(expected):
        return [f"{len(found)} rows instead of {len(expected)}"]
    wrong = []
    for number, (row, wanted) in enumerate(zip(found, expected, strict=True), 1):
        if len(row) != len(wanted):
            wrong.append(f"row {number} has {len(row)} cells instead of {len(wanted)}")
            continue
        cells = enumerate(zip(row, wanted, strict=True), 1)
        wrong += [
            f"row {number}, column {column}: {ascii(cell)[:80]} instead of {ascii(value)[:80]}"
            for column, (cell, value) in cells
            if not reader.agrees(cell, value)
        ]
    return wrong


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _by_openpyxl(files: Sequence[Path]) -> list[Sheets | str]:
    """Openpyxl leaves Excel's escapes in inline text to its caller."""
    return [_openpyxl_sheets(path) for path in files]


def _openpyxl_sheets(path: Path) -> Sheets:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        book = openpyxl.load_workbook(path)
    return {
        sheet.title: [[_number(unescaped(value)) for value in row] for row in sheet.iter_rows(values_only=True)]
        for sheet in book.worksheets
    }


def _by_calamine(files: Sequence[Path]) -> list[Sheets | str]:
    return [_calamine_sheets(path) for path in files]


def _calamine_sheets(path: Path) -> Sheets:
    book = CalamineWorkbook.from_path(str(path))
    return {
        name: [
            [_as_datetime(value) for value in row]
            for row in book.get_sheet_by_name(name).to_python(skip_empty_area=False)
        ]
        for name in book.sheet_names
    }


def _as_datetime(value: Any) -> Any:
    """A date at midnight as a datetime."""
    if hasattr(value, "year") and not isinstance(value, datetime):
        return datetime.combine(value, time())
    return value


def _calamine_shows(value: Value) -> Value:
    """Calamine shows null as the empty text, and leaves the two non-characters of the basic plane escaped."""
    if value is None:
        return ""
    return value.replace("\ufffe", "_xFFFE_").replace("\uffff", "_xFFFF_") if isinstance(value, str) else value


def _by_node(program: str) -> Callable[[Sequence[Path]], list[Sheets | str]]:
    def read(files: Sequence[Path]) -> list[Sheets | str]:
        return [_node_sheets(book) for book in run_node("read_workbooks.mjs", program, files)]

    return read


def _node_sheets(book: Any) -> Sheets | str:
    if "error" in book:
        return str(book["error"])
    return {sheet["name"]: [[_node_cell(cell) for cell in row] for row in sheet["rows"]] for sheet in book["sheets"]}


def _node_cell(cell: Any) -> Any:
    if not isinstance(cell, dict):
        return _number(cell)
    return datetime.fromisoformat(cell["moment"]) if "moment" in cell else cell["serial"]


def _exceljs_means(found: Any, _expected: Value) -> Value:
    """Exceljs leaves Excel's escapes in inline text to its caller."""
    value: Value = unescaped(found)
    return value


def _exceljs_shows(value: Value) -> Value:
    """Exceljs takes an empty text for a blank, and does not know that Excel has a 29 February 1900."""
    if value == "":
        return None
    return _before_the_leap_bug(value)


def _before_the_leap_bug(value: Value) -> Value:
    """What a program shows that counts days from 1899-12-30 also before 1900-03-01: one day less."""
    return value - timedelta(days=1) if isinstance(value, datetime) and value < _LEAP_BUG_ENDS else value


def _sheetjs_shows(value: Value) -> Value:
    """SheetJS reads ``_X`` like ``_x``, and knows no time after the last midnight of 9999."""
    if isinstance(value, str):
        return _CAPITAL_ESCAPE.sub(lambda found: chr(int(found[1], 16)), value)
    if isinstance(value, datetime) and value > _LAST_DAY:
        return 2_958_465 + round((value - _LAST_DAY) / timedelta(days=1), 11)
    return value


def load_excel_reader() -> duckdb.DuckDBPyConnection:
    """A DuckDB with its Excel reader, from the Python package or from where DuckDB keeps extensions; else skip."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": False})
    try:
        connection.execute(f"LOAD '{_packaged_extension() or 'excel'}'")
    except duckdb.Error as error:
        pytest.skip(f"DuckDB's Excel reader is not installed for DuckDB {duckdb.__version__}: {str(error)[:80]}")
    return connection


def _packaged_extension() -> Path | None:
    """The signed extension that the package duckdb-extension-excel carries, if it is there and of this version."""
    package = find_spec("duckdb_extension_excel")
    if package is None or package.origin is None:
        return None
    found = Path(package.origin).parent / f"extensions/v{duckdb.__version__}/excel.duckdb_extension"
    return found if found.exists() else None


def _by_duckdb(files: Sequence[Path]) -> list[Sheets | str]:
    with load_excel_reader() as connection:
        return [_duckdb_sheets(connection, path) for path in files]


def _duckdb_sheets(connection: duckdb.DuckDBPyConnection, path: Path) -> Sheets | str:
    """Every cell as text. DuckDB is told which cells there are: it guesses them by the first row that is not empty."""
    query = "SELECT * FROM read_xlsx(?, sheet = ?, range = ?, all_varchar = true, header = false)"
    try:
        return {
            name: [list(row) for row in connection.execute(query, [str(path), name, area]).fetchall()]
            for name, area in _sheet_areas(path)
        }
    except duckdb.Error as error:
        return str(error)


def _sheet_areas(path: Path) -> Iterator[tuple[str, str]]:
    """The name of each sheet, and its cells from A1 as its ``dimension`` declares them."""
    with zipfile.ZipFile(path) as archive:
        names = [sheet.attrib["name"] for sheet in ET.fromstring(archive.read("xl/workbook.xml")).iter(f"{MAIN}sheet")]
        for number, name in enumerate(names, 1):
            start = archive.open(f"xl/worksheets/sheet{number}.xml").read(1_000)
            found = re.search(rb'<dimension ref="[A-Z0-9]+:([A-Z0-9]+)"', start)
            assert found is not None
            yield name, f"A1:{found[1].decode()}"


def _duckdb_means(found: Any, expected: Value) -> Value:
    """DuckDB shows dates as serial numbers, booleans as 1 and 0, and leaves Excel's escapes to its caller."""
    match expected:
        case bool():
            return {"1": True, "0": False}.get(found)
        case float() if _is_number(found):
            return float(found)
        case datetime() if _is_number(found):
            days = float(found)
            return datetime(1899, 12, 30 if days > 60 else 31) + timedelta(days=days)
    value: Value = unescaped(found)
    return value


def _by_libre_office(files: Sequence[Path]) -> list[Sheets | str]:
    return [{**sheets} for sheets in convert(files)]


def _libre_office_shows(value: Value) -> Value:
    """LibreOffice shows an empty text as a blank, CR LF as LF, and has no leap bug; its CSV has what the cell shows."""
    match value:
        case None:
            return ""
        case str():
            return value.replace("\r\n", "\n")
        case datetime():
            moment = _before_the_leap_bug(value)
            assert isinstance(moment, datetime)
            return moment.replace(microsecond=round(moment.microsecond, -3))
    return value


def _libre_office_means(found: Any, expected: Value) -> Value:
    match expected:
        case bool():
            return {"TRUE": True, "FALSE": False}.get(found)
        case float() if _is_number(found):
            return float(found)
        case datetime() if found[:1].isdigit():
            moment = datetime.fromisoformat(found)  # without the milliseconds that the cell's format does not show
            return expected if moment == expected.replace(microsecond=0) else moment
    value: Value = found
    return value


def _is_number(found: Any) -> bool:
    try:
        float(found)
    except (TypeError, ValueError):
        return False
    return True


WORKBOOK_READERS = (
    WorkbookReader("openpyxl", _by_openpyxl),
    WorkbookReader("calamine", _by_calamine, shows=_calamine_shows),
    WorkbookReader("exceljs", _by_node("exceljs"), shows=_exceljs_shows, means=_exceljs_means, reads_compact=False),
    WorkbookReader("SheetJS", _by_node("sheetjs"), shows=_sheetjs_shows),
    # DuckDB takes a cell of more than 64 KiB in the file for a damaged one; a cell's 32,767 characters may be more.
    WorkbookReader("DuckDB", _by_duckdb, means=_duckdb_means, refuses=frozenset({LARGEST_TEXTS})),
    WorkbookReader("LibreOffice", _by_libre_office, shows=_libre_office_shows, means=_libre_office_means),
)
