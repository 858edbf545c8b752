"""Tables that a reader must give back cell by cell: what is sent, and what each format has to show for it.

Expectations are written down or come from Python's own ``float`` and ``datetime``; none comes from the writers.
"""

# ruff: noqa: DTZ001 -- cells have no time zone

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sluice.demo.order_table import COLUMNS, order_rows
from sluice.domain.schema import ColumnSpec, ColumnType
from tests.support.naughty_texts import NAUGHTY_TEXTS

Value = None | str | float | bool | datetime
"""What a cell of a workbook shows. Whole numbers are floats, dates are datetimes."""


class Cell(NamedTuple):
    """One cell as sent, and as the two formats have to show it."""

    sent: str | None
    in_workbook: Value
    in_csv: str | None


@dataclass(frozen=True)
class CorpusTable:
    """A table and the options it needs. Its name says what is odd about it."""

    name: str
    columns: tuple[ColumnSpec, ...]
    cells: Sequence[Sequence[Cell]]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sent(self) -> list[list[str | None]]:
        return [[cell.sent for cell in row] for row in self.cells]

    @property
    def in_workbook(self) -> list[list[Value]]:
        return [[cell.in_workbook for cell in row] for row in self.cells]

    @property
    def in_csv(self) -> list[list[str | None]]:
        return [[cell.in_csv for cell in row] for row in self.cells]

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def header_in_workbook(self) -> list[Value]:
        """The header row; a column without a name has a blank cell there."""
        return [name or None for name in self.names]


def text(value: str | None) -> Cell:
    """A cell that both formats show as it was sent."""
    return Cell(value, value, value)


def number(value: str) -> Cell:
    return Cell(value, float(value), value)


def moment(value: str, shown: datetime) -> Cell:
    return Cell(value, shown, value)


def truth(value: str, *, shown: bool) -> Cell:
    return Cell(value, shown, "true" if shown else "false")


LARGEST_TEXTS = "texts of more bytes"
NAUGHTY_NAMES = "naughty column names"
NULL = text(None)
END = text("end")
BLANK = Cell("", None, None)
"""The empty text in a column that is not one of texts: it means null there."""

TEXTS_AT_THE_LIMIT = (
    "x" * 32_766,
    "x" * 32_767,
    "😀" * 16_383,
    "😀" * 16_383 + "x",
    '"' * 32_767,
    "&<>" * 10_922,
    "_x0041_" * 4_681,
    " " * 32_767,
    "a\n" * 16_383,
)
TEXTS_OF_MORE_BYTES = ("中" * 32_767, "\x07" * 32_767, "&" * 32_767)
"""As long as a cell holds, and more than 64 KiB in the file."""
NUL_TEXTS = ("\0", "a\0b", "_x0000_\0", "\0=1")

NUMBERS = (
    *("0", "-0", "-0.0", "0.0", "1", "-1", "+5", "1.50", "0.10", "-0.5", "100.000000000000000000", "42"),
    *("123456789012345", "999999999999999", "-999999999999999", "0.123456789012345", "123456.789"),
    *("1e5", "1E+5", "1.5E-7", "1e15", "1e21", "-1e-300", "1e308", "2.3e-308", "0e0", "0.000000000000001"),
    *("2147483648", "4294967296", "0.1", "0.2", "0.3", "45730", "1.1"),
)
DIGITS_A_DOUBLE_LOSES = (
    *("00123", "007", "-01", "1234567890123456", "9007199254740993", "12345678901234567890", "4111111111111111"),
    *("0.30000000000000004", "1.7976931348623157e308", "1e-320", "4.9e-324", "+12345678901234567", "00"),
)

MOMENTS = {
    "1900-01-01": datetime(1900, 1, 1),
    "1900-01-01 00:00:01": datetime(1900, 1, 1, 0, 0, 1),
    "1900-01-31": datetime(1900, 1, 31),
    "1900-02-28": datetime(1900, 2, 28),
    "1900-02-28 23:59:59": datetime(1900, 2, 28, 23, 59, 59),
    "1900-03-01": datetime(1900, 3, 1),
    "1900-03-01 00:00:01": datetime(1900, 3, 1, 0, 0, 1),
    "1903-12-31": datetime(1903, 12, 31),
    "1904-01-01": datetime(1904, 1, 1),
    "1969-12-31 23:59:59": datetime(1969, 12, 31, 23, 59, 59),
    "1970-01-01": datetime(1970, 1, 1),
    "2000-02-29": datetime(2000, 2, 29),
    "2024-02-29 12:00": datetime(2024, 2, 29, 12),
    "2025-03-14": datetime(2025, 3, 14),
    "2025-03-14 09:26": datetime(2025, 3, 14, 9, 26),
    "2025-03-14 09:26:53": datetime(2025, 3, 14, 9, 26, 53),
    "2025-03-14T23:59:59": datetime(2025, 3, 14, 23, 59, 59),
    "2025-03-14 09:26:53.123": datetime(2025, 3, 14, 9, 26, 53, 123_000),
    "2025-03-14T09:26:53Z": datetime(2025, 3, 14, 9, 26, 53),
    "2025-03-14T09:26:53+08:00": datetime(2025, 3, 14, 1, 26, 53),
    "2025-03-30 02:30:00": datetime(2025, 3, 30, 2, 30),
    "2038-01-19 03:14:08": datetime(2038, 1, 19, 3, 14, 8),
    "2100-02-28": datetime(2100, 2, 28),
    "9999-12-31": datetime(9999, 12, 31),
    "9999-12-31 23:59:59": datetime(9999, 12, 31, 23, 59, 59),
}
DATES_A_SPREADSHEET_LACKS = (
    *("1899-12-31", "1899-12-30 12:00:00", "0001-01-01", "10000-01-01", "1900-01-01T00:00:00+09:00"),
    "9999-12-31T23:00:00-05:00",
)

WORDS = {"true": True, "FALSE": False, "1": True, "0": False, "Yes": True, "no": False, "True": True}

_NUMBERS_AMONG = {"+1": 1.0, "-5": -5.0, "1e5": 1e5, "0": 0.0}
_WORDS_AMONG = {"true": True, "false": False, "TRUE": True, "0": False}
_DATES_AMONG = {"2025-03-14": datetime(2025, 3, 14)}


def _odd_one(value: str, column: ColumnType) -> Cell:
    """A naughty text in a column of that type, which keeps as text what it does not accept."""
    if value == "":
        return BLANK if column is not ColumnType.STRING else text("")
    match column:
        case ColumnType.NUMBER if value in _NUMBERS_AMONG:
            return Cell(value, _NUMBERS_AMONG[value], value)
        case ColumnType.BOOLEAN if value in _WORDS_AMONG:
            return truth(value, shown=_WORDS_AMONG[value])
        case ColumnType.DATE | ColumnType.DATETIME if value in _DATES_AMONG:
            return moment(value, _DATES_AMONG[value])
    return text(value)


def _framed(name: str, column: ColumnType, cells: Iterable[Cell], **options: Any) -> CorpusTable:
    """One column of cells between two of texts, so that a cell that slips to its neighbour is seen."""
    columns = (ColumnSpec("row"), ColumnSpec("value", column), ColumnSpec("end"))
    rows = [[text(f"row {index}"), cell, END] for index, cell in enumerate(cells)]
    return CorpusTable(name, columns, rows, options)


def _alone(name: str, column: ColumnType, cells: Iterable[Cell], **options: Any) -> CorpusTable:
    return CorpusTable(name, (ColumnSpec("value", column),), [[cell] for cell in cells], options)


def _naughty(column: ColumnType) -> CorpusTable:
    cells = [_odd_one(value, column) for value in NAUGHTY_TEXTS]
    return _framed(f"naughty texts in a {column.value} column", column, cells, on_invalid="text")


def _at_breakfast(day: int) -> Cell:
    return moment(f"2025-03-{day:02} 07:26:53", datetime(2025, 3, day, 7, 26, 53))


def _nulls() -> CorpusTable:
    columns = (*(ColumnSpec(kind.value, kind) for kind in ColumnType), ColumnSpec("end"))
    some = [text("x"), number("1"), *[moment("2025-03-14", datetime(2025, 3, 14))] * 2, truth("1", shown=True)]
    empty = [text(""), *[BLANK] * 4]
    null = [NULL] * 5
    rows = [null, empty, some, empty, null, some, null]
    return CorpusTable("nulls and empty texts", columns, [[*row, END] for row in rows])


def _names() -> CorpusTable:
    columns = tuple(ColumnSpec(value) for value in NAUGHTY_TEXTS if len(value) <= 255)
    return CorpusTable(NAUGHTY_NAMES, columns, [[text(str(index)) for index in range(len(columns))]])


TEXT, NUMBER, DATE, DATETIME, BOOLEAN = ColumnType

CORPUS = (
    *[_naughty(column) for column in ColumnType],
    _alone("one column of texts", TEXT, [text(value) for value in ("", " ", "a", "", "=1", "\n", "", "end")]),
    _framed("texts at the limit", TEXT, [text(value) for value in TEXTS_AT_THE_LIMIT]),
    _framed(LARGEST_TEXTS, TEXT, [text(value) for value in TEXTS_OF_MORE_BYTES]),
    _framed(
        "numbers of every kind",
        NUMBER,
        [*map(number, NUMBERS), NULL, BLANK, *map(text, DIGITS_A_DOUBLE_LOSES), number("7")],
    ),
    _framed("long identifiers", NUMBER, [text(str(202400000000000000 + index)) for index in range(20)]),
    _alone("plain numbers", NUMBER, [number(f"{index}.{index:02}") for index in range(1, 40)]),
    *[
        _framed(
            f"{column.value}s of every kind",
            column,
            [*[moment(*pair) for pair in MOMENTS.items()], NULL, BLANK, *map(text, DATES_A_SPREADSHEET_LACKS)],
        )
        for column in (DATE, DATETIME)
    ],
    _alone("plain datetimes", DATETIME, [_at_breakfast(day) for day in range(1, 32)]),
    _framed("booleans", BOOLEAN, [*[truth(word, shown=shown) for word, shown in WORDS.items()], NULL, BLANK]),
    _nulls(),
    _names(),
)
"""Every table goes through every reader, in both formats."""
WORKBOOK_CORPUS = (*CORPUS, _framed("texts with a NUL", TEXT, [text(value) for value in NUL_TEXTS]))
"""A CSV file refuses a NUL; a workbook escapes it."""


def everyday_table(rows: int) -> CorpusTable:
    """Orders as a shop has them, with a null now and then: every type in one row."""
    cells = [
        [
            number(row[0]),
            *map(text, row[1:4]),
            number(row[4]),
            number(row[5]) if index % 7 else BLANK,
            moment(row[6], datetime.fromisoformat(row[6])) if index % 5 else NULL,
            truth(row[7], shown=row[7] == "true"),
            text(row[8]),
            text(row[9]) if index % 3 else text(""),
            END,
        ]
        for index, row in enumerate(order_rows(rows))
    ]
    return CorpusTable("orders", (*COLUMNS, ColumnSpec("end")), cells)
