"""Which worksheets a table needs: their names, and which rows each holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import Limits
from sluice.domain.options import ExportOptions
from sluice.streams.xlsx.text import cut_text

DEFAULT_NAME = "Sheet1"
_NAME_UNITS_MAX = 31
"""UTF-16 units of a worksheet's name (Excel specifications and limits)."""
_FORBIDDEN = re.compile(r"[\[\]:*?/\\]")
_REMOVED = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_RESERVED = "history"
"""Excel keeps this name for itself."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One worksheet and where its rows stand; row numbers are from 1."""

    name: str
    start_row: int
    """The header's row, or the first data row when there is no header."""
    header: bool
    rows: int
    """Data rows."""

    @property
    def first_data_row(self) -> int:
        return self.start_row + self.header

    @property
    def last_row(self) -> int:
        """The last row that has cells, at least the start row."""
        return max(self.first_data_row + self.rows - 1, self.start_row)


def data_rows_max(options: ExportOptions, limits: Limits) -> int:
    """Data rows that fit on one worksheet; zero or less when the table starts too far down."""
    return limits.sheet_rows_max - (options.excel_start_row - 1) - options.header


def plan_sheets(rows: int, options: ExportOptions, limits: Limits) -> list[Sheet]:
    """Spread ``rows`` data rows over as many worksheets as needed, at least one.

    Raises TOO_MANY_ROWS when one does not suffice and ``on_sheet_full`` is ``error``.
    """
    capacity = data_rows_max(options, limits)
    if rows > capacity and options.on_sheet_full == "error":
        raise SluiceError(ErrorCode.TOO_MANY_ROWS, rows=rows, rows_max=capacity)
    names = sheet_names(options.excel_sheet_name)
    starts = range(0, max(rows, 1), capacity)
    return [
        Sheet(name, options.excel_start_row, options.header, min(capacity, rows - start))
        for name, start in zip(names, starts, strict=False)
    ]


def sheet_names(wanted: str) -> Iterator[str]:
    """Legal names for any number of worksheets: ``name``, ``name (2)``, ``name (3)`` …, all different."""
    name = legal_name(wanted)
    yield name
    number = 2
    while True:
        suffix = f" ({number})"
        yield _cut(name, _NAME_UNITS_MAX - len(suffix)) + suffix
        number += 1


def legal_name(wanted: str) -> str:
    """The closest name to ``wanted`` that a worksheet may have."""
    name = _FORBIDDEN.sub("_", _REMOVED.sub("", wanted))
    name = _cut(name.strip(" '"), _NAME_UNITS_MAX)
    if name.casefold() == _RESERVED:
        name += "_"
    return name or DEFAULT_NAME


def _cut(name: str, units_max: int) -> str:
    return cut_text(name, units_max).strip(" '")
