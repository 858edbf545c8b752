"""What a writer needs to know about the table before its first row."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from sluice.domain.limits import Limits
from sluice.domain.options import ExportOptions
from sluice.domain.schema import ColumnSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTable:
    """One table among several of a file; its rows come together."""

    name: str
    columns: tuple[ColumnSpec, ...]
    rows: int
    size: int
    """Canonical bytes of its rows."""


class AboutLine(NamedTuple):
    """A line of the worksheet that says what a file is. Any text; what a cell cannot hold is cut or replaced."""

    what: str
    value: str
    notes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePlan:
    """The plan of one file. Two equal plans over equal rows give the same bytes."""

    columns: tuple[ColumnSpec, ...]
    """Of the only table; empty when there are several."""
    options: ExportOptions
    rows: int
    """Rows that will come, exactly; sealed in the manifest."""
    size: int
    """Canonical bytes that will come; sealed in the manifest."""
    stem: str = ""
    """The file's name without extension: workbooks of an archive are named by it. Nothing else of a file is."""
    limits: Limits = field(default_factory=Limits)
    sheets: tuple[PlannedTable, ...] = ()
    """Tables of their own columns, in the order in which their rows come; their rows add up to ``rows``."""
    about: tuple[AboutLine, ...] = ()
    """What a last worksheet of each workbook says of the file; empty for no such worksheet."""
    large: frozenset[str] = frozenset()
    """Members of the archive that are known to need ZIP64, by name."""

    @property
    def tables(self) -> tuple[PlannedTable, ...]:
        """The tables, or the only one."""
        only = PlannedTable(name=self.options.excel_sheet_name, columns=self.columns, rows=self.rows, size=self.size)
        return self.sheets or (only,)


class Replan(Exception):
    """What came does not fit the plan. The same rows fit ``plan``; blocks written so far are void."""

    def __init__(self, plan: FilePlan) -> None:
        self.plan = plan


class Warned(StrEnum):
    """What a writer did that a reader of the file might not expect; counted per cell unless said otherwise."""

    NUMBER_AS_TEXT = "number_as_text"
    """A number whose digits a spreadsheet would lose was written as text."""
    DATE_AS_TEXT = "date_as_text"
    """A date outside 1900-01-01 to 9999-12-31 (in CSV, by a format: outside the years 1 to 9999) was left as sent."""
    TIME_SHORTENED = "time_shortened"
    """A time has digits that a cell cannot hold: beyond microseconds, or in the last millisecond of a day."""
    INVALID_AS_TEXT = "invalid_as_text"
    """A value was kept as text that its column's type does not accept (``on_invalid: text``), or that a column whose
    type was detected would have shown otherwise than it was sent."""
    INVALID_AS_NULL = "invalid_as_null"
    """A value its column type does not accept became null (``on_invalid: null``)."""
    BOOLEAN_EMPTY = "boolean_empty"
    """A boolean cell is the empty text, as which ``false`` arrives from PHP over gRPC; it is written as null."""
    TEXT_CUT = "text_cut"
    """A text too long for a cell was cut (``on_too_long: cut``)."""
    FORMULA_GUARDED = "formula_guarded"
    """A text that a spreadsheet would run got a leading apostrophe (``formula_guard: prefix``)."""
    CHARACTER_REPLACED = "character_replaced"
    """A cell had characters the encoding lacks, written as question marks (``on_unencodable: replace``)."""
    SHEET_SPLIT = "sheet_split"
    """Worksheets beyond the first that the rows of a table needed in one workbook."""
    WORKBOOK_SPLIT = "workbook_split"
    """Workbooks beyond the first that the rows needed."""


@dataclass(slots=True)
class Tally:
    """What a writer counts while it writes; complete once its last block was taken."""

    rows: int = 0
    warnings: Counter[str] = field(default_factory=Counter)
