"""Which workbooks and worksheets the tables of a file need: their names, and which rows each holds."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, groupby
from typing import NamedTuple

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import Limits
from sluice.domain.options import ExportOptions
from sluice.tables.file_plan import FilePlan
from sluice.tables.writers.xlsx.text import cut_text

DEFAULT_NAME = "Sheet1"
_NAME_UNITS_MAX = 31
"""UTF-16 units of a worksheet's name (Excel specifications and limits)."""
_FORBIDDEN = frozenset("[]:*?/\\")
_AT_ENDS = " '\uff07\u2018\u2019"
"""Blanks and apostrophes, full-width and typographic ones too."""
_LIKE_ESCAPE = re.compile("_(?=x[0-9A-Fa-f]{4}_)")
"""Some places of a workbook escape such text, and programs disagree which: no name has it."""
_REMOVED = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_RESERVED = "history"
"""Excel keeps this name for itself."""


@dataclass(frozen=True, slots=True)
class Worksheet:
    """One worksheet and where its rows stand; row numbers are from 1."""

    name: str
    start_row: int
    """The header's row, or the first data row when there is no header."""
    header: bool
    rows: int
    """Data rows."""
    columns: int
    table: int = 0
    """Index of its table among those of the file."""
    rows_before: int = 0
    """Rows of its table that stand on worksheets before it, in this workbook or another."""

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


def check_rows_fit(rows: Sequence[int], names: Sequence[str], options: ExportOptions, limits: Limits) -> None:
    """Raise TOO_MANY_ROWS when a table needs more than one worksheet and ``on_sheet_full`` is ``error``.

    Also when all of them need more worksheets than any program opens.
    """
    capacity = data_rows_max(options, limits)
    if sum(-(-needed // capacity) for needed in rows) > limits.worksheets_max:
        raise SluiceError(ErrorCode.TOO_MANY_ROWS, rows=sum(rows), rows_max=capacity * limits.worksheets_max)
    if options.on_sheet_full != "error":
        return
    rows_max = min(capacity, options.workbook_rows_max)
    for needed, name in zip(rows, names, strict=True):
        if needed > rows_max:
            named = {"sheet": name} if len(names) > 1 else {}
            detail = "on_sheet_full is `error`, and a table has more rows than one worksheet or workbook takes."
            raise SluiceError(ErrorCode.TOO_MANY_ROWS, detail, rows=needed, rows_max=rows_max, **named)


def workbooks_needed(rows: int, options: ExportOptions) -> int:
    """How many workbooks hold ``rows`` data rows."""
    return max(1, -(-rows // options.workbook_rows_max))


def plan_workbooks(plan: FilePlan) -> list[list[Worksheet]]:
    """The worksheets of each workbook: every table in turn, none with more rows than a worksheet holds.

    A workbook is full at ``workbook_rows_max`` rows, and the next one goes on
    with the row behind; or with the next table, where none may be split
    (``on_sheet_full: error``). A table without rows has a worksheet too.
    """
    workbooks = groupby(_pieces(plan), key=lambda piece: piece.workbook)
    return [_sheets(plan, list(pieces)) for _, pieces in workbooks]


class _Piece(NamedTuple):
    """Rows of one table that stand on one worksheet."""

    workbook: int
    table: int
    rows_before: int
    rows: int


def _pieces(plan: FilePlan) -> Iterator[_Piece]:
    capacity = data_rows_max(plan.options, plan.limits)
    workbook, room = 0, plan.options.workbook_rows_max
    for index, part in enumerate(plan.tables):
        least = part.rows if plan.options.on_sheet_full == "error" else min(part.rows, 1)
        done = 0
        while done < part.rows or not done:
            if room < least:
                workbook, room = workbook + 1, plan.options.workbook_rows_max
            rows = min(capacity, room, part.rows - done)
            yield _Piece(workbook, index, done, rows)
            if not part.rows:
                break
            done, room = done + rows, room - rows


def _sheets(plan: FilePlan, pieces: Sequence[_Piece]) -> list[Worksheet]:
    """The worksheets of one workbook. Declared names that are legal and different go first, then each table's first."""
    taken: set[str] = set()
    firsts = {piece.table: piece for piece in reversed(pieces)}

    def turn(piece: _Piece) -> int:
        name = plan.tables[piece.table].name
        if piece is not firsts[piece.table]:
            return 2
        return int(legal_name(name) != name or same_name(name) in twins)

    names_of_firsts = Counter(same_name(plan.tables[index].name) for index in sorted(firsts))
    twins = {name for name, tables in names_of_firsts.items() if tables > 1}
    names = {piece: free_name(plan.tables[piece.table].name, taken) for piece in sorted(pieces, key=turn)}
    return [
        Worksheet(
            name=names[piece],
            start_row=plan.options.excel_start_row,
            header=plan.options.header,
            rows=piece.rows,
            columns=len(plan.tables[piece.table].columns),
            table=piece.table,
            rows_before=piece.rows_before,
        )
        for piece in pieces
    ]


def free_name(wanted: str, taken: set[str]) -> str:
    """The first of ``name``, ``name (2)``, ``name (3)`` … that is legal and not ``taken``, which it is from now on."""
    name = legal_name(wanted)
    found = name
    for number in count(2):
        if same_name(found) not in taken:
            break
        suffix = f" ({number})"
        found = _cut(name, _NAME_UNITS_MAX - len(suffix)) + suffix
    taken.add(same_name(found))
    return found


def legal_name(wanted: str) -> str:
    """The closest name to ``wanted`` that a worksheet may have."""
    # In some languages Excel takes the full-width form of a character for the character itself.
    kept = ("_" if unicodedata.normalize("NFKC", one) in _FORBIDDEN else one for one in _REMOVED.sub("", wanted))
    name = _cut(_LIKE_ESCAPE.sub("-", "".join(kept)).strip(_AT_ENDS), _NAME_UNITS_MAX)
    if same_name(name) == _RESERVED:
        name += "_"
    return name or DEFAULT_NAME


def _cut(name: str, units_max: int) -> str:
    return cut_text(name, units_max).strip(_AT_ENDS)


def same_name(name: str) -> str:
    """Equal for names that a program may take for one."""
    return unicodedata.normalize("NFKC", name).casefold()
